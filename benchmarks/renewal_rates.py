"""Renews subscriptions in a database of its own, with the platform's settings; `all COUNT` prints JSON."""

import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import django
import psycopg

from benchmarks.ground import PROJECT

DATABASE = "renewals"
PAGE = os.sysconf("SC_PAGE_SIZE")
KILLED_AFTER = 3  # batches


def fresh_database(name: str) -> None:
    """One beside that of the other benchmarks, which has none of the rooms' tables."""
    url = urlsplit(os.environ["DATABASE_URL"])
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
    os.environ["DATABASE_URL"] = urlunsplit(url._replace(path=f"/{name}"))


def resident_mb() -> float:
    """What this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 1e6


def due_subscriptions(count: int) -> UUID:
    """So many copies of one that the services made, due an hour ago; the tier that is theirs alone."""
    from django.utils import timezone

    from tests.subscriptions.factories import make_active, make_creator, make_tier, make_user
    from tests.subscriptions.many import copy_of

    paid_at = timezone.now() - timedelta(days=2)
    tier = make_tier(make_creator())
    model = make_active(tier, make_user(), paid_at=paid_at, payment_id=uuid4())
    copy_of(model, count=count, due=timezone.now() - timedelta(hours=1))
    return tier.pk


def renew_all(count: int) -> dict[str, float]:
    """The whole run, measured."""
    from subscriptions.services.renewal import renew_batch

    done, first_mb, started = 0, 0.0, time.perf_counter()
    while batch := renew_batch():
        done += batch
        if not first_mb and done >= count / 10:
            first_mb = resident_mb()
    return {"pace": done / (time.perf_counter() - started), "first_mb": first_mb, "last_mb": resident_mb()}


def renew_for_ever() -> None:
    """Says each batch, until killed."""
    from subscriptions.services.renewal import renew_batch

    while renew_batch():
        print("batch", flush=True)


def kill_and_go_on(count: int) -> dict[str, int]:
    """A scheduler killed between or in its batches, and another that goes on where it was."""
    from django.db.models import Count

    from subscriptions.models.history import RequestedPayment
    from subscriptions.services.renewal import renew_batch

    tier_id = due_subscriptions(count)
    command = [sys.executable, "-m", "benchmarks.renewal_rates", "for-ever"]
    victim = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=PROJECT, env=os.environ)  # noqa: S603 - our own
    assert victim.stdout is not None
    for _ in range(KILLED_AFTER):
        victim.stdout.readline()
    victim.kill()
    victim.wait()
    asked = RequestedPayment.objects.filter(reason="renewal", subscription__tier=tier_id)
    before = asked.count()
    while renew_batch():
        pass
    twice = asked.values("subscription_id").annotate(times=Count("pk")).filter(times__gt=1).count()
    return {"before_kill": before, "wrong": twice + abs(count - asked.values("subscription_id").distinct().count())}


def main() -> None:
    """Measures, or is the one that is killed."""
    word = sys.argv[1]
    if word == "all":
        fresh_database(DATABASE)
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings.test"
    django.setup()
    if word != "all":
        renew_for_ever()
        return
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    count = int(sys.argv[2])
    due_subscriptions(count)
    figures = renew_all(count)
    print(json.dumps({**figures, **kill_and_go_on(max(2000, count // 10))}))


if __name__ == "__main__":
    main()

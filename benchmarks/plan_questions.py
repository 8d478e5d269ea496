"""Asks what views and schedulers ask, of a database of its own at size, and prints how each is answered; `COUNT`."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any
from unittest.mock import patch
from uuid import UUID

import django

from benchmarks.renewal_rates import fresh_database

DATABASE = "plans"
NOBODYS = "3f0b0a5e-3c5e-4a58-8a57-0a6f6f1a2b3c"
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
LARGE = 0.1  # of the rows of the largest tables


class EnoughError(Exception):
    """What was to be seen has been asked."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How one statement was answered: by which indexes, with how many pages, and which large tables were read whole."""

    question: str
    reads: str
    whole: tuple[str, ...]
    pages: int
    milliseconds: float


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The plan's steps."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def answer_of(question: str, explained: dict[str, Any], large: set[str]) -> Answer | None:
    """What the plan says of large tables; None when the statement reads none."""
    steps = list(nodes(explained["Plan"]))
    scans = [step for step in steps if "Scan" in step["Node Type"]]
    of_large = [step for step in scans if step.get("Relation Name") in large or "Bitmap Index" in step["Node Type"]]
    if not of_large:
        return None
    return Answer(
        question=question,
        reads=", ".join(dict.fromkeys(step.get("Index Name") or step["Node Type"] for step in of_large)),
        whole=tuple(step["Relation Name"] for step in of_large if step["Node Type"] == "Seq Scan"),
        pages=explained["Plan"]["Shared Hit Blocks"] + explained["Plan"]["Shared Read Blocks"],
        milliseconds=explained["Execution Time"],
    )


class Listener:
    """Explains each statement that is sent while it listens, and runs it for that, so who asks rolls back."""

    def __init__(self, large: set[str]) -> None:
        self.large = large
        self.answers: list[Answer] = []
        self.question = ""

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001 - Django calls it so
        if sql.startswith(("SELECT", "DELETE")) and self.question:
            self.explain(sql, params, context["connection"])
        return execute(sql, params, many, context)

    def explain(self, sql: str, params: Any, connection: Any) -> None:
        """Note how the statement is answered."""
        question, self.question = self.question, ""  # what we ask meanwhile is not to be explained
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + sql, params)
            [[explained]] = cursor.fetchall()
        answer = answer_of(question, explained[0], self.large)
        if answer is not None:
            self.answers.append(answer)
        self.question = question


def make_crowd() -> Any:
    """The creator and the fan who have a hundredth each."""
    from benchmarks.plan_rows import Crowd
    from tests.subscriptions.factories import make_creator, make_tier, make_user, price_of

    creator, fan = make_creator(), make_user()
    tier = make_tier(creator)
    return Crowd(creator=creator.pk, fan=fan.pk, tier=tier.pk, price=price_of(tier).pk)


def lists_of(crowd: Any) -> list[tuple[UUID, str]]:
    """Every list of both rooms, with each of its filters."""
    month = f"{django.utils.timezone.now() - timedelta(days=35):%Y-%m}"
    return [
        *((crowd.fan, f"creators/{crowd.creator}/{what}") for what in ("tiers", "access")),
        *((crowd.fan, f"subscriptions{query}") for query in ("", "?status=active", f"?creator={crowd.creator}")),
        *((crowd.creator, f"me/subscribers{query}") for query in ("", "?status=active", f"?tier={crowd.tier}")),
        *((crowd.fan, f"payments{query}") for query in ("", f"?reference={NOBODYS}")),
        (crowd.creator, "payments"),
        (crowd.fan, "tips?direction=sent"),
        (crowd.creator, "tips?direction=received"),
        (crowd.fan, "post-purchases"),
        (crowd.fan, "payment-methods"),
        (crowd.creator, "me/earnings/summary"),
        *((crowd.creator, f"me/earnings/ledger{query}") for query in ("", "?currency=USD", f"?payment={NOBODYS}")),
        (crowd.creator, f"me/earnings/statement?currency=USD&month={month}"),
    ]


def ask_lists(listener: Listener, crowd: Any) -> None:
    """The first page of each list and the one after it."""
    from rest_framework.test import APIClient

    from accounts.models import User

    for user_id, address in lists_of(crowd):
        client = APIClient()
        client.force_authenticate(User.objects.get(pk=user_id))
        asked = "GET " + ID.sub("{id}", address)
        listener.question = asked
        response = client.get(f"/api/v1/{address}", headers={"host": "localhost"})
        assert response.status_code == 200, (address, response.status_code)  # noqa: PLR2004 - HTTP's own
        if response.streaming:
            b"".join(response)
        elif isinstance(response.json(), dict) and response.json().get("next"):
            listener.question = f"{asked}, next page"
            client.get(response.json()["next"], headers={"host": "localhost"})
        listener.question = ""


@contextmanager
def nothing_done() -> Iterator[None]:
    """Find what is due, and do nothing with it."""
    from payments import tasks as payments
    from payments.services import ledger, orders
    from subscriptions import tasks as subscriptions

    sent = ("charge_order", "reconcile_order", "void_attempt", "send_refund", "handle_gateway_event")
    with ExitStack() as stack:
        for name in sent:
            stack.enter_context(patch.object(getattr(payments, name), "delay"))
        stack.enter_context(patch.object(orders, "expire_order"))
        stack.enter_context(patch.object(ledger, "clear_order", side_effect=EnoughError))
        for name in ("expire_unpaid", "end_due", "give_up"):
            stack.enter_context(patch.object(subscriptions, name))
        stack.enter_context(patch("subscriptions.services.renewal.renew"))
        yield


def ask_schedulers(listener: Listener, crowd: Any) -> None:
    """What each scheduler asks to find its work, and what is asked before a card is charged."""
    from django.db import transaction

    from payments import tasks as payments
    from payments.services import velocity
    from payments.services.webhooks import forget_old_events
    from subscriptions import tasks as subscriptions
    from subscriptions.services.renewal import renew_batch

    work: list[tuple[str, Callable[[], object]]] = [
        ("renew_subscriptions", renew_batch),
        *((name, getattr(subscriptions, name)) for name in SUBSCRIPTIONS_TASKS),
        *((name, getattr(payments, name)) for name in PAYMENTS_TASKS),
        ("forget_gateway_events", lambda: forget_old_events(limit=5000)),
        ("declines of a payer", lambda: velocity.looks_like_card_testing(payer_id=crowd.fan)),
    ]
    for name, ask in work:
        with nothing_done(), transaction.atomic():
            listener.question = name
            try:
                ask()
            except EnoughError:
                pass
            finally:
                listener.question = ""
            transaction.set_rollback(True)


SUBSCRIPTIONS_TASKS = ("expire_unpaid_subscriptions", "end_cancelled_subscriptions", "give_up_unpaid_renewals")
PAYMENTS_TASKS = ("charge_due_orders", "expire_orders", "void_due", "refund_due", "clear_due", "gateway_events_due")


def large_tables(count: int) -> set[str]:
    """Those that must not be read whole."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND reltuples >= %s", [count * LARGE])
        return {name for (name,) in cursor.fetchall()}


def main() -> None:
    """Prints the answers as JSON."""
    count = int(sys.argv[1])
    fresh_database(DATABASE)
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings.test"
    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from benchmarks.plan_rows import fill

    call_command("migrate", verbosity=0)
    crowd = make_crowd()
    fill(count, crowd)
    listener = Listener(large_tables(count))
    with connection.execute_wrapper(listener):
        ask_lists(listener, crowd)
        ask_schedulers(listener, crowd)
    print(json.dumps([asdict(answer) for answer in listener.answers]))


if __name__ == "__main__":
    main()

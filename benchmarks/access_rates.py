"""Asks for pages of posts in a database of its own, with the platform's settings; `POSTS ASKED` prints JSON."""

import json
import os
import sys
import time
from collections.abc import Callable
from statistics import quantiles
from typing import TYPE_CHECKING, Any

import django

from benchmarks.renewal_rates import fresh_database

if TYPE_CHECKING:
    from django.db.models import QuerySet

PAGE = 21  # one more than is shown tells whether another page follows
LARGE = ("content_post", "content_entitlement")


def questions() -> "dict[str, Callable[[int], QuerySet[Any]]]":
    """Each read path for the reader of that number, in the order that its view asks for."""
    from django.utils import timezone

    from benchmarks.access_rows import CREATOR, POST, READER, id_of
    from content import selectors
    from content.access import Viewer

    newest = ("-published_at", "-id")

    def reader(number: int) -> Viewer:
        return Viewer(user_id=id_of(READER, number))

    return {
        "feed": lambda n: selectors.feed(reader(n), timezone.now()).order_by(*newest),
        "posts of a creator": lambda n: (
            selectors.published_posts().filter(creator_id=id_of(CREATOR, n % 100)).order_by(*newest)
        ),
        "discovery": lambda _: selectors.published_posts().order_by(*newest),
        "one post": lambda n: selectors.known_posts(reader(n), timezone.now()).filter(pk=id_of(POST, n)),
        "search": lambda n: selectors.found_posts(f"word{n % 5000}", reader(n), timezone.now()).order_by(*newest),
    }


def scanned(plan: dict[str, Any]) -> list[str]:
    """The large tables that a plan reads from end to end."""
    here = [plan["Relation Name"]] if plan["Node Type"] == "Seq Scan" and plan["Relation Name"] in LARGE else []
    return here + [table for part in plan.get("Plans", ()) for table in scanned(part)]


def measure(ask: "Callable[[int], QuerySet[Any]]", *, asked: int, readers: int) -> dict[str, Any]:
    """Milliseconds of a page with its parts, the queries that it costs, and what its plan scans."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    costs, times = set(), []
    for number in range(asked):
        with CaptureQueriesContext(connection) as queries:
            list(ask(number % readers)[:PAGE])
        costs.add(len(queries))
    for number in range(asked):
        started = time.perf_counter()
        list(ask((number * 31 + 7) % readers)[:PAGE])
        times.append((time.perf_counter() - started) * 1000)
    cuts = quantiles(times, n=100)
    page = ask(1 % readers)[:PAGE]
    print(page.explain(), file=sys.stderr, flush=True)
    plan = json.loads(page.explain(format="json"))[0]["Plan"]
    return {"p50": cuts[49], "p99": cuts[98], "costs": sorted(costs), "scans": sorted(set(scanned(plan)))}


def main() -> None:
    """Fills the tables and asks."""
    posts, asked = int(sys.argv[1]), int(sys.argv[2])
    fresh_database("access")
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings.test"
    django.setup()
    from django.core.management import call_command

    from benchmarks.access_rows import fill

    call_command("migrate", verbosity=0)
    readers = fill(posts=posts)
    found = {}
    for name, ask in questions().items():
        print(f"\n{name}", file=sys.stderr, flush=True)
        found[name] = measure(ask, asked=asked, readers=readers)
    print(json.dumps(found))


if __name__ == "__main__":
    main()

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

    from api.pagination import Finder
    from content.access import Viewer
    from content.models.posts import Post

LARGE = ("content_post", "content_entitlement")


def questions() -> "dict[str, Callable[[int], tuple[Viewer, list[Post]]]]":
    """Each read path for the reader of that number: who asks, and the page that the view shows."""
    from django.utils import timezone

    from benchmarks.access_rows import CREATOR, POST, QUIET_READER, QUIET_READERS, READER, id_of
    from content import selectors
    from content.access import Viewer

    def reader(number: int, kind: int = READER) -> Viewer:
        return Viewer(user_id=id_of(kind, number))

    def listed(viewer: Viewer, *finders: "Finder") -> "tuple[Viewer, list[Post]]":
        return viewer, page_of(selectors.listed_posts(viewer), *finders)

    def feed(viewer: Viewer) -> "tuple[Viewer, list[Post]]":
        return listed(viewer, selectors.feed(viewer, timezone.now()))

    def search(number: int, words: str) -> "tuple[Viewer, list[Post]]":
        viewer = reader(number)
        return listed(viewer, *selectors.found_posts(words, viewer, timezone.now()))

    def posts_of_a_creator(number: int) -> "tuple[Viewer, list[Post]]":
        viewer = reader(number)
        return viewer, page_of(selectors.listed_posts(viewer).filter(creator_id=id_of(CREATOR, number % 100)))

    def one_post(number: int) -> "tuple[Viewer, list[Post]]":
        viewer = reader(number)
        return viewer, list(selectors.known_posts(viewer, timezone.now()).with_parts().filter(pk=id_of(POST, number)))

    return {
        "feed": lambda number: feed(reader(number)),
        "feed, of quiet creators": lambda number: feed(reader(number % QUIET_READERS, QUIET_READER)),
        "posts of a creator": posts_of_a_creator,
        "discovery": lambda number: listed(reader(number)),
        "one post": one_post,
        "search, a word in 200 of a million": lambda number: search(number, f"word{number % 5000}"),
        "search, a word in every post": lambda number: search(number, "story"),
        "search, a word in one post": lambda number: search(number, str(number)),
    }


def page_of(posts: "QuerySet[Post]", *finders: "Finder") -> "list[Post]":
    """The first page, by the paginator of the views."""
    from rest_framework.request import Request
    from rest_framework.test import APIRequestFactory

    from content.views import NewestPublishedPagination

    pages, request = NewestPublishedPagination(), Request(APIRequestFactory().get("/"))
    return pages.paginate_found(posts, request, *finders) if finders else pages.paginate_queryset(posts, request)


def scanned(plan: dict[str, Any]) -> list[str]:
    """The large tables that a plan reads from end to end."""
    here = [plan["Relation Name"]] if plan["Node Type"] == "Seq Scan" and plan["Relation Name"] in LARGE else []
    return here + [table for part in plan.get("Plans", ()) for table in scanned(part)]


def measure(ask: "Callable[[int], tuple[Viewer, list[Post]]]", *, asked: int, readers: int) -> dict[str, Any]:
    """Milliseconds of a page, access asked and rendered, the queries that it costs, and what its plans scan."""
    from django.db import connection, reset_queries
    from django.test.utils import CaptureQueriesContext
    from django.utils import timezone

    from content.serializers import render_posts

    def answer(number: int) -> None:
        viewer, page = ask(number % readers)
        render_posts(page, viewer, timezone.now())

    costs, times = set(), []
    sent: list[str] = []
    for number in range(asked):
        reset_queries()  # the log has an end
        with CaptureQueriesContext(connection) as queries:
            answer(number)
        costs.add(len(queries))
        sent = [query["sql"] for query in queries if query["sql"].startswith("SELECT")]
    for number in range(asked):
        started = time.perf_counter()
        answer(number * 31 + 7)
        times.append((time.perf_counter() - started) * 1000)
    cuts = quantiles(times, n=100)
    whole = {table for sql in sent for table in explained(sql)}
    return {"p50": cuts[49], "p99": cuts[98], "costs": sorted(costs), "scans": sorted(whole)}


def explained(sql: str) -> list[str]:
    """The large tables that the query reads from end to end; its plan goes to standard error."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {sql}")
        print("\n".join(line for (line,) in cursor.fetchall()), file=sys.stderr, flush=True)
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}")
        [(plan,)] = cursor.fetchall()
    return scanned((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])


def main() -> None:
    """Fills the tables and asks."""
    posts, asked = int(sys.argv[1]), int(sys.argv[2])
    fresh_database("access")
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings.test"
    django.setup()
    from django.core.management import call_command

    from benchmarks.access_rows import fill
    from config.serving import prepare_to_serve

    call_command("migrate", verbosity=0)
    readers = fill(posts=posts)
    prepare_to_serve()  # as a web process does
    found = {}
    for name, ask in questions().items():
        print(f"\n{name}", file=sys.stderr, flush=True)
        found[name] = measure(ask, asked=asked, readers=readers)
    print(json.dumps(found))


if __name__ == "__main__":
    main()

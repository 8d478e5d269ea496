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

PAGE = 21  # one more than is shown tells whether another page follows
LARGE = ("content_post", "content_entitlement")


def questions() -> "dict[str, Callable[[int], tuple[Viewer, list[QuerySet[Post]]]]]":
    """Each read path for the reader of that number: who asks, and what the view asks until its page is full."""
    from django.utils import timezone

    from benchmarks.access_rows import CREATOR, POST, QUIET_READER, QUIET_READERS, READER, id_of
    from content import selectors
    from content.access import Viewer

    def reader(number: int, kind: int = READER) -> Viewer:
        return Viewer(user_id=id_of(kind, number))

    def feed(viewer: Viewer) -> "tuple[Viewer, list[QuerySet[Post]]]":
        return viewer, pages_of(selectors.listed_posts(viewer), selectors.feed(viewer, timezone.now()))

    def search(viewer: Viewer, words: str) -> "tuple[Viewer, list[QuerySet[Post]]]":
        return viewer, pages_of(selectors.listed_posts(viewer), *selectors.found_posts(words, viewer, timezone.now()))

    def posts_of_a_creator(number: int) -> "tuple[Viewer, list[QuerySet[Post]]]":
        posts = selectors.listed_posts(reader(number)).filter(creator_id=id_of(CREATOR, number % 100))
        return reader(number), pages_of(posts)

    def one_post(number: int) -> "tuple[Viewer, list[QuerySet[Post]]]":
        known = selectors.known_posts(reader(number), timezone.now())
        return reader(number), [known.with_parts().filter(pk=id_of(POST, number))]

    return {
        "feed": lambda number: feed(reader(number)),
        "feed, of quiet creators": lambda number: feed(reader(number % QUIET_READERS, QUIET_READER)),
        "posts of a creator": posts_of_a_creator,
        "discovery": lambda number: (reader(number), pages_of(selectors.listed_posts(reader(number)))),
        "one post": one_post,
        "search, a word in 200 of a million": lambda number: search(reader(number), f"word{number % 5000}"),
        "search, a word in every post": lambda number: search(reader(number), "story"),
        "search, a word in one post": lambda number: search(reader(number), str(number)),
    }


def pages_of(posts: "QuerySet[Post]", *finders: "Finder") -> "list[QuerySet[Post]]":
    """The first page, as the paginator asks for it."""

    def head(queryset: "QuerySet[Post]", most: int | None = None) -> "QuerySet[Post]":
        return queryset.order_by("-published_at", "-id")[: most or PAGE]

    return [head(posts.filter(pk__in=finder(head))) for finder in finders] or [head(posts)]


def filled(questions: "list[QuerySet[Post]]") -> "tuple[list[Post], list[QuerySet[Post]]]":
    """The page by the first question that fills it, and what was asked."""
    page: list[Post] = []
    asked = []
    for question in questions:
        page = list(question)
        asked.append(question)
        if len(page) == PAGE:
            break
    return page, asked


def scanned(plan: dict[str, Any]) -> list[str]:
    """The large tables that a plan reads from end to end."""
    here = [plan["Relation Name"]] if plan["Node Type"] == "Seq Scan" and plan["Relation Name"] in LARGE else []
    return here + [table for part in plan.get("Plans", ()) for table in scanned(part)]


def measure(ask: "Callable[[int], tuple[Viewer, list[QuerySet[Post]]]]", *, asked: int, readers: int) -> dict[str, Any]:
    """Milliseconds of a page, access asked and rendered, the queries that it costs, and what its plan scans."""
    from django.db import connection, reset_queries
    from django.test.utils import CaptureQueriesContext
    from django.utils import timezone

    from content.serializers import render_posts

    def answer(number: int) -> None:
        viewer, questions = ask(number % readers)
        page, _ = filled(questions)
        render_posts(page[: PAGE - 1], viewer, timezone.now())

    costs, times = set(), []
    for number in range(asked):
        reset_queries()  # the log has an end
        with CaptureQueriesContext(connection) as queries:
            answer(number)
        costs.add(len(queries))
    for number in range(asked):
        started = time.perf_counter()
        answer(number * 31 + 7)
        times.append((time.perf_counter() - started) * 1000)
    cuts = quantiles(times, n=100)
    whole: set[str] = set()
    for question in filled(ask(1)[1])[1]:
        print(question.explain(analyze=True, buffers=True), file=sys.stderr, flush=True)
        whole.update(scanned(json.loads(question.explain(format="json"))[0]["Plan"]))
    return {"p50": cuts[49], "p99": cuts[98], "costs": sorted(costs), "scans": sorted(whole)}


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

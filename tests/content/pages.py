"""The first page of what a selector finds, by the paginator of the views, and what it cost."""

import json
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from api.pagination import Finder
from content.access import Viewer
from content.models.posts import Post
from content.selectors import listed_posts
from content.views import NewestPublishedPagination

SIZE = NewestPublishedPagination.page_size + 1  # one more tells whether another page follows


def first_page(viewer: Viewer, *finders: Finder) -> list[Post]:
    """Newest first."""
    request = Request(APIRequestFactory().get("/"))
    return NewestPublishedPagination().paginate_found(listed_posts(viewer), request, *finders)


def questions(viewer: Viewer, *finders: Finder) -> list[str]:
    """The statements that ask for the posts of the page, without those for their files and tiers."""
    with CaptureQueriesContext(connection) as queries:
        first_page(viewer, *finders)
    return [query["sql"] for query in queries if f'FROM "{Post._meta.db_table}"' in query["sql"]]


def rows_read(table: str, viewer: Viewer, *finders: Finder) -> int:
    """How many rows of the table were touched for the page, kept or thrown away, or named by an index for a bitmap."""
    read = 0
    with connection.cursor() as cursor:
        for question in questions(viewer, *finders):
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {question}")
            [(answer,)] = cursor.fetchall()
            [plan] = json.loads(answer) if isinstance(answer, str) else answer
            read += _rows_of(plan["Plan"], table)
    return read


def _rows_of(plan: dict[str, Any], table: str) -> int:
    below = sum(_rows_of(part, table) for part in plan.get("Plans", ()))
    if plan.get("Relation Name") != table and plan["Node Type"] != "Bitmap Index Scan":
        return below
    thrown = sum(plan.get(f"Rows Removed by {why}", 0) for why in ("Filter", "Index Recheck"))
    return below + round((plan["Actual Rows"] + thrown) * plan["Actual Loops"])

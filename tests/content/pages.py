"""The first page of what a selector finds, as the paginator asks for it."""

import json
from typing import Any

from django.db.models import QuerySet

from api.pagination import Finder
from content.models.posts import Post
from content.views import NewestPublishedPagination

SIZE = NewestPublishedPagination.page_size + 1  # one more tells whether another page follows


def first_page(*finders: Finder) -> list[Post]:
    """Newest first."""
    return list(questions(*finders)[-1])


def questions(*finders: Finder) -> list[QuerySet[Post]]:
    """What is asked for the page: until it is full, one finder after the other."""

    def head(rows: QuerySet[Post], most: int | None = None) -> QuerySet[Post]:
        return rows.order_by(*NewestPublishedPagination.ordering)[: most or SIZE]

    asked = []
    for finder in finders:
        asked.append(head(Post.objects.published().filter(pk__in=finder(head))))
        if len(asked[-1]) == SIZE:
            break
    return asked


def rows_read(table: str, *finders: Finder) -> int:
    """How many rows of the table were touched for the page, kept or thrown away, or named by an index for a bitmap."""
    plans = [json.loads(asked.explain(analyze=True, format="json"))[0]["Plan"] for asked in questions(*finders)]
    return sum(_rows_of(plan, table) for plan in plans)


def _rows_of(plan: dict[str, Any], table: str) -> int:
    below = sum(_rows_of(part, table) for part in plan.get("Plans", ()))
    if plan.get("Relation Name") != table and plan["Node Type"] != "Bitmap Index Scan":
        return below
    thrown = sum(plan.get(f"Rows Removed by {why}", 0) for why in ("Filter", "Index Recheck"))
    return below + round((plan["Actual Rows"] + thrown) * plan["Actual Loops"])

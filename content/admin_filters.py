"""How moderators narrow their queue."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from content.models.posts import Post
from content.models.reports import PostReport


class OpenReasonFilter(admin.SimpleListFilter):
    """Posts with an open report for this reason; as a subquery, so that what the queue counts stays as it is."""

    title = "reason"
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Every reason there is."""
        return [(str(value), str(label)) for value, label in PostReport.Reason.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Post]) -> QuerySet[Post]:
        """The posts reported for it."""
        if self.value() is None:
            return queryset
        return queryset.filter(pk__in=PostReport.objects.open().filter(reason=self.value()).values("post_id"))

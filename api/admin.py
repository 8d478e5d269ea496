"""The API's records, what staff did by hand, and what the rooms' read-only pages have in common."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.models import LogEntry

from api.models import IdempotencyRecord
from api.money import shown_money
from eventbus import pages


class ReadOnlyAdmin(pages.ReadOnlyAdmin):
    """Rows that only services write; `money` names, for a column of minor units, the column of its currency."""

    money: ClassVar[dict[str, str]] = {}

    def column(self, name: Any, *, short: bool) -> Any:
        """Money as people read it, anything else as every read-only page shows it."""
        if name not in self.money:
            return super().column(name, short=short)
        currency = self.money[name]
        field: Any = self.opts.get_field(name)

        def show(row: Any) -> str:
            return shown_money(getattr(row, field.attname), getattr(row, currency))

        return pages.described(show, field, str(field.verbose_name))


@admin.register(IdempotencyRecord)
class IdempotencyRecordAdmin(ReadOnlyAdmin):
    """Which key was answered how; the body may hold what only its owner should read, so it stays out."""

    list_display = ["key", "endpoint", "user_id", "state", "response_status", "created_at"]
    list_filter = ["state", "response_status"]
    search_fields = ["key__exact"]
    search_ids: ClassVar[list[str]] = ["id", "user_id", "resource_id"]
    ordering = ["-created_at", "-id"]
    links: ClassVar[dict[str, str]] = {"user_id": "accounts_user"}
    exclude = ["response_body"]


@admin.register(LogEntry)
class LogEntryAdmin(ReadOnlyAdmin):
    """What staff did by hand in these pages, and why."""

    list_display = ["action_time", "user", "content_type", "object_repr", "change_message"]
    list_filter = ["action_time", "content_type"]
    list_select_related = ["user", "content_type"]
    search_fields = ["object_id__exact", "user__email", "change_message"]

"""The bus for operators: what waits, what is stuck, what was done about it. Nothing here can be edited by hand."""

import json
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from eventbus import operators, parking
from eventbus.models import (
    HeldKey,
    InboxEvent,
    OperatorAction,
    OutboxEvent,
    ParkedEvent,
    RelayBucket,
    RelayWorker,
)

if TYPE_CHECKING:  # generic to the type checker only
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin


class ReadOnlyAdmin(ModelAdmin):
    """Shows rows that only the bus itself may write."""

    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def pretty(payload: bytes | memoryview | None) -> SafeString:
    """A payload for a person: indented JSON, or the raw bytes when it is none."""
    raw = bytes(payload or b"")
    try:
        text = json.dumps(json.loads(raw), indent=2, ensure_ascii=False)
    except ValueError:
        text = repr(raw)
    return format_html("<pre>{}</pre>", text)


@admin.register(OutboxEvent)
class OutboxEventAdmin(ReadOnlyAdmin):
    list_display = ("id", "topic", "key", "aggregate_type", "sequence", "bucket", "created_at")
    list_filter = ("topic", "bucket")
    search_fields = ("=event_id", "=key", "=aggregate_id")
    fields = (
        *("id", "event_id", "topic", "key", "aggregate_type", "aggregate_id", "sequence", "bucket", "created_at"),
        *("headers", "readable_payload"),
    )

    @admin.display(description="payload")
    def readable_payload(self, row: OutboxEvent) -> SafeString:
        return pretty(row.payload)


@admin.register(InboxEvent)
class InboxEventAdmin(ReadOnlyAdmin):
    list_display = ("event_id", "group", "topic", "partition", "offset", "handled_at")
    list_filter = ("group", "topic")
    search_fields = ("=event_id",)
    ordering = ("-handled_at",)


@admin.register(ParkedEvent)
class ParkedEventAdmin(ReadOnlyAdmin):
    list_display = ("id", "state", "group", "topic", "key", "attempts", "error_class", "parked_at", "next_attempt_at")
    list_filter = ("state", "group", "topic", "error_class")
    search_fields = ("=event_id", "=key", "error")
    actions = ("retry_dead", "discard_dead")
    fields = (
        *("state", "group", "topic", "partition", "offset", "key", "event_id", "attempts"),
        *("parked_at", "next_attempt_at", "error_class", "error", "readable_traceback", "headers", "readable_payload"),
    )

    @admin.display(description="payload")
    def readable_payload(self, row: ParkedEvent) -> SafeString:
        return pretty(row.payload)

    @admin.display(description="traceback")
    def readable_traceback(self, row: ParkedEvent) -> SafeString:
        return format_html("<pre>{}</pre>", row.traceback)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may retry and discard: whoever may change parked events."""
        return request.user.has_perm("eventbus.change_parkedevent")

    @admin.action(description="Retry the selected dead letters", permissions=["operate"])
    def retry_dead(self, request: HttpRequest, queryset: QuerySet[ParkedEvent]) -> None:
        dead = list(queryset.filter(state=ParkedEvent.State.DEAD))
        for parked in dead:
            parking.retry(parked, actor=actor(request), reason="from the admin")
        self.message_user(request, f"{len(dead)} dead letters will be tried again.", messages.SUCCESS)

    @admin.action(description="Discard the selected dead letters", permissions=["operate"])
    def discard_dead(self, request: HttpRequest, queryset: QuerySet[ParkedEvent]) -> None:
        dead = list(queryset.filter(state=ParkedEvent.State.DEAD))
        for parked in dead:
            parking.discard(parked, actor=actor(request), reason="from the admin")
        self.message_user(request, f"{len(dead)} dead letters were given up; their keys go on.", messages.WARNING)


@admin.register(HeldKey)
class HeldKeyAdmin(ReadOnlyAdmin):
    list_display = ("topic", "key", "reason", "held_at")
    list_filter = ("topic",)
    search_fields = ("=key",)
    actions = ("release", "skip")

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may release and skip: whoever may change held keys."""
        return request.user.has_perm("eventbus.change_heldkey")

    @admin.action(description="Try the refused events again", permissions=["operate"])
    def release(self, request: HttpRequest, queryset: QuerySet[HeldKey]) -> None:
        for held in queryset:
            operators.release_key(held, actor=actor(request), reason="from the admin")

    @admin.action(description="Skip the refused events for ever", permissions=["operate"])
    def skip(self, request: HttpRequest, queryset: QuerySet[HeldKey]) -> None:
        for held in queryset:
            operators.skip_event(held, actor=actor(request), reason="from the admin")


@admin.register(RelayBucket)
class RelayBucketAdmin(ReadOnlyAdmin):
    list_display = ("bucket", "owner", "epoch", "expires_at")


@admin.register(RelayWorker)
class RelayWorkerAdmin(ReadOnlyAdmin):
    list_display = ("id", "host", "pid", "started_at", "expires_at")


@admin.register(OperatorAction)
class OperatorActionAdmin(ReadOnlyAdmin):
    list_display = ("at", "action", "actor", "target", "reason")
    list_filter = ("action",)
    search_fields = ("actor", "target")


def actor(request: HttpRequest) -> str:
    """Who acts, as the audit row names them."""
    return str(request.user.pk)

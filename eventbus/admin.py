"""The bus for operators: what waits, what is stuck, what was done about it. Nothing here can be edited by hand."""

import json
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from eventbus import operators, parking
from eventbus.conf import bus_settings
from eventbus.events import registered
from eventbus.models import (
    HeldKey,
    InboxEvent,
    OperatorAction,
    OutboxEvent,
    ParkedEvent,
    RelayBucket,
    RelayWorker,
)
from eventbus.outbox import topic_of
from eventbus.pages import ReadOnlyAdmin, asks_why


class KnownGroupFilter(admin.SimpleListFilter):
    """By consumer group, from the settings: asking a table of millions which groups it holds takes seconds."""

    title = "group"
    parameter_name = "group"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The rooms' groups."""
        return [(room.group_id, room.group_id) for room in bus_settings().rooms.values()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[InboxEvent]) -> QuerySet[InboxEvent]:
        """What this group has handled."""
        return queryset.filter(group=self.value()) if self.value() else queryset


class KnownTopicFilter(admin.SimpleListFilter):
    """By topic, from the catalog, for the same reason."""

    title = "topic"
    parameter_name = "topic"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Every registered event's topic."""
        return [(topic_of(spec), topic) for topic, spec in sorted(registered().items())]

    def queryset(self, request: HttpRequest, queryset: QuerySet[InboxEvent]) -> QuerySet[InboxEvent]:
        """What came from this topic."""
        return queryset.filter(topic=self.value()) if self.value() else queryset


def readable(payload: bytes | memoryview | None) -> SafeString:
    """A payload for a person: indented JSON, or the raw bytes when it is none."""
    raw = bytes(payload or b"")
    try:
        text = json.dumps(json.loads(raw), indent=2, ensure_ascii=False)
    except ValueError:
        text = repr(raw)
    return preformatted(text)


def preformatted(text: str) -> SafeString:
    """Text whose line breaks count; long lines wrap."""
    return format_html('<pre style="white-space: pre-wrap; overflow-wrap: anywhere; margin: 0">{}</pre>', text)


@admin.register(OutboxEvent)
class OutboxEventAdmin(ReadOnlyAdmin):
    """Events that the broker has not acknowledged yet."""

    list_display = ("id", "topic", "key", "aggregate_type", "sequence", "bucket", "created_at")
    list_filter = ("topic", "bucket")
    search_fields = ("event_id__exact", "key__exact", "aggregate_id__exact")
    fields = (
        *("id", "event_id", "topic", "key", "aggregate_type", "aggregate_id", "sequence", "bucket", "created_at"),
        *("readable_headers", "readable_payload"),
    )
    actions = ("hold",)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may hold a key: whoever may change held keys."""
        return request.user.has_perm("eventbus.change_heldkey")

    @admin.action(description="Hold the keys of the selected events", permissions=["operate"])
    @asks_why("No event of these keys will be published until they are released under Held keys.")
    def hold(self, request: HttpRequest, queryset: QuerySet[OutboxEvent], reason: str) -> None:
        """Keep them in."""
        places = sorted(set(queryset.values_list("topic", "key")))
        for topic, key in places:
            operators.hold_key(topic=topic, key=key, actor=actor(request), reason=reason)
        self.message_user(request, f"Keys held: {len(places)}.", messages.SUCCESS)

    @admin.display(description="headers")
    def readable_headers(self, row: OutboxEvent) -> SafeString:
        """What travels beside the payload."""
        return preformatted(json.dumps(row.headers, indent=2, ensure_ascii=False))

    @admin.display(description="payload")
    def readable_payload(self, row: OutboxEvent) -> SafeString:
        """What is published."""
        return readable(row.payload)


@admin.register(InboxEvent)
class InboxEventAdmin(ReadOnlyAdmin):
    """Events that were taken care of."""

    list_display = ("event_id", "group", "topic", "partition", "offset", "handled_at")
    list_filter = (KnownGroupFilter, KnownTopicFilter)
    search_fields = ("event_id__exact",)
    ordering = ("-id",)  # close to the order of handling, and an index has it


@admin.register(ParkedEvent)
class ParkedEventAdmin(ReadOnlyAdmin):
    """Events that could not be handled, and those behind them; dead letters wait for a person."""

    list_display = ("id", "state", "group", "topic", "key", "attempts", "short_error", "parked_at", "next_attempt_at")
    list_filter = ("state", "group", "topic", "error_class")
    search_fields = ("event_id__exact", "key__exact", "error")
    actions = ("retry_dead", "discard_dead")
    fields = (
        *("state", "group", "topic", "partition", "offset", "key", "of_this_key", "event_id", "attempts"),
        *("parked_at", "next_attempt_at", "error_class", "error", "readable_traceback"),
        *("readable_headers", "readable_payload"),
    )

    @admin.display(description="error", ordering="error_class")
    def short_error(self, row: ParkedEvent) -> str:
        """The error without its module."""
        return row.error_class.rpartition(".")[2] or "-"

    @admin.display(description="behind it")
    def of_this_key(self, row: ParkedEvent) -> SafeString:
        """The way to all that waits with this key."""
        query = urlencode({"q": row.key, "group__exact": row.group, "topic__exact": row.topic})
        address = f"{reverse('admin:eventbus_parkedevent_changelist')}?{query}"
        return format_html('<a href="{}">everything parked with this key</a>', address)

    @admin.display(description="payload")
    def readable_payload(self, row: ParkedEvent) -> SafeString:
        """What came."""
        return readable(row.payload)

    @admin.display(description="headers")
    def readable_headers(self, row: ParkedEvent) -> SafeString:
        """What came beside the payload."""
        return preformatted(json.dumps(row.headers, indent=2, ensure_ascii=False))

    @admin.display(description="traceback")
    def readable_traceback(self, row: ParkedEvent) -> SafeString:
        """Where it failed."""
        return preformatted(row.traceback or "-")

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may retry and discard: whoever may change parked events."""
        return request.user.has_perm("eventbus.change_parkedevent")

    @admin.action(description="Retry the selected dead letters", permissions=["operate"])
    def retry_dead(self, request: HttpRequest, queryset: QuerySet[ParkedEvent]) -> None:
        """Give them a new set of attempts."""
        dead, others = the_dead(queryset)
        for parked in dead:
            parking.retry(parked, actor=actor(request), reason="from the admin")
        self.tell(request, f"Dead letters that will be tried again: {len(dead)}.", others)

    @admin.action(description="Discard the selected dead letters", permissions=["operate"])
    @asks_why("These events will never have an effect in their groups, and what waits behind them goes on without it.")
    def discard_dead(self, request: HttpRequest, queryset: QuerySet[ParkedEvent], reason: str) -> None:
        """Give them up."""
        dead, others = the_dead(queryset)
        for parked in dead:
            parking.discard(parked, actor=actor(request), reason=reason)
        self.tell(request, f"Dead letters given up, their keys go on: {len(dead)}.", others)

    def tell(self, request: HttpRequest, done: str, others: int) -> None:
        """What was done, and what of the choice was not."""
        self.message_user(request, done, messages.SUCCESS)
        if others:
            self.message_user(request, f"No dead letters, left as they were: {others}.", messages.WARNING)


def the_dead(queryset: QuerySet[ParkedEvent]) -> tuple[list[ParkedEvent], int]:
    """The dead letters among the chosen rows, and how many of the rows are none."""
    rows = list(queryset)
    dead = [row for row in rows if row.state == ParkedEvent.State.DEAD]
    return dead, len(rows) - len(dead)


@admin.register(HeldKey)
class HeldKeyAdmin(ReadOnlyAdmin):
    """Keys whose next event the broker refuses, or that a person holds."""

    list_display = ("topic", "key", "outbox_id", "reason", "held_at")
    list_filter = ("topic",)
    search_fields = ("key__exact",)
    links: ClassVar[dict[str, str]] = {"outbox_id": "eventbus_outboxevent"}
    actions = ("release", "skip")

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may release and skip: whoever may change held keys."""
        return request.user.has_perm("eventbus.change_heldkey")

    @admin.action(description="Release the selected keys", permissions=["operate"])
    def release(self, request: HttpRequest, queryset: QuerySet[HeldKey]) -> None:
        """Let the relay try again."""
        chosen = list(queryset)
        for held in chosen:
            operators.release_key(held, actor=actor(request), reason="from the admin")
        self.message_user(request, f"Keys released, they go on: {len(chosen)}.", messages.SUCCESS)

    @admin.action(description="Skip the first event of the selected keys for ever", permissions=["operate"])
    @asks_why("These events will never be published: every room that reads them misses one of their sequence.")
    def skip(self, request: HttpRequest, queryset: QuerySet[HeldKey], reason: str) -> None:
        """Take them out of the outbox."""
        chosen = list(queryset)
        for held in chosen:
            operators.skip_event(held, actor=actor(request), reason=reason)
        self.message_user(request, f"Events skipped, their keys go on: {len(chosen)}.", messages.SUCCESS)


@admin.register(RelayBucket)
class RelayBucketAdmin(ReadOnlyAdmin):
    """The shares of the outbox, and who publishes each."""

    list_display = ("bucket", "owner", "epoch", "expires_at")
    links: ClassVar[dict[str, str]] = {"owner": "eventbus_relayworker"}


@admin.register(RelayWorker)
class RelayWorkerAdmin(ReadOnlyAdmin):
    """The relays that run."""

    list_display = ("id", "host", "pid", "started_at", "expires_at")
    ordering = ("-started_at",)


@admin.register(OperatorAction)
class OperatorActionAdmin(ReadOnlyAdmin):
    """What people did to the bus, and why."""

    list_display = ("at", "action", "actor", "target", "reason")
    list_filter = ("action", "at")
    search_fields = ("actor", "target", "reason")


def actor(request: HttpRequest) -> str:
    """Who acts, as the audit row names them: by name, and by the id that stays when the name changes."""
    return f"{request.user.pk} {request.user.get_username()}"[:200]

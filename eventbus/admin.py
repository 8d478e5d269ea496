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

from eventbus import breaker, operators, parking
from eventbus.conf import bus_settings
from eventbus.events import registered
from eventbus.exceptions import EventBusError
from eventbus.journal.story import answers, link_to_story, link_to_whole_story, linked_events, story_of
from eventbus.models import (
    BreakerRule,
    ConsumerWorker,
    HeldKey,
    InboxEvent,
    JournalEvent,
    OperatorAction,
    OutboxEvent,
    ParkedEvent,
    PausedTopic,
    RelayBucket,
    RelayWorker,
    Replay,
)
from eventbus.outbox import topic_of
from eventbus.pages import ReadOnlyAdmin, asks_why, preformatted, readable
from eventbus.replay.pages import ReplayForm, replay_rows

MOST_RETRIED = 1000
RETRIED_A_SECOND = 50.0


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


class HeldKeysMixin:
    """Who may hold, release and skip: whoever may change held keys."""

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Asked by the admin for each such action."""
        return request.user.has_perm("eventbus.change_heldkey")


@admin.register(OutboxEvent)
class OutboxEventAdmin(HeldKeysMixin, ReadOnlyAdmin):
    """Events that the broker has not acknowledged yet."""

    list_display = ("id", "topic", "key", "aggregate_type", "sequence", "bucket", "created_at")
    list_filter = ("topic", "bucket")
    search_fields = ("event_id__exact", "key__exact", "aggregate_id__exact")
    fields = (
        *("id", "event_id", "topic", "key", "aggregate_type", "aggregate_id", "sequence", "bucket", "created_at"),
        *("readable_headers", "readable_payload"),
    )
    actions = ("hold",)

    @admin.action(description="Hold the keys of the selected events", permissions=["operate"])
    @asks_why("No event of these keys will be published until they are released under Held keys.")
    def hold(self, request: HttpRequest, queryset: QuerySet[OutboxEvent], reason: str) -> None:
        """Keep them in."""
        for topic, key in (places := set(queryset.values_list("topic", "key"))):
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
    list_filter = ("state", "group", "topic", "error_class", "parked_at")
    search_fields = ("event_id__exact", "key__exact", "error")
    actions = ("retry_dead", "discard_dead")
    fields = (
        *("state", "group", "topic", "partition", "offset", "key", "of_this_key", "event_id", "story"),
        *("attempts", "crashes"),
        *("parked_at", "next_attempt_at", "error_class", "error", "readable_traceback"),
        *("readable_headers", "readable_payload"),
    )

    @admin.display(description="error", ordering="error_class")
    def short_error(self, row: ParkedEvent) -> str:
        """The error without its module."""
        return row.error_class.rpartition(".")[2] or "-"

    @admin.display(description="its story")
    def story(self, row: ParkedEvent) -> SafeString | str:
        """The way to what caused it and who has handled it."""
        return link_to_story(event_id=row.event_id)

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
        """Give them a new set of attempts, so many a second and the rest another time."""
        dead, others = the_dead(queryset.order_by("id")[: MOST_RETRIED + 1])
        if len(dead) + others > MOST_RETRIED:
            self.message_user(request, f"Choose at most {MOST_RETRIED} at a time; nothing was done.", messages.ERROR)
            return
        parking.retry_all(dead, per_second=RETRIED_A_SECOND, actor=actor(request), reason="from the admin")
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
class HeldKeyAdmin(HeldKeysMixin, ReadOnlyAdmin):
    """Keys whose next event the broker refuses, or that a person holds."""

    list_display = ("topic", "key", "outbox_id", "reason", "held_at")
    list_filter = ("topic",)
    search_fields = ("key__exact",)
    links: ClassVar[dict[str, str]] = {"outbox_id": "eventbus_outboxevent"}
    actions = ("release", "skip")

    @admin.action(description="Release the selected keys", permissions=["operate"])
    def release(self, request: HttpRequest, queryset: QuerySet[HeldKey]) -> None:
        """Let the relay try again."""
        for held in (chosen := list(queryset)):
            operators.release_key(held, actor=actor(request), reason="from the admin")
        self.message_user(request, f"Keys released, they go on: {len(chosen)}.", messages.SUCCESS)

    @admin.action(description="Skip the first event of the selected keys for ever", permissions=["operate"])
    @asks_why("These events will never be published: every room that reads them misses one of their sequence.")
    def skip(self, request: HttpRequest, queryset: QuerySet[HeldKey], reason: str) -> None:
        """Take them out of the outbox."""
        for held in (chosen := list(queryset)):
            operators.skip_event(held, actor=actor(request), reason=reason)
        self.message_user(request, f"Events skipped, their keys go on: {len(chosen)}.", messages.SUCCESS)


@admin.register(JournalEvent)
class JournalEventAdmin(ReadOnlyAdmin):
    """Every message as it came, and its story: found by event id, key or correlation id."""

    list_display = ("id", "time", "topic", "key", "event_id", "causation_id")
    list_filter = (KnownTopicFilter,)
    search_fields = ("event_id__exact", "key__exact", "correlation_id__exact")
    search_help_text = "An event's id, its key, or the correlation id of a whole story."
    actions = ("replay",)
    fields = (
        *("id", "time", "recorded_at", "topic", "partition", "offset", "key", "event_id", "whole_story"),
        *("caused_by", "has_caused", "answered_by", "delivered_as", "readable_headers", "readable_payload"),
    )

    def get_ordering(self, request: HttpRequest) -> tuple[str]:
        """What came last is first, but a story is told from its beginning."""
        return ("id",) if request.GET.get("q") else ("-id",)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> JournalEvent | None:
        """The event, with its story beside it."""
        event: JournalEvent | None = super().get_object(request, object_id, from_field)
        if event is not None:
            event.story = story_of(event)  # type: ignore[attr-defined]  # for the columns below, asked once
        return event

    @admin.display(description="whole story")
    def whole_story(self, row: JournalEvent) -> SafeString:
        """Everything with its correlation id."""
        return link_to_whole_story(row)

    @admin.display(description="caused by")
    def caused_by(self, row: Any) -> SafeString | str:
        """The event whose handler published it; another id is that of a request."""
        return linked_events(row.story.causes) if row.story.causes else row.causation_id or "-"

    @admin.display(description="has caused")
    def has_caused(self, row: Any) -> SafeString | str:
        """What its handlers published."""
        return linked_events(row.story.effects)

    @admin.display(description="taken by")
    def answered_by(self, row: Any) -> SafeString | str:
        """The groups that have taken care of it, and where it is stuck."""
        return answers(row.story)

    @admin.display(description="also delivered as")
    def delivered_as(self, row: Any) -> SafeString | str:
        """Other messages with the same event: a relay that was killed sends again what it cannot know of."""
        return linked_events(row.story.copies)

    @admin.display(description="headers")
    def readable_headers(self, row: JournalEvent) -> SafeString:
        """What came beside the payload."""
        return preformatted(json.dumps(row.headers, indent=2, ensure_ascii=False))

    @admin.display(description="payload")
    def readable_payload(self, row: JournalEvent) -> SafeString:
        """What came."""
        return readable(row.payload)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may replay: whoever may add a replay."""
        return request.user.has_perm("eventbus.add_replay")

    @admin.action(description="Replay the selected events to a room", permissions=["operate"])
    @asks_why(
        "The room is given these events once more. What its group has handled already is skipped, unless you name "
        "handlers to run again: their effects then come a second time.",
        form_class=ReplayForm,
    )
    def replay(
        self, request: HttpRequest, queryset: QuerySet[JournalEvent], room: str, again: list[str], reason: str
    ) -> None:
        """Hand them over, from the journal."""
        try:
            done = replay_rows(list(queryset), room=room, again=again, actor=actor(request), reason=reason)
        except EventBusError as error:
            self.message_user(request, str(error), messages.ERROR)
            return
        told = f"{done}: {done.handled} handed over, {done.handled_again} again, {done.skipped} skipped."
        self.message_user(request, told, messages.SUCCESS if done.state == Replay.State.DONE else messages.WARNING)
        if done.error:
            self.message_user(request, f"It stopped: {done.error}", messages.ERROR)


@admin.register(Replay)
class ReplayAdmin(ReadOnlyAdmin):
    """Replays, and how far each has come; one that stopped goes on with `manage.py replay_events --resume`."""

    list_display = ("id", "state", "group", "source", "handled", "handled_again", "skipped", "actor", "started_at")
    list_filter = ("state", "source", "room")
    search_fields = ("actor", "reason", "error")


@admin.register(PausedTopic)
class PausedTopicAdmin(ReadOnlyAdmin):
    """Topics that a group does not read, because its handlers fail for too many keys."""

    list_display = ("group", "topic", "reason", "paused_at")
    actions = ("resume",)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may resume: whoever may change paused topics."""
        return request.user.has_perm("eventbus.change_pausedtopic")

    @admin.action(description="Read the selected topics again", permissions=["operate"])
    def resume(self, request: HttpRequest, queryset: QuerySet[PausedTopic]) -> None:
        """Do not wait for the next trial."""
        chosen = list(queryset)
        for paused in chosen:
            breaker.resume_topic(paused, actor=actor(request), reason="from the admin")
        self.message_user(request, f"Topics that are read again: {len(chosen)}.", messages.SUCCESS)


@admin.register(BreakerRule)
class BreakerRuleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic to the type checker only
    """When a group's topics are paused: the one thing here that is set by hand. Processes follow within seconds."""

    list_display = ("group", "share", "least_keys", "window_seconds", "probe_seconds")


@admin.register(ConsumerWorker)
class ConsumerWorkerAdmin(ReadOnlyAdmin):
    """The consumer processes that run, and those that died a short time ago."""

    list_display = ("id", "group", "host", "pid", "started_at", "seen_at")
    list_filter = (KnownGroupFilter,)
    ordering = ("group", "started_at")


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

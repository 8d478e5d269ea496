"""The story of an event: what caused it, what it caused, who has taken care of it and when, and where it is stuck."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from eventbus.conf import bus_settings
from eventbus.models import InboxEvent, JournalEvent, ParkedEvent
from eventbus.pages import to_the_second

MOST_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Story:
    """One event among those it belongs to; at most 50 of each."""

    causes: list[JournalEvent]
    effects: list[JournalEvent]
    copies: list[JournalEvent]
    handled: list[InboxEvent]
    parked: list[ParkedEvent]


def story_of(event: JournalEvent) -> Story:
    """Five questions to indexes; whether or not the rest of the story is still in the journal."""
    groups = [reader.group_id for reader in bus_settings().readers.values()]
    journal = JournalEvent.objects.order_by("id")
    return Story(
        causes=list(journal.filter(event_id=event.causation_id)[:MOST_SHOWN]) if event.causation_id else [],
        effects=list(journal.filter(causation_id=event.event_id)[:MOST_SHOWN]),
        copies=list(journal.filter(event_id=event.event_id).exclude(pk=event.pk)[:MOST_SHOWN]),
        handled=list(InboxEvent.objects.filter(group__in=groups, event_id=event.event_id).order_by("handled_at")),
        parked=list(ParkedEvent.objects.filter(group__in=groups, event_id=event.event_id).order_by("id")),
    )


def linked_events(events: Iterable[JournalEvent]) -> SafeString | str:
    """Each with its time, its topic and the way to its own story."""
    lines = format_html_join(
        "",
        '<li>{} <a href="{}">{}</a> {}</li>',
        [
            (to_the_second(e.time), reverse("admin:eventbus_journalevent_change", args=[e.pk]), e.topic, e.event_id)
            for e in events
        ],
    )
    return format_html('<ol style="margin: 0; padding-left: 1.5em">{}</ol>', lines) if lines else "-"


def answers(story: Story) -> SafeString | str:
    """Each group that took the event, when, and whether it waits or is dead there."""
    waiting = {parked.group: parked for parked in story.parked}
    lines = [(to_the_second(row.handled_at), row.group, stuck(waiting.get(row.group))) for row in story.handled]
    return format_html_join("", "<div>{} {} {}</div>", lines) or "-"


def stuck(parked: ParkedEvent | None) -> SafeString | str:
    """The way to a parked event."""
    if parked is None:
        return ""
    address = reverse("admin:eventbus_parkedevent_change", args=[parked.pk])
    return format_html('<a href="{}">{}</a>', address, parked.get_state_display())


def link_to_story(*, event_id: str) -> SafeString | str:
    """The way from an event's id to its place in the journal."""
    if bus_settings().journal is None:
        return "the journal is off"
    address = f"{reverse('admin:eventbus_journalevent_changelist')}?{urlencode({'q': event_id})}"
    return format_html('<a href="{}">in the journal</a>', address)


def link_to_whole_story(event: JournalEvent) -> SafeString:
    """The way to everything that one request or one message set going."""
    address = f"{reverse('admin:eventbus_journalevent_changelist')}?{urlencode({'q': event.correlation_id})}"
    return format_html('<a href="{}">{}</a>', address, event.correlation_id)

"""For every room's tests: see what was published, deliver it through the real consumer code with the JSON round trip.

subscribe(...)
[created] = published(SubscriptionCreated)
deliver(created)                # to every room that handles it
run_bus()                       # everything waiting in the outbox, and what that causes, until nothing is left
"""

from collections.abc import Iterable
from itertools import count
from typing import TypeVar, overload

from django.db.models import QuerySet

from eventbus.conf import bus_settings
from eventbus.dead_letters import SUFFIX
from eventbus.events import Event, registered, spec_of
from eventbus.handlers import handlers_of
from eventbus.messages import Message
from eventbus.models import OutboxEvent, ParkedEvent
from eventbus.outbox import topic_of
from eventbus.processing import Processor

AnyEvent = TypeVar("AnyEvent", bound=Event)

_offsets = count()


class HandlingFailedError(AssertionError):
    """A delivered event was parked; the message carries the handler's traceback."""


@overload
def published(event_class: type[AnyEvent]) -> list[AnyEvent]: ...
@overload
def published(event_class: None = None) -> list[Event]: ...


def published(event_class: type[Event] | None = None) -> list[Event]:  # type: ignore[misc]
    """The events waiting in the outbox, oldest first; only those of one class when it is given."""
    events = [_decode(row) for row in _waiting()]
    return [event for event in events if event_class is None or type(event) is event_class]


def deliver(*events: Event, to: str | None = None) -> None:
    """Hand the events, in this order, to the room `to`, or to every room that handles them.

    Raises HandlingFailedError when one was parked or buried.
    """
    for event in events:
        for room in [to] if to else _rooms_for(type(event)):
            _process(room, [message_of(event)])


def run_bus(*, rooms: Iterable[str] | None = None, rounds: int = 50) -> list[Event]:
    """Deliver what waits in the outbox, and what that causes, until it is empty; every event delivered, in order."""
    delivered: list[Event] = []
    for _ in range(rounds):
        rows = list(_waiting())
        if not rows:
            return delivered
        for row in rows:
            event = _decode(row)
            row.delete()
            delivered.append(event)
            for room in _rooms_for(type(event)):
                if rooms is None or room in rooms:
                    _process(room, [message_of(event, headers=row.headers)])
    raise AssertionError(f"the bus is still not quiet after {rounds} rounds")


def message_of(event: Event, headers: dict[str, str] | None = None) -> Message:
    """The event as it would come from Kafka."""
    return Message(
        topic=topic_of(spec_of(type(event))),
        partition=0,
        offset=next(_offsets),
        key=event.key.encode(),
        value=event.encode(),
        headers=headers or {},
    )


def _process(room: str, messages: list[Message]) -> None:
    before = set(ParkedEvent.objects.values_list("pk", flat=True))
    Processor(room).process(messages)
    for parked in ParkedEvent.objects.exclude(pk__in=before):
        raise HandlingFailedError(f"{room} could not handle {parked.topic}:\n{parked.traceback or parked.state}")


def _rooms_for(event_class: type[Event]) -> list[str]:
    topic = spec_of(event_class).topic
    return [room for room in bus_settings().rooms if topic in handlers_of(room)]


def _waiting() -> QuerySet[OutboxEvent]:
    """The events of the rooms; dead letters are for other tools."""
    return OutboxEvent.objects.exclude(topic__endswith=SUFFIX).order_by("id")


def _decode(row: OutboxEvent) -> Event:
    spec = registered()[row.headers["ce_type"]]
    return spec.decode(bytes(row.payload), fallback_id=str(row.event_id))

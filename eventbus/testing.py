"""For every room's tests: see what was published, deliver it through the real consumer code with the JSON round trip.

subscribe(...)
[created] = published(SubscriptionCreated)
deliver(created)                # to every room that handles it
run_bus()                       # everything waiting in the outbox, and what that causes, until nothing is left

Also a pytest plugin: `pytest_plugins = ["eventbus.testing"]` gives the fixtures `published`, `deliver`, `armed` and
`event_bus`, the whole bus in this process with a broker in memory. docs/testing.md shows how to use them.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from itertools import count
from typing import TypeVar, overload

import pytest
from django.db.models import QuerySet
from django.db.models.functions import Now

from eventbus import consumer as consumer_module
from eventbus import faults
from eventbus import relay as relay_module
from eventbus.conf import bus_settings
from eventbus.consumer import Consumer
from eventbus.dead_letters import SUFFIX
from eventbus.events import Event, registered, spec_of
from eventbus.exceptions import BrokerUnavailableError
from eventbus.handlers import handlers_of
from eventbus.kafka.memory import MemoryBroker, MemoryConsumer, MemoryProducer
from eventbus.messages import Message
from eventbus.models import OutboxEvent, ParkedEvent, RelayBucket, RelayWorker
from eventbus.outbox import topic_of
from eventbus.processing import Processor
from eventbus.relay import Relay

AnyEvent = TypeVar("AnyEvent", bound=Event)

_offsets = count()


class HandlingFailedError(AssertionError):
    """A delivered event was parked; the message carries the handler's traceback."""


class CrashedError(BaseException):
    """The process is gone, whatever it was doing: nothing that catches errors may see it."""


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


class EventBus:
    """The whole bus in this process: the real relay, the real consumers of all rooms, and a broker in memory."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.broker = broker
        self.restart()

    def restart(self) -> None:
        """Let new processes take the place of the old ones, whose leases have run out."""
        RelayWorker.objects.all().delete()
        RelayBucket.objects.update(owner=None, expires_at=None)
        self.relay = Relay()
        self.relay.leases.duration = 24 * 3600.0  # nobody renews it: the test is one thread
        self.relay.leases.balance()
        self.consumers = {room: Consumer(room) for room in bus_settings().rooms if handlers_of(room)}

    def run(self, *, rounds: int = 100) -> None:
        """Publish and consume until nothing is left to do.

        Raises HandlingFailedError when an event was parked or buried: `run_with_failures` is for tests of that.
        """
        for parked in self.run_with_failures(rounds=rounds):
            raise HandlingFailedError(_described(parked))

    def run_with_failures(self, *, rounds: int = 100) -> list[ParkedEvent]:
        """The same, and whatever it parked or buried; what waits for another attempt is left waiting."""
        before = set(ParkedEvent.objects.values_list("pk", flat=True))
        for _ in range(rounds):
            if not self._round():
                return list(ParkedEvent.objects.exclude(pk__in=before))
        raise AssertionError(f"the bus is still not quiet after {rounds} rounds")

    def retry(self) -> list[ParkedEvent]:
        """Let the time of every parked event come, run, and give back what is parked still."""
        ParkedEvent.objects.filter(state=ParkedEvent.State.RETRYING).update(next_attempt_at=Now())
        self.run_with_failures()
        return list(ParkedEvent.objects.all())

    def redeliver(self) -> None:
        """Let every consumer read everything again from the beginning, as after a lost offset."""
        self.broker.committed.clear()
        self.restart()

    def events(self, event_class: type[AnyEvent]) -> list[AnyEvent]:
        """What Kafka would hold of this event, in the order of each key."""
        spec = spec_of(event_class)
        decoded = [spec.decode(message.value, fallback_id="") for message in self.broker.messages(topic_of(spec))]
        return [event for event in decoded if isinstance(event, event_class)]

    @contextmanager
    def crash_at(self, point: str) -> Iterator[None]:
        """End the process that first comes by this fault point, and what the block does with it; then start it anew.

        Raises AssertionError when nobody came by.
        """
        crashes: list[str] = []

        def crash() -> None:
            if not crashes:
                crashes.append(point)
                raise CrashedError

        with faults.armed(point, crash), suppress(CrashedError):
            yield
        assert crashes, f"nothing came by {point}"
        self.restart()

    def _round(self) -> int:
        """One turn of everybody; how much was done."""
        try:
            done = self.relay.round() or int(self.relay._anything_left())
        except BrokerUnavailableError:
            done = 1  # it would wait a little and try again
        return done + sum(consumer.step() for consumer in self.consumers.values())


@pytest.fixture
def event_bus(db: None, monkeypatch: pytest.MonkeyPatch) -> EventBus:
    """The whole bus in this process, its broker in memory."""
    broker = MemoryBroker()

    def consumer_of(room: str, topics: list[str]) -> MemoryConsumer:
        return MemoryConsumer(broker, group=bus_settings().room(room).group_id, topics=topics)

    monkeypatch.setattr(relay_module, "EventProducer", partial(MemoryProducer, broker))
    monkeypatch.setattr(consumer_module, "EventConsumer", consumer_of)
    return EventBus(broker)


@pytest.fixture(name="published")
def published_fixture(db: None) -> Callable[..., list[Event]]:
    """`published`, without an import."""
    return published


@pytest.fixture(name="deliver")
def deliver_fixture(db: None) -> Callable[..., None]:
    """`deliver`, without an import."""
    return deliver


@pytest.fixture(name="armed")
def armed_fixture() -> Callable[[str, Callable[[], None]], AbstractContextManager[None]]:
    """`eventbus.faults.armed`: do something at a fault point, for the length of a block."""
    return faults.armed


def _process(room: str, messages: list[Message]) -> None:
    before = set(ParkedEvent.objects.values_list("pk", flat=True))
    Processor(room).process(messages)
    for parked in ParkedEvent.objects.exclude(pk__in=before):
        raise HandlingFailedError(_described(parked))


def _described(parked: ParkedEvent) -> str:
    return f"{parked.group} could not handle {parked.topic}:\n{parked.traceback or parked.state}"


def _rooms_for(event_class: type[Event]) -> list[str]:
    topic = spec_of(event_class).topic
    return [room for room in bus_settings().rooms if topic in handlers_of(room)]


def _waiting() -> QuerySet[OutboxEvent]:
    """The events of the rooms; dead letters are for other tools."""
    return OutboxEvent.objects.exclude(topic__endswith=SUFFIX).order_by("id")


def _decode(row: OutboxEvent) -> Event:
    spec = registered()[row.headers["ce_type"]]
    return spec.decode(bytes(row.payload), fallback_id=str(row.event_id))

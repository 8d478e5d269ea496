"""A database that cannot write is waited for; no event, handler or key is blamed for it."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from uuid import UUID, uuid4

import pytest
from django.db import DatabaseError, transaction

from eventbus import consumer as consumer_module
from eventbus import relay as relay_module
from eventbus.consumer import Consumer
from eventbus.models import HeldKey, InboxEvent, OutboxEvent, ParkedEvent
from eventbus.outbox import publish
from eventbus.processing import DatabaseUnavailableError, Processor
from eventbus.relay import Relay
from tests.eventbus.conftest import message
from tests.eventbus.full_disk import CANCELLED, DEADLOCK, DISK_FULL, READ_ONLY, refusing
from tests.eventbus.sample import Counted, numbers, troubles
from tests.proof.broker import Broker, RecordingProducer
from tests.proof.group import Group, Source


@pytest.mark.parametrize("code", [DISK_FULL, READ_ONLY])
@pytest.mark.parametrize("table", ["eventbus_inboxevent", "sample_effect"])
def test_a_batch_waits_for_the_database_and_nobody_is_parked(processor: Processor, table: str, code: str) -> None:
    counter = uuid4()
    batch = [message(counter, 1), message(counter, 2)]

    with refusing(table, "INSERT", code), pytest.raises(DatabaseUnavailableError):
        processor.process(batch)

    assert not InboxEvent.objects.exists()
    assert not ParkedEvent.objects.exists()
    processor.process(batch)
    assert numbers(counter) == [1, 2]


def test_an_event_that_fails_is_not_forgotten_when_it_cannot_be_parked(processor: Processor) -> None:
    counter = uuid4()
    troubles[1] = lambda: RuntimeError("boom")
    batch = [message(counter, 1)]

    with refusing("eventbus_parkedevent", "INSERT"), pytest.raises(DatabaseUnavailableError):
        processor.process(batch)

    assert not InboxEvent.objects.exists()
    processor.process(batch)
    assert ParkedEvent.objects.get().error == "boom"


def test_a_retry_is_not_a_failure_of_the_handler(processor: Processor) -> None:
    counter = uuid4()
    troubles[1] = lambda: RuntimeError("boom")
    processor.process([message(counter, 1)])
    troubles.clear()

    with refusing("sample_effect", "INSERT"):
        for _ in range(5):  # more often than an event is tried
            ParkedEvent.objects.update(next_attempt_at="2020-01-01T00:00Z")
            with pytest.raises(DatabaseUnavailableError):
                processor.retry_due()

    waiting = ParkedEvent.objects.get()
    assert (waiting.state, waiting.error) == (ParkedEvent.State.RETRYING, "boom")
    assert (waiting.attempts, waiting.crashes) == (1, 0)
    ParkedEvent.objects.update(next_attempt_at="2020-01-01T00:00Z")
    processor.retry_due()
    assert numbers(counter) == [1]


class Waiting(Source):
    """A member of the group on whose database somebody makes room while it waits."""

    def __init__(self, group: Group, member: int, disk: ExitStack) -> None:
        super().__init__(group, member)
        self.disk, self.waits = disk, 0

    def stay_in_group(self, seconds: float) -> None:
        assert sum(self.group.committed.values()) == 0
        self.waits += 1
        if self.waits == 3:
            self.disk.close()


def test_the_consumer_waits_until_there_is_room_and_goes_on(
    sample_room: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broker, disk, counter = Broker(), ExitStack(), uuid4()
    for number in (1, 2, 3):
        counted = Counted(counter_id=counter, number=number)
        broker.append("sample.counted", counted.key.encode(), counted.encode(), {})
    source = Waiting(Group(broker), 0, disk)
    monkeypatch.setattr(consumer_module, "EventConsumer", lambda *_, **__: source)
    disk.enter_context(refusing("eventbus_inboxevent", "INSERT"))

    assert Consumer("tests").step() == 3

    assert (source.waits, numbers(counter), source.group.lag()) == (3, [1, 2, 3], 0)
    said = [record.getMessage() for record in caplog.records]
    assert said[:1] == ["consumer tests: waiting for the database: the database cannot write"]


@pytest.fixture
def broker(sample_room: None, monkeypatch: pytest.MonkeyPatch) -> Broker:
    made = Broker()
    monkeypatch.setattr(relay_module, "EventProducer", partial(RecordingProducer, made))
    return made


@pytest.fixture
def relay(broker: Broker) -> Iterator[Relay]:
    relay = Relay()
    yield relay
    relay.leases._closing.set()


def one_event(counter: UUID) -> str:
    with transaction.atomic():
        publish(Counted(counter_id=counter, number=1))
    return str(OutboxEvent.objects.order_by("id").last().event_id)


@pytest.mark.django_db(transaction=True)  # the relay holds no transaction open that could roll its statement back
@pytest.mark.parametrize("code", [DISK_FULL, READ_ONLY, DEADLOCK, CANCELLED])
def test_the_relay_waits_and_sends_again_what_it_could_not_strike_off(relay: Relay, broker: Broker, code: str) -> None:
    counter = uuid4()
    first, second = one_event(counter), one_event(counter)

    with refusing("eventbus_outboxevent", "DELETE", code):
        pauses = [relay._guarded_round() for _ in range(2)]

    assert pauses == [1.0, 1.0]
    assert relay.health.troubles()["database"].startswith("the database cannot write")
    assert OutboxEvent.objects.count() == 2
    relay._guarded_round()
    assert not OutboxEvent.objects.exists()
    assert not HeldKey.objects.exists()
    assert broker.ids_by_key() == {str(counter): [first, second]}


def test_publish_without_room_fails_with_its_transaction(sample_room: None) -> None:
    with (
        refusing("eventbus_outboxevent", "INSERT"),
        pytest.raises(DatabaseError),
        transaction.atomic(),
    ):
        publish(Counted(counter_id=uuid4(), number=1))

    assert not OutboxEvent.objects.exists()

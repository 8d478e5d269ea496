"""Each answer that a broker can give to the relay's producer, and what Kafka holds when the trouble is over."""

import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction

from devstack.kafka_builtin import BuiltinBroker
from eventbus import operators
from eventbus.exceptions import BrokerUnavailableError
from eventbus.kafka.admin import Cluster
from eventbus.kafka.reading import tail
from eventbus.models import HeldKey, OutboxEvent
from eventbus.outbox import publish, topic_of
from eventbus.relay import Relay
from eventbus.topics import sync_topics
from tests.eventbus.sample import Counted

pytestmark = [pytest.mark.django_db(transaction=True)]

PRODUCE = 0  # Kafka's API key
NOT_LEADER_OR_FOLLOWER, REQUEST_TIMED_OUT, NOT_ENOUGH_REPLICAS = 6, 7, 19  # Kafka's error codes
MSG_SIZE_TOO_LARGE, TOPIC_AUTHORIZATION_FAILED = 10, 29
OUT_OF_ORDER_SEQUENCE, INVALID_PRODUCER_EPOCH, UNKNOWN_PRODUCER_ID = 45, 47, 59
KEYS, NUMBERS = 12, [1, 2, 3]  # about two keys a partition, so that an error meets a batch of several
PATIENCE_SECONDS = 60.0


def count(counters: list[UUID], numbers: list[int], **fields: Any) -> None:
    """One event for each counter and number, each number in a transaction of its own."""
    for number in numbers:
        with transaction.atomic():
            publish(*(Counted(counter_id=counter, number=number, sequence=number, **fields) for counter in counters))


def on_the_topic() -> dict[UUID, list[int]]:
    """What Kafka holds of each counter in the order of its offsets, copies of an event included."""
    topic = topic_of(Counted.spec)
    [lag] = Cluster().lag("nobody", [topic])
    messages = tail([topic], from_beginning=True, stop=lambda: False)
    found: dict[UUID, list[int]] = {}
    for _ in range(lag.end):
        counted = Counted.spec.decode(next(messages).value, fallback_id="")
        assert isinstance(counted, Counted)
        found.setdefault(counted.counter_id, []).append(counted.number)
    return found


def first_of_each() -> dict[UUID, list[int]]:
    """The same as a reader with an inbox meets it: a copy counts where it came first."""
    return {counter: list(dict.fromkeys(numbers)) for counter, numbers in on_the_topic().items()}


def work(relay: Relay, until: Callable[[], bool]) -> None:
    """Rounds as the process makes them, pauses included, until it is so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not until():
        assert time.monotonic() < deadline, f"still waiting: {relay.connection.trouble}"
        time.sleep(min(relay._guarded_round(), 0.1))


def is_empty() -> bool:
    return not OutboxEvent.objects.exists()


@pytest.fixture
def one_partition(bus: Any) -> None:
    """All keys in one batch."""
    bus.EVENTBUS = {**bus.EVENTBUS, "partitions": 1}


@pytest.fixture
def counters() -> list[UUID]:
    return [uuid4() for _ in range(KEYS)]


@pytest.fixture
def relay(bus: Any, builtin: BuiltinBroker) -> Any:
    """Its round takes everything, however the random keys share the buckets."""
    bus.EVENTBUS = {**bus.EVENTBUS, "relay_batch_min": 16 * KEYS * len(NUMBERS)}
    relay = Relay()
    relay.leases.start()
    relay.leases.balance()
    yield relay
    relay._close()


@pytest.mark.parametrize("code", [NOT_LEADER_OR_FOLLOWER, REQUEST_TIMED_OUT, NOT_ENOUGH_REPLICAS])
def test_a_trouble_that_passes_is_ridden_out_by_the_client_without_a_copy(
    relay: Relay, builtin: BuiltinBroker, counters: list[UUID], code: int
) -> None:
    count(counters, NUMBERS)
    builtin.push_errors(PRODUCE, code, code, code)

    assert relay.round() == KEYS * len(NUMBERS)

    assert is_empty()
    assert on_the_topic() == dict.fromkeys(counters, NUMBERS)


def test_a_broker_that_forgot_the_producer_is_told_again_who_it_is(
    relay: Relay, builtin: BuiltinBroker, counters: list[UUID]
) -> None:
    producer = relay._connected()
    count(counters, NUMBERS)
    builtin.push_errors(PRODUCE, UNKNOWN_PRODUCER_ID)

    assert relay.round() == KEYS * len(NUMBERS)

    assert relay._producer is producer
    assert on_the_topic() == dict.fromkeys(counters, NUMBERS)


@pytest.mark.parametrize("code", [INVALID_PRODUCER_EPOCH, OUT_OF_ORDER_SEQUENCE])
def test_what_a_dead_producer_left_is_sent_by_a_new_one_in_order(
    relay: Relay, builtin: BuiltinBroker, counters: list[UUID], code: int
) -> None:
    dead = relay._connected()
    count(counters, NUMBERS)
    builtin.push_errors(PRODUCE, code)

    work(relay, is_empty)

    assert dead.broken
    assert relay._producer is not dead
    assert first_of_each() == dict.fromkeys(counters, NUMBERS)
    assert not HeldKey.objects.exists()


@pytest.mark.usefixtures("one_partition")
def test_an_event_too_large_holds_its_key_and_nothing_else_of_its_batch(
    relay: Relay, builtin: BuiltinBroker, counters: list[UUID]
) -> None:
    guilty, *others = counters
    count(counters, NUMBERS)
    builtin.push_errors(PRODUCE, MSG_SIZE_TOO_LARGE, MSG_SIZE_TOO_LARGE)  # the batch, then its first event alone

    work(relay, lambda: OutboxEvent.objects.count() == len(NUMBERS))

    [held] = HeldKey.objects.all()
    assert (held.key, held.reason) == (str(guilty), "Broker: Message size too large")
    assert held.outbox_id == OutboxEvent.objects.filter(key=held.key).first().pk
    assert on_the_topic() == dict.fromkeys(others, NUMBERS)
    operators.release_key(held, actor="ann")
    work(relay, is_empty)
    assert on_the_topic() == dict.fromkeys(counters, NUMBERS)


@pytest.mark.usefixtures("one_partition")
def test_a_batch_too_large_as_a_whole_holds_nobody(relay: Relay, builtin: BuiltinBroker, counters: list[UUID]) -> None:
    count(counters, NUMBERS)
    builtin.push_errors(PRODUCE, MSG_SIZE_TOO_LARGE)

    work(relay, is_empty)

    assert not HeldKey.objects.exists()
    assert on_the_topic() == dict.fromkeys(counters, NUMBERS)


@pytest.mark.usefixtures("one_partition")
def test_a_broker_that_goes_away_while_a_batch_is_searched_gets_no_innocent_held(
    relay: Relay, builtin: BuiltinBroker, counters: list[UUID]
) -> None:
    count(counters, NUMBERS)
    builtin.push_errors(PRODUCE, MSG_SIZE_TOO_LARGE, INVALID_PRODUCER_EPOCH)

    with pytest.raises(BrokerUnavailableError):
        relay.round()

    assert not HeldKey.objects.exists()
    work(relay, is_empty)
    assert first_of_each() == dict.fromkeys(counters, NUMBERS)


@pytest.mark.kafka
@pytest.mark.parametrize("broker", ["apache"], indirect=True)
@pytest.mark.usefixtures("one_partition", "broker")
def test_apache_kafka_refuses_one_event_and_takes_the_others_of_its_batch(counters: list[UUID]) -> None:
    sync_topics(Cluster(), apply=True)
    Cluster().configure_topic(topic_of(Counted.spec), {"max.message.bytes": "4000"})
    guilty, *others = counters
    count(counters, [1])
    count([guilty], [2], padding="x" * 8000)
    count(counters, [3])
    relay = Relay()
    relay.leases.start()

    work(relay, lambda: OutboxEvent.objects.count() == 2)

    relay._close()
    [held] = HeldKey.objects.all()
    assert (held.key, "too large" in held.reason) == (str(guilty), True)
    assert on_the_topic() == {guilty: [1], **{counter: [1, 3] for counter in others}}


def test_a_topic_that_was_forbidden_for_a_while_loses_nothing_and_holds_no_key(
    relay: Relay, builtin: BuiltinBroker, counters: list[UUID]
) -> None:
    count(counters, NUMBERS)
    builtin.push_errors(PRODUCE, TOPIC_AUTHORIZATION_FAILED)

    relay._guarded_round()
    assert "needs" in relay.connection.denied
    work(relay, is_empty)

    assert relay.connection.denied == ""
    assert first_of_each() == dict.fromkeys(counters, NUMBERS)
    assert not HeldKey.objects.exists()


def test_an_outage_shorter_than_the_delivery_timeout_is_not_even_noticed(
    relay: Relay, builtin: BuiltinBroker, counters: list[UUID]
) -> None:
    count(counters, [1])
    relay.round()
    producer = relay._producer
    count(counters, [2, 3])
    builtin.set_down()
    back = threading.Timer(1.5, builtin.set_up)
    back.start()

    assert relay.round() == KEYS * 2

    back.join()
    assert relay._producer is producer
    assert on_the_topic() == dict.fromkeys(counters, NUMBERS)


def test_an_outage_longer_than_the_delivery_timeout_gives_everything_up_at_once_and_sends_it_again(
    bus: Any, builtin: BuiltinBroker, counters: list[UUID]
) -> None:
    bus.EVENTBUS = {**bus.EVENTBUS, "delivery_timeout_seconds": 1.0}
    relay = Relay()
    relay.leases.start()
    relay.leases.balance()
    count(counters, [1])
    relay.round()
    count(counters, [2, 3])
    builtin.set_down()

    with pytest.raises(BrokerUnavailableError):
        relay.round()
    assert OutboxEvent.objects.count() == KEYS * 2

    builtin.set_up()
    work(relay, is_empty)
    relay._close()
    assert first_of_each() == dict.fromkeys(counters, NUMBERS)
    assert not HeldKey.objects.exists()

"""The relay on a broker that misbehaves, and beside other relays."""

import threading
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from devstack.kafka_builtin import BuiltinBroker
from eventbus import operators
from eventbus.exceptions import BrokerUnavailableError
from eventbus.kafka.reading import tail
from eventbus.messages import Message
from eventbus.models import HeldKey, OperatorAction, OutboxEvent, RelayBucket
from eventbus.outbox import bucket_of, publish
from eventbus.relay import Relay
from tests.eventbus.conftest import after
from tests.eventbus.sample import Counted

pytestmark = [pytest.mark.django_db(transaction=True)]

PRODUCE = 0  # Kafka's API key
MSG_SIZE_TOO_LARGE, NOT_ENOUGH_REPLICAS, OUT_OF_ORDER_SEQUENCE = 10, 19, 45  # Kafka's error codes


def count_to(number: int, counters: list[Any]) -> None:
    for n in range(1, number + 1):
        with transaction.atomic():
            publish(*(Counted(counter_id=counter, number=n, sequence=n) for counter in counters))


def on_the_topic(seconds: float = 1.5) -> dict[str, list[int]]:
    """The numbers on the topic by key, in the order of their offsets."""
    found: dict[str, list[int]] = {}
    for message in tail(["sample.counted"], from_beginning=True, stop=after(seconds)):
        found.setdefault((message.key or b"").decode(), []).append(number_of(message))
    return found


def run_and_close(relay: Relay) -> None:
    relay.run()
    connection.close()


def number_of(message: Message) -> int:
    event = Counted.spec.decode(message.value, fallback_id="")
    assert isinstance(event, Counted)
    return event.number


@pytest.fixture
def relay(builtin: BuiltinBroker) -> Any:
    relay = Relay()
    relay.leases.start()
    relay.leases.balance()
    yield relay
    relay._close()


def test_a_round_is_one_fetch_and_one_delete(relay: Relay) -> None:
    count_to(1, [uuid4() for _ in range(30)])

    with CaptureQueriesContext(connection) as queries:
        assert relay.round() == 30

    assert [query["sql"].split()[0] for query in queries] == ["DELETE"]  # the fetch goes past Django's cursor
    assert not OutboxEvent.objects.exists()


def test_a_passing_trouble_of_the_broker_is_ridden_out(relay: Relay, builtin: BuiltinBroker) -> None:
    counter = uuid4()
    count_to(3, [counter])
    builtin.push_errors(PRODUCE, NOT_ENOUGH_REPLICAS, NOT_ENOUGH_REPLICAS)

    assert relay.round() == 3

    assert on_the_topic() == {str(counter): [1, 2, 3]}


def test_rows_stay_while_no_broker_answers_and_go_when_it_is_back(bus: Any, builtin: BuiltinBroker) -> None:
    bus.EVENTBUS = {**bus.EVENTBUS, "delivery_timeout_seconds": 1.0}
    relay = Relay()
    relay.leases.start()
    relay.leases.balance()
    counter = uuid4()
    count_to(3, [counter])
    builtin.set_down()
    with pytest.raises(BrokerUnavailableError):
        relay.round()
    assert OutboxEvent.objects.count() == 3

    builtin.set_up()
    while OutboxEvent.objects.exists():
        try:
            relay.round()
        except BrokerUnavailableError:
            time.sleep(0.1)
    relay._close()

    seen = on_the_topic()[str(counter)]
    assert sorted(set(seen)) == [1, 2, 3]
    assert [number for at, number in enumerate(seen) if number not in seen[:at]] == [1, 2, 3]


def test_a_dead_producer_is_replaced(relay: Relay, builtin: BuiltinBroker) -> None:
    counter = uuid4()
    count_to(2, [counter])
    builtin.push_errors(PRODUCE, OUT_OF_ORDER_SEQUENCE)

    for _ in range(50):
        relay._guarded_round()
        if not OutboxEvent.objects.exists():
            break

    assert not OutboxEvent.objects.exists()
    seen = on_the_topic()[str(counter)]
    assert [number for at, number in enumerate(seen) if number not in seen[:at]] == [1, 2]


def test_an_event_refused_for_good_holds_its_key_and_no_other(relay: Relay, builtin: BuiltinBroker) -> None:
    bad, good = uuid4(), uuid4()
    count_to(1, [bad])
    builtin.push_errors(PRODUCE, MSG_SIZE_TOO_LARGE)
    assert relay.round() == 0
    count_to(2, [good])
    with transaction.atomic():
        publish(Counted(counter_id=bad, number=2))

    assert relay.round() == 2

    [held] = HeldKey.objects.all()
    assert (held.topic, held.key) == ("sample.counted", str(bad))
    assert "size" in held.reason.lower()
    assert set(OutboxEvent.objects.values_list("key", flat=True)) == {str(bad)}
    assert on_the_topic() == {str(good): [1, 2]}


@pytest.fixture
def held_key(relay: Relay, builtin: BuiltinBroker) -> HeldKey:
    counter = uuid4()
    count_to(1, [counter])
    builtin.push_errors(PRODUCE, MSG_SIZE_TOO_LARGE)
    relay.round()
    with transaction.atomic():
        publish(Counted(counter_id=counter, number=2))
    return HeldKey.objects.get()


def test_a_released_key_is_tried_again_in_order(relay: Relay, held_key: HeldKey) -> None:
    operators.release_key(held_key, actor="ann")

    assert relay.round() == 2

    assert on_the_topic() == {held_key.key: [1, 2]}
    assert OperatorAction.objects.get().action == "release"


def test_a_skipped_event_never_leaves_and_its_key_goes_on(relay: Relay, held_key: HeldKey) -> None:
    operators.skip_event(held_key, actor="ann", reason="made by a bug")

    assert relay.round() == 1

    assert on_the_topic() == {held_key.key: [2]}
    assert OperatorAction.objects.get().reason == "made by a bug"


def test_a_key_held_by_hand_stays_until_it_is_released_and_others_go(relay: Relay) -> None:
    stopped, other = uuid4(), uuid4()
    held = operators.hold_key(topic="sample.counted", key=str(stopped), actor="ann", reason="wrong amounts")
    count_to(2, [stopped, other])

    assert relay.round() == 2
    operators.release_key(held, actor="ann")
    assert relay.round() == 2

    assert on_the_topic() == {str(stopped): [1, 2], str(other): [1, 2]}


def test_headers_of_another_hand_travel_as_their_json_and_block_nothing(relay: Relay) -> None:
    counter = uuid4()
    count_to(1, [counter, uuid4()])
    OutboxEvent.objects.filter(key=str(counter)).update(headers={"text": "as it is", "number": 1, "nothing": None})

    assert relay.round() == 2

    sent = {message.key: message.headers for message in tail(["sample.counted"], from_beginning=True, stop=after(1.5))}
    assert sent[str(counter).encode()] == {"text": "as it is", "number": "1", "nothing": "null"}


def test_a_relay_whose_lease_was_taken_finishes_nothing(relay: Relay) -> None:
    counter = uuid4()
    count_to(1, [counter])
    owned = relay.leases.held()
    rows = relay._fetch(owned)
    RelayBucket.objects.filter(bucket=bucket_of(str(counter))).update(owner=uuid4(), epoch=99)

    relay._finish(rows, owned)

    assert OutboxEvent.objects.count() == 1


def test_two_relays_share_the_buckets_and_keep_every_key_in_order(builtin: BuiltinBroker) -> None:
    counters = [uuid4() for _ in range(40)]
    relays = [Relay(), Relay()]
    threads = [threading.Thread(target=run_and_close, args=[relay]) for relay in relays]
    for thread in threads:
        thread.start()
    shared: list[int] = []
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline and shared != [8, 8]:
        count_to(1, counters[:1])
        shared = sorted(len(relay.leases.held()) for relay in relays)
        time.sleep(0.05)
    count_to(20, counters[1:])
    while OutboxEvent.objects.exists():
        time.sleep(0.05)
    for relay, thread in zip(relays, threads, strict=True):
        relay.stop()
        thread.join()

    assert shared == [8, 8]
    assert all(relay.published > 0 for relay in relays)
    found = on_the_topic(3)
    assert [found[str(counter)] for counter in counters[1:]] == [list(range(1, 21))] * 39


def test_buckets_of_a_dead_relay_are_taken_over_when_its_lease_runs_out(relay: Relay) -> None:
    RelayBucket.objects.update(owner=uuid4(), expires_at=timezone.now() - timedelta(seconds=1))
    relay.leases._held.clear()
    relay.leases._balanced_at = 0

    relay.leases.balance()

    assert len(relay.leases.held()) == 16

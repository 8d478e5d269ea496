"""What a stranger or an operator may do to a topic, brought through Kafka to the real consumer."""

import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from django.db import transaction

from eventbus.conf import bus_settings
from eventbus.consumer import Consumer
from eventbus.kafka.admin import Cluster
from eventbus.models import HeldKey, OutboxEvent, ParkedEvent
from eventbus.outbox import publish, topic_of
from eventbus.relay import Relay
from eventbus.topics import sync_topics, topic_plans
from tests.eventbus.conftest import ROOM
from tests.eventbus.sample import Counted, numbers
from tests.kafka.raw_producer import produce_with_header

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sample_room")]

PATIENCE_SECONDS = 90.0
GROUP = ROOM["tests"]["group_id"]


@pytest.fixture
def topic(broker: str) -> str:
    if broker == "apache":
        sync_topics(Cluster(), apply=True)
    return topic_of(Counted.spec)


@pytest.fixture
def stranger(topic: str) -> Iterator[Producer]:
    """Somebody else who writes to our topic."""
    producer = Producer({"bootstrap.servers": bus_settings().brokers, "message.max.bytes": 20_000_000})
    yield producer
    assert producer.flush(PATIENCE_SECONDS) == 0


@pytest.fixture
def relay(broker: str, bus: Any) -> Iterator[Relay]:
    """A running relay that gives up soon what a missing topic does not take."""
    bus.EVENTBUS = {**bus.EVENTBUS, "delivery_timeout_seconds": 3.0}
    relay = Relay()
    relay.leases.start()
    yield relay
    relay._close()


@pytest.fixture
def admin(topic: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": bus_settings().brokers})


def counted(counter: UUID, number: int) -> bytes:
    return Counted(counter_id=counter, number=number).encode()


def publish_numbers(counter: UUID, *these: int) -> None:
    for number in these:
        with transaction.atomic():
            publish(Counted(counter_id=counter, number=number))


def work(step: Callable[[], object], until: Callable[[], bool]) -> None:
    """Again and again until it is so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not until():
        assert time.monotonic() < deadline
        step()


def test_a_header_whose_name_is_no_text_takes_the_other_headers_with_it_and_nothing_else(
    topic: str, stranger: Producer
) -> None:
    counter = uuid4()
    for number in range(1, 101):  # what runs often runs otherwise: CPython then leaves checks out
        stranger.produce(topic, key=b"k", value=counted(counter, number))
    stranger.flush(PATIENCE_SECONDS)
    produce_with_header(
        bus_settings().brokers, topic=topic, key=b"k", value=counted(counter, 101), name=b"\xff\xfe", text=b"v"
    )

    assert Consumer("tests").drain() == 101

    assert numbers(counter) == list(range(1, 102))


def test_keys_values_and_headers_of_every_kind_hold_up_nobody(topic: str, stranger: Producer) -> None:
    counter = uuid4()
    headers: list[Any] = [
        [("ce_actor", None), ("ce_actor", b"\xff\xfe"), ("", b"no name")],
        [("ce_correlationid", b"x" * 800_000)],
        [(f"h{n}", b"") for n in range(1000)],
    ]
    for number, given in enumerate(headers, start=1):
        stranger.produce(topic, key=None, value=counted(counter, number), headers=given, partition=0)
    for key in (None, b"", b"\x00\xff", b"k" * 100_000):
        stranger.produce(topic, key=key, value=None, partition=0)
        stranger.produce(topic, key=key, value=b"{broken", partition=0)
    stranger.produce(topic, key=b"last", value=counted(counter, 9), partition=0)
    stranger.flush(PATIENCE_SECONDS)

    assert Consumer("tests").drain() == 12

    assert numbers(counter) == [1, 2, 3, 9]
    assert ParkedEvent.objects.dead().count() == 8 - ParkedEvent.objects.filter(state="queued").count()
    assert Relay().drain() == ParkedEvent.objects.dead().count()  # each is told on, none is refused
    assert not HeldKey.objects.exists()


@pytest.mark.kafka
@pytest.mark.parametrize("broker", ["apache"], indirect=True)
def test_ten_megabytes_are_read_and_their_dead_letter_leaves(topic: str, stranger: Producer) -> None:
    counter = uuid4()
    Cluster().configure_topic(topic, {"max.message.bytes": "20000000"})
    huge = counted(counter, 1)[:-1] + b',"invented":"' + b"x" * 10_000_000
    stranger.produce(topic, key=b"a", value=huge + b'"}', partition=0)
    stranger.produce(topic, key=b"b", value=huge, partition=0)
    stranger.produce(topic, key=b"c", value=counted(counter, 2), partition=0)
    stranger.flush(PATIENCE_SECONDS)

    assert Consumer("tests").drain() == 3

    assert numbers(counter) == [1, 2]
    assert bytes(ParkedEvent.objects.dead().get().payload) == huge
    assert Relay().drain() == 1
    assert not HeldKey.objects.exists()


@pytest.mark.kafka
@pytest.mark.parametrize("broker", ["apache"], indirect=True)
def test_events_of_a_missing_topic_wait_for_it_and_others_go(broker: str, relay: Relay) -> None:
    counter, other = uuid4(), topic_plans()[0].name
    Cluster().create_topic(other, partitions=1, replication=1, config={})
    publish_numbers(counter, 1, 2)
    row = OutboxEvent.objects.first()
    copied = {name: getattr(row, name) for name in ("event_id", "bucket", "payload", "headers", "sequence")}
    OutboxEvent.objects.bulk_create([OutboxEvent(**copied, topic=other, key="other") for _ in range(3)])

    work(relay._guarded_round, lambda: not OutboxEvent.objects.filter(topic=other).exists())

    assert OutboxEvent.objects.count() == 2
    assert not HeldKey.objects.exists()
    sync_topics(Cluster(), apply=True)
    work(relay._guarded_round, lambda: not OutboxEvent.objects.exists())
    assert Consumer("tests").drain() == 2
    assert numbers(counter) == [1, 2]


@pytest.mark.kafka
@pytest.mark.parametrize("broker", ["apache"], indirect=True)
@pytest.mark.parametrize("offset", [0, 1_000_000], ids=["before the beginning", "behind the end"])
def test_an_offset_out_of_range_is_read_again_from_the_beginning(topic: str, admin: AdminClient, offset: int) -> None:
    counter = uuid4()
    publish_numbers(counter, 1, 2, 3)
    Relay().drain()
    Consumer("tests").drain()
    publish_numbers(counter, 4)
    Relay().drain()
    parts = [TopicPartition(topic, number) for number in range(Cluster().partitions()[topic])]
    deleted = admin.delete_records(
        [TopicPartition(part.topic, part.partition, 1) for part in parts if ends(admin, part)]
    )
    assert [future.result().low_watermark for future in deleted.values()] == [1]
    moved = [TopicPartition(part.topic, part.partition, offset) for part in deleted]
    admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(GROUP, moved)])[GROUP].result()

    assert Consumer("tests").drain() == 3

    assert numbers(counter) == [1, 2, 3, 4]


def ends(admin: AdminClient, part: TopicPartition) -> int:
    """The offset that the partition's next message will have."""
    [future] = admin.list_offsets({part: OffsetSpec.latest()}).values()
    return int(future.result().offset)


@pytest.mark.kafka
@pytest.mark.parametrize("broker", ["apache"], indirect=True)
def test_a_topic_deleted_and_created_anew_while_its_consumers_are_stopped_is_read_from_its_beginning(
    topic: str, admin: AdminClient, relay: Relay
) -> None:
    counter = uuid4()
    publish_numbers(counter, 1, 2, 3)
    work(relay._guarded_round, lambda: not OutboxEvent.objects.exists())
    assert Consumer("tests").drain() == 3

    admin.delete_topics([topic])[topic].result()
    work(lambda: time.sleep(0.1), lambda: topic not in Cluster().partitions())
    publish_numbers(counter, 4)
    relay._guarded_round()
    assert OutboxEvent.objects.count() == 1
    sync_topics(Cluster(), apply=True)
    publish_numbers(counter, 5, 6, 7, 8)
    work(relay._guarded_round, lambda: not OutboxEvent.objects.exists())

    consumer = Consumer("tests")
    work(consumer.step, lambda: len(numbers(counter)) == 8)
    consumer._source.close()
    assert numbers(counter) == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.kafka
@pytest.mark.parametrize("broker", ["apache"], indirect=True)
@pytest.mark.parametrize("restarted", [False, True], ids=["which go on", "which are restarted after it"])
def test_a_topic_deleted_and_created_anew_while_its_consumers_run_is_read_from_its_beginning(
    topic: str, admin: AdminClient, relay: Relay, *, restarted: bool
) -> None:
    counter = uuid4()
    consumer = Consumer("tests")
    publish_numbers(counter, 1, 2, 3)
    work(relay._guarded_round, lambda: not OutboxEvent.objects.exists())
    work(consumer.step, lambda: len(numbers(counter)) == 3)

    admin.delete_topics([topic])[topic].result()
    work(lambda: time.sleep(0.1), lambda: topic not in Cluster().partitions())
    sync_topics(Cluster(), apply=True)
    publish_numbers(counter, 4, 5, 6, 7, 8)
    work(relay._guarded_round, lambda: not OutboxEvent.objects.exists())

    if restarted:
        consumer._close()  # its last commit is that of the old topic
        consumer = Consumer("tests")
    work(consumer.step, lambda: len(numbers(counter)) == 8)
    consumer._close()
    assert sorted(numbers(counter)) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert Consumer("tests").drain() == 0

"""What the consumer asks of a broker: to pause, to put back, to take in small portions, to die and be followed."""

import math
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
from confluent_kafka import Producer
from django.db import transaction

from eventbus.conf import bus_settings
from eventbus.consumer import Consumer
from eventbus.kafka.admin import Cluster
from eventbus.kafka.consumer import SLICE, EventConsumer
from eventbus.models import InboxEvent, ParkedEvent, PausedTopic
from eventbus.outbox import publish, topic_of
from eventbus.relay import Relay
from eventbus.topics import sync_topics
from tests.eventbus.sample import Counted, effects, numbers, troubles
from tests.kafka.group import eventually, members

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sample_room")]
MEGABYTE = 1_000_000


@pytest.fixture
def topics(broker: str) -> str:
    if broker == "apache":
        sync_topics(Cluster(), apply=True)
    return topic_of(Counted.spec)


def count_to(number: int, *, counters: int) -> list[Any]:
    ids = [uuid4() for _ in range(counters)]
    for n in range(1, number + 1):
        with transaction.atomic():
            publish(*(Counted(counter_id=counter, number=n) for counter in ids))
    Relay().drain()
    return ids


def test_a_paused_topic_is_read_on_from_where_it_stopped_when_it_is_resumed(topics: str) -> None:
    counters = count_to(2, counters=40)
    troubles.update(dict.fromkeys((1, 2), lambda: RuntimeError("the gateway is away")))
    consumer = Consumer("tests")
    eventually(lambda: bool(consumer.processor.breaker.paused()), during=consumer.step)
    for _ in range(3):
        consumer.step()
    parked = ParkedEvent.objects.count()
    assert InboxEvent.objects.count() == parked < 80  # nothing more was read

    troubles.clear()
    PausedTopic.objects.all().delete()
    consumer._looked_at = -math.inf
    eventually(lambda: InboxEvent.objects.count() == 80, during=consumer.step)
    ParkedEvent.objects.filter(state="retrying").update(next_attempt_at="2020-01-01T00:00Z")
    consumer.processor.retry_due()
    consumer._close()

    assert [numbers(counter) for counter in counters] == [[1, 2]] * 40
    assert not ParkedEvent.objects.exists()


def test_large_messages_come_in_small_batches(topics: str, bus: Any) -> None:
    bus.EVENTBUS = {**bus.EVENTBUS, "consumer_batch_bytes": 1000}
    count_to(1, counters=60)
    source, sizes = EventConsumer("tests", [topics]), list[int]()

    def take() -> None:
        found = source.take(100, 0.1)
        sizes.append(len(found))
        source.done(found)

    eventually(lambda: sum(sizes) == 60, during=take)
    source.close()

    assert max(sizes) <= 1000 // 100 + SLICE  # each is longer than 100 bytes


@pytest.mark.parametrize("broker", [pytest.param("apache", marks=pytest.mark.kafka)], indirect=True)
def test_a_flood_of_large_messages_does_not_grow_a_consumers_memory(topics: str, bus: Any, tmp_path: Path) -> None:
    producer = Producer({"bootstrap.servers": bus_settings().brokers, "enable.idempotence": True})
    with members(bus, tmp_path) as start:
        member = start()
        send(producer, Counted(counter_id=uuid4(), number=0))
        eventually(lambda: len(effects()) == 1)
        process, seen = psutil.Process(member.process.pid), list[int]()
        before = process.memory_info().rss
        for number in range(250):
            send(producer, Counted(counter_id=uuid4(), number=number, padding="x" * 800_000))
        eventually(lambda: len(effects()) == 251, during=lambda: seen.append(process.memory_info().rss))
        assert member.stop() == 0

    grown = max(seen) - before
    assert grown < 90 * MEGABYTE, f"{grown / MEGABYTE:.0f} MB of a flood of 200 MB"


def send(producer: Producer, event: Counted) -> None:
    producer.produce(topic_of(Counted.spec), event.encode(), event.key.encode())
    producer.flush(30)


@pytest.mark.parametrize("broker", ["builtin"], indirect=True)
def test_a_message_that_kills_its_process_holds_only_its_key(topics: str, bus: Any, tmp_path: Path) -> None:
    rooms = {"tests": {**bus.EVENTBUS["rooms"]["tests"], "client_id": "deadly"}}
    [deadly] = count_to(0, counters=1)
    with transaction.atomic():
        publish(Counted(counter_id=deadly, number=13), Counted(counter_id=deadly, number=14))
    [good] = count_to(3, counters=1)
    with members(bus, tmp_path) as start:
        for _ in range(2):
            assert start(rooms=rooms).process.wait(60) == -9
        survivor = start(rooms=rooms)
        eventually(lambda: InboxEvent.objects.count() == 5)
        assert survivor.stop() == 0

    assert numbers(good) == [1, 2, 3]
    assert numbers(deadly) == []
    assert list(ParkedEvent.objects.values_list("state", "crashes")) == [("retrying", 1), ("queued", 0)]

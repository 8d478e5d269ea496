"""What the bus needs of a broker, on every broker."""

import json
import time
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction

from devstack.ports import free_port
from eventbus import metrics
from eventbus.consumer import Consumer
from eventbus.exceptions import TopicsPausedError
from eventbus.kafka.admin import Cluster
from eventbus.kafka.reading import tail
from eventbus.models import InboxEvent, JournalEvent, OutboxEvent, ParkedEvent, PausedTopic, RelayBucket
from eventbus.outbox import publish, topic_of
from eventbus.relay import Relay
from eventbus.status import bus_status
from eventbus.topics import sync_topics
from tests.eventbus.conftest import after
from tests.eventbus.sample import Counted, effects, numbers, troubles

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sample_room")]


@pytest.fixture
def topics(broker: str) -> str:
    if broker == "apache":
        sync_topics(Cluster(), apply=True)
    return topic_of(Counted.spec)


def count_to(number: int, *, counters: int = 1) -> list[Any]:
    ids = [uuid4() for _ in range(counters)]
    for n in range(1, number + 1):
        with transaction.atomic():
            publish(*(Counted(counter_id=counter, number=n, sequence=n) for counter in ids))
    return ids


def test_events_travel_from_the_outbox_to_their_effects_in_key_order(topics: str) -> None:
    counters = count_to(20, counters=10)

    assert Relay().drain() == 200
    assert Consumer("tests").drain() == 200

    assert not OutboxEvent.objects.exists()
    assert [numbers(counter) for counter in counters] == [list(range(1, 21))] * 10
    assert InboxEvent.objects.count() == 200


def test_a_second_consumer_starts_where_the_first_committed(topics: str) -> None:
    count_to(3)
    Relay().drain()
    Consumer("tests").drain()
    [counter] = count_to(2)
    Relay().drain()

    assert Consumer("tests").drain() == 2
    assert numbers(counter) == [1, 2]


def test_published_twice_takes_effect_once(topics: str) -> None:
    count_to(2)
    copies = list(OutboxEvent.objects.all())
    Relay().drain()
    OutboxEvent.objects.bulk_create(copies)
    Relay().drain()

    assert Consumer("tests").drain() == 4
    assert len(effects()) == 2


def test_the_wire_carries_key_value_and_cloudevents_headers(topics: str) -> None:
    [counter] = count_to(1)
    row = OutboxEvent.objects.get()
    Relay().drain()

    message = next(tail([topics], from_beginning=True, stop=after(10)))

    assert message.key == str(counter).encode()
    assert message.value == bytes(row.payload)
    assert message.headers["ce_id"] == str(row.event_id)
    assert message.headers["ce_type"] == "sample.counted"
    assert message.headers["ce_source"] == "/tests"
    assert message.headers["ce_specversion"] == "1.0"
    assert message.headers["content-type"] == "application/json"


def test_a_poison_event_is_parked_and_the_partition_goes_on(topics: str) -> None:
    troubles[2] = lambda: RuntimeError("boom")
    [counter] = count_to(3)
    Relay().drain()
    consumer = Consumer("tests")
    troubled = consumer.drain()

    assert troubled == 3
    assert numbers(counter) == [1]
    assert list(ParkedEvent.objects.values_list("state", flat=True)) == ["retrying", "queued"]


def test_a_topic_that_is_paused_is_not_called_read_to_its_end(topics: str) -> None:
    count_to(3)
    Relay().drain()
    PausedTopic.objects.create(group="sample-consumer-group", topic=topics, reason="for the test")

    with pytest.raises(TopicsPausedError, match=f"^{topics}: paused, not read to the end"):
        Consumer("tests").drain()

    PausedTopic.objects.all().delete()
    assert Consumer("tests").drain() == 3


def test_a_stopped_relay_gives_its_buckets_back(topics: str) -> None:
    count_to(1)

    Relay().drain()

    assert RelayBucket.objects.count() == 16
    assert not RelayBucket.objects.filter(owner__isnull=False).exists()


def test_status_counts_what_waits_and_what_is_behind(topics: str) -> None:
    count_to(5)
    assert bus_status()["outbox"]["waiting"] == 5
    Relay().drain()

    [lag] = [row for row in bus_status()["lag"] if row["topic"] == topics]
    assert (lag["group"], lag["lag"]) == ("sample-consumer-group", 5)

    Consumer("tests").drain()

    status = bus_status()
    assert [row["lag"] for row in status["lag"] if row["topic"] == topics] == [0]
    assert status["outbox"] == {"waiting": 0, "oldest_age_seconds": None}


def test_topics_are_as_planned_once_they_are_synchronised(topics: str) -> None:
    assert sync_topics(Cluster(), apply=False) == []
    assert Cluster().partitions()[topics] == 6


@pytest.mark.parametrize("broker", [pytest.param("apache", marks=pytest.mark.kafka)], indirect=True)
def test_the_classic_group_protocol_serves_older_brokers(topics: str, bus: Any) -> None:
    bus.EVENTBUS = {**bus.EVENTBUS, "group_protocol": "classic", "session_timeout_ms": 6000}
    [counter] = count_to(3)
    Relay().drain()

    assert Consumer("tests").drain() == 3
    assert numbers(counter) == [1, 2, 3]


def test_a_consumer_that_dies_before_its_offsets_are_stored_doubles_nothing(topics: str, monkeypatch: Any) -> None:
    [counter] = count_to(5)
    Relay().drain()
    dying = Consumer("tests")
    monkeypatch.setattr(dying._source, "done", lambda messages: None)
    while not dying.step():
        pass
    dying._source.close()
    assert numbers(counter) == [1, 2, 3, 4, 5]

    assert Consumer("tests").drain() == 5
    assert numbers(counter) == [1, 2, 3, 4, 5]


def test_the_journal_copies_every_event_once_and_reads_for_itself(topics: str, bus: Any) -> None:
    bus.EVENTBUS = {**bus.EVENTBUS, "journal": {"client_id": "journal", "group_id": f"journal-{uuid4()}"}}
    counters = count_to(5, counters=3)
    Relay().drain()

    assert Consumer("journal").drain() == 15
    assert Consumer("tests").drain() == 15

    rows = JournalEvent.objects.filter(topic=topics).order_by("id")
    assert {row.key for row in rows} == {str(counter) for counter in counters}
    for counter in counters:
        assert [json.loads(bytes(row.payload))["number"] for row in rows if row.key == str(counter)] == [1, 2, 3, 4, 5]
    assert all(abs((row.time - row.recorded_at).total_seconds()) < 3600 for row in rows)
    assert InboxEvent.objects.count() == 15


def test_a_consumer_tells_how_far_it_is_behind_and_when_it_last_asked(topics: str, bus: Any) -> None:
    bus.EVENTBUS = {**bus.EVENTBUS, "consumer_batch": 4}
    count_to(10)
    Relay().drain()
    consumer = Consumer("tests")
    consumer.health.serve(free_port())
    try:
        began = time.time()
        while not consumer.step():
            pass
        consumer._looked_at = 0.0
        consumer._look()
        behind = metrics.consumer_lag.labels("sample-consumer-group", topics)._value.get()
        polled_at = metrics.consumer_polled_at.labels("sample-consumer-group")._value.get()
    finally:
        consumer.health.close()
        consumer._source.close()

    assert behind == 10 - consumer.handled
    assert 0 < consumer.handled <= 4
    assert began <= polled_at <= time.time()

"""A topic that the broker does not have delays its own events, and only until it is made."""

import logging
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka.admin import AdminClient
from django.db import transaction

from devstack.kafka_builtin import BuiltinBroker
from eventbus.dead_letters import dead_letter_topic
from eventbus.exceptions import BrokerRefusedError
from eventbus.kafka import missing
from eventbus.kafka.admin import Cluster
from eventbus.models import OutboxEvent
from eventbus.outbox import NewRow, append, publish, topic_of
from eventbus.relay import Relay
from tests.eventbus.sample import Counted

pytestmark = [pytest.mark.django_db(transaction=True)]

UNKNOWN_TOPIC = 3  # Kafka's error code


@pytest.fixture
def without_topic(request: pytest.FixtureRequest, broker: str) -> Callable[[bool], None]:
    """A broker that has one topic of two; called, it gets the other or loses it."""
    topic = dead_letter_topic(topic_of(Counted.spec))

    def builtin(is_there: bool) -> None:
        kafka: BuiltinBroker = request.getfixturevalue("builtin")
        kafka.set_topic_error(topic, 0 if is_there else UNKNOWN_TOPIC)

    def apache(is_there: bool) -> None:
        if is_there:
            Cluster().create_topic(topic, partitions=1, replication=1, config={})

    if broker == "apache":
        Cluster().create_topic(topic_of(Counted.spec), partitions=1, replication=1, config={})
    return apache if broker == "apache" else builtin


@pytest.fixture
def relay(broker: str) -> Iterator[Relay]:
    relay = Relay()
    relay.leases.start()
    yield relay
    relay._close()


def publish_on_both(key: str) -> None:
    with transaction.atomic():
        publish(Counted(counter_id=uuid4(), number=1))
        topic = dead_letter_topic(topic_of(Counted.spec))
        row = {"topic": topic, "key": key, "payload": b"{}", "headers": {}, "aggregate_type": "counter"}
        append([NewRow(event_id=uuid4(), bucket=0, aggregate_id=key, sequence=0, **row)])


def waiting() -> list[str]:
    return list(OutboxEvent.objects.order_by("id").values_list("key", flat=True))


def test_a_missing_topic_delays_its_own_events_until_it_is_made(
    without_topic: Callable[[bool], None],
    relay: Relay,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    without_topic(False)
    for key in ("1", "2", "3"):
        publish_on_both(key)
        relay._guarded_round()

    assert waiting() == ["1", "2", "3"]
    [said] = [record.getMessage() for record in caplog.records if "waiting" in record.getMessage()]
    assert f"sync_topics has to make the topics {dead_letter_topic(topic_of(Counted.spec))}" in said
    assert relay.health.troubles() == {"kafka": relay.connection.lacking}

    monkeypatch.setattr(missing, "ASK_SECONDS", 0.0)
    without_topic(True)
    for _ in range(100):
        relay._guarded_round()
        if not waiting():
            break

    assert waiting() == []
    assert relay.health.troubles() == {}


def test_draining_says_which_topic_is_missing(without_topic: Callable[[bool], None]) -> None:
    without_topic(False)
    publish_on_both("1")

    with pytest.raises(BrokerRefusedError, match=r"sync_topics has to make the topics .*sample\.counted\.dlq"):
        Relay().drain()

    assert waiting() == ["1"]


@pytest.mark.kafka
@pytest.mark.parametrize("broker", ["apache"], indirect=True)
def test_a_topic_that_is_deleted_and_made_again_delays_its_own_events_only(
    relay: Relay, bus: Any, apache_brokers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus.EVENTBUS = {**bus.EVENTBUS, "delivery_timeout_seconds": 5.0}
    monkeypatch.setattr(missing, "ASK_SECONDS", 0.0)
    topics = [topic_of(Counted.spec), dead_letter_topic(topic_of(Counted.spec))]
    for topic in topics:
        Cluster().create_topic(topic, partitions=1, replication=1, config={})
    publish_on_both("1")
    until(relay, [])

    admin = AdminClient({"bootstrap.servers": apache_brokers})
    admin.delete_topics(topics[1:])[topics[1]].result()
    publish_on_both("2")
    until(relay, ["2"])
    Cluster().create_topic(topics[1], partitions=1, replication=1, config={})
    until(relay, [])


def until(relay: Relay, keys: list[str]) -> None:
    """Rounds until only the events of these keys wait."""
    for _ in range(200):
        relay._stop.wait(min(relay._guarded_round(), 0.05))
        if waiting() == keys:
            return
    pytest.fail(f"still waiting: {waiting()}, not {keys}")

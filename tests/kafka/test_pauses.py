"""A partition that was given away while it was paused, and comes back, is read again."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from eventbus.conf import bus_settings
from eventbus.kafka.admin import Cluster
from eventbus.kafka.consumer import EventConsumer
from eventbus.messages import Message
from eventbus.outbox import topic_of
from eventbus.topics import sync_topics
from tests.eventbus.sample import Counted

PATIENCE_SECONDS = 90.0
Waiting = Callable[[EventConsumer], None]


def hold_on(member: EventConsumer) -> None:
    """As while the database is away."""
    member.stay_in_group(0.2)


def leave_topic(member: EventConsumer) -> None:
    """As while the topic's handlers fail for all."""
    member.pause_only({topic_of(Counted.spec)})
    member.take(10, 0.2)


@pytest.fixture
def topic(broker: str) -> str:
    if broker == "apache":
        sync_topics(Cluster(), apply=True)
    return topic_of(Counted.spec)


@pytest.fixture
def member(topic: str) -> Iterator[EventConsumer]:
    """One that owns every partition."""
    with closing(EventConsumer("tests", [topic])) as alone:
        until(lambda: owned(alone) == bus_settings().partitions, lambda: alone.take(10, 0.1))
        yield alone


def owned(member: EventConsumer) -> int:
    return len(member._consumer.assignment())


def until(condition: Callable[[], bool], step: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        step()


@pytest.mark.parametrize("wait", [hold_on, leave_topic])
def test_what_was_paused_when_it_was_given_away_is_read_when_it_comes_back(
    topic: str, member: EventConsumer, wait: Waiting
) -> None:
    every = set(range(bus_settings().partitions))
    wait(member)
    with closing(EventConsumer("tests", [topic])) as other:

        def give_away() -> None:
            wait(member)
            other.take(10, 0.1)

        until(lambda: owned(other) > 0 and owned(member) + owned(other) == len(every), give_away)
    until(lambda: owned(member) == len(every), lambda: member.take(10, 0.1))
    member.pause_only(set())
    producer = Producer({"bootstrap.servers": bus_settings().brokers, "log_level": 2})
    for partition in every:
        producer.produce(topic, b"{}", partition=partition)
    producer.flush()

    read: set[int] = set()
    until(lambda: read == every, lambda: read.update(message.partition for message in member.take(10, 0.2)))


def test_a_client_that_cannot_go_back_does_not_go_on(topic: str, member: EventConsumer, monkeypatch: Any) -> None:
    class Stuck:
        """Kafka's client, but it refuses to seek."""

        def __getattr__(self, name: str) -> Any:
            return getattr(client, name)

        def seek(self, _: TopicPartition) -> None:
            raise KafkaException(KafkaError(KafkaError._STATE))

    client = member._consumer
    monkeypatch.setattr(member, "_consumer", Stuck())
    gone = Message(topic, bus_settings().partitions, 0, b"k", None)

    member.put_back([gone])  # not ours

    with pytest.raises(KafkaException):
        member.put_back([Message(topic, 0, 0, b"k", None)])

"""Messages read outside of any group: nothing is joined, nothing is committed, nobody else notices."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from eventbus.exceptions import BrokerUnavailableError
from eventbus.kafka.admin import Cluster
from eventbus.kafka.connection import common_settings, made
from eventbus.kafka.consumer import message_from
from eventbus.messages import Message

Place = tuple[str, int]  # topic, partition
Offsets = Mapping[Place, int]

PAGE = 500
SILENCE_SECONDS = 30.0


def bounds(topics: list[str], *, since: datetime | None) -> tuple[dict[Place, int], dict[Place, int]]:
    """Where to begin in each partition to see everything since that time, and where each ends now."""
    cluster = Cluster()
    ranges = cluster.ranges(topics)
    start = {place: earliest for place, (earliest, _) in ranges.items()}
    if since is not None:
        # A broker that cannot search by time finds nothing: then all is read.
        found = cluster.offsets_since(topics, since)
        start = {place: max(offset, found.get(place, -1)) for place, offset in start.items()}
    return start, {place: latest for place, (_, latest) in ranges.items()}


def read_between(start: Offsets, end: Offsets) -> Iterator[list[Message]]:
    """Every message from `start` up to but without `end`, in the order of each partition, in pages of up to 500.

    Raises BrokerUnavailableError when the broker falls silent.
    """
    left = {place: offset for place, offset in end.items() if start.get(place, 0) < offset}
    if not left:
        return
    consumer = _consumer()
    try:
        consumer.assign([TopicPartition(*place, start.get(place, 0)) for place in left])
        heard_at = time.monotonic()
        while left:
            raws = consumer.consume(PAGE, 0.2)
            page = [message_from(raw) for raw in raws if raw.error() is None]
            wanted = [message for message in page if message.offset < left.get((message.topic, message.partition), 0)]
            if wanted:
                yield wanted
            if _forget_finished(consumer, left) or page:
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > SILENCE_SECONDS:
                raise BrokerUnavailableError(f"Kafka has sent nothing for {SILENCE_SECONDS:g} s")
    finally:
        consumer.close()


def tail(
    topics: Iterable[str], *, from_beginning: bool = False, last: int = 0, stop: Callable[[], bool]
) -> Iterator[Message]:
    """Messages of these topics as they come until `stop()` is true: new ones only, all there are, or each partition's
    `last` before the new ones.
    """
    start = {
        place: earliest if from_beginning else max(earliest, latest - last)
        for place, (earliest, latest) in Cluster().ranges(topics).items()
    }
    consumer = _consumer()
    try:
        consumer.assign([TopicPartition(*place, offset) for place, offset in start.items()])
        while not stop():
            raw = consumer.poll(0.1)
            if raw is not None and raw.error() is None:
                yield message_from(raw)
    finally:
        consumer.close()


def _consumer() -> Any:
    return made(
        Consumer,
        {
            **common_settings("tributary-reader"),
            "group.id": "tributary-reader",  # the client wants a name; it neither joins nor commits
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 50,
            "queued.max.messages.kbytes": 16_384,
        },
    )


def _forget_finished(consumer: Any, left: dict[Place, int]) -> bool:
    """Take away the partitions that are read to their end; whether there were any."""
    positions = consumer.position([TopicPartition(*place) for place in left])
    finished = [(p.topic, p.partition) for p in positions if p.offset >= left[p.topic, p.partition]]
    for place in finished:
        del left[place]
    return bool(finished)

"""Questions to the cluster and changes of it: topics, partitions, offsets, lag."""

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ClusterMetadata,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from eventbus.exceptions import BrokerRefusedError, BrokerUnavailableError
from eventbus.kafka.connection import common_settings, made
from eventbus.kafka.security import explanation

TIMEOUT_SECONDS = 10.0
COORDINATOR_COMES = frozenset(
    {
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
    }
)


@dataclass(frozen=True, slots=True)
class TopicLag:
    """How far a group is behind on one topic, in messages, over all its partitions."""

    group: str
    topic: str
    lag: int
    committed: int
    end: int


class Cluster:
    """An administrative client; raises BrokerUnavailableError when no broker answers."""

    def __init__(self) -> None:
        self._refusal = ""
        self._admin = made(AdminClient, {**common_settings("tributary-admin"), "error_cb": self._note})

    def partitions(self) -> dict[str, int]:
        """Every topic and its number of partitions."""
        topics = self._metadata().topics
        return {name: len(topic.partitions) for name, topic in topics.items() if topic.error is None}

    def replicas(self) -> dict[str, int]:
        """Every topic and how many copies the partition has that has fewest."""
        return {
            name: min((len(part.replicas) for part in topic.partitions.values()), default=0)
            for name, topic in self._metadata().topics.items()
            if topic.error is None
        }

    def node_count(self) -> int:
        """How many brokers are in the cluster."""
        return len(self._metadata().brokers)

    def _metadata(self) -> ClusterMetadata:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            try:
                return self._admin.list_topics(timeout=1.0)
            except KafkaException as error:
                self._admin.poll(0)  # the client's own reason, if it has one, comes by its callback
                if self._refusal:
                    raise BrokerRefusedError(self._refusal) from error
                if time.monotonic() > deadline:
                    raise _unavailable(error) from error

    def _note(self, error: KafkaError) -> None:
        self._refusal = explanation(error) or self._refusal

    def create_topic(self, name: str, *, partitions: int, replication: int, config: Mapping[str, str]) -> None:
        """Create a topic; one that exists meanwhile is fine."""
        future = self._admin.create_topics(
            [NewTopic(name, num_partitions=partitions, replication_factor=replication, config=dict(config))],
            request_timeout=TIMEOUT_SECONDS,
        )[name]
        _settle(future, ignore={KafkaError.TOPIC_ALREADY_EXISTS})

    def grow_topic(self, name: str, *, partitions: int) -> None:
        """Give a topic more partitions; its keys will move between partitions."""
        _settle(self._admin.create_partitions([NewPartitions(name, partitions)], request_timeout=TIMEOUT_SECONDS)[name])

    def topic_config(self, name: str) -> dict[str, str]:
        """A topic's settings in force; empty when the broker cannot tell (librdkafka's built-in one cannot)."""
        resource = ConfigResource(ResourceType.TOPIC, name)
        future = self._admin.describe_configs([resource], request_timeout=TIMEOUT_SECONDS)[resource]
        found = _settle(future, ignore={KafkaError._UNSUPPORTED_FEATURE})
        return {entry.name: entry.value for entry in (found or {}).values()}

    def configure_topic(self, name: str, config: Mapping[str, str]) -> None:
        """Change some of a topic's settings, leaving the others alone."""
        entries = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in config.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
        _settle(self._admin.incremental_alter_configs([resource], request_timeout=TIMEOUT_SECONDS)[resource])

    def lag(self, group: str, topics: Iterable[str]) -> list[TopicLag]:
        """How far a group is behind on each topic; a partition nothing was committed of counts from its start."""
        parts = self._parts(topics)
        if not parts:
            return []
        committed = self._committed(group, parts)
        earliest = self._offsets(parts, OffsetSpec.earliest())
        latest = self._offsets(parts, OffsetSpec.latest())
        sums: dict[str, list[int]] = {}
        for part in parts:
            place = (part.topic, part.partition)
            position = committed.get(place, -1)
            position = max(position, earliest[place])
            row = sums.setdefault(part.topic, [0, 0])
            row[0] += position
            row[1] += latest[place]
        return [TopicLag(group, topic, end - done, done, end) for topic, (done, end) in sorted(sums.items())]

    def committed(self, group: str, topics: Iterable[str]) -> dict[tuple[str, int], int]:
        """The offset of each partition that the group goes on at; negative, or missing, where it committed none."""
        parts = self._parts(topics)
        return self._committed(group, parts) if parts else {}

    def ranges(self, topics: Iterable[str]) -> dict[tuple[str, int], tuple[int, int]]:
        """The first offset that each partition still holds, and the one that its next message will have."""
        parts = self._parts(topics)
        earliest, latest = self._offsets(parts, OffsetSpec.earliest()), self._offsets(parts, OffsetSpec.latest())
        return {place: (earliest[place], latest[place]) for place in earliest}

    def offsets_since(self, topics: Iterable[str], moment: datetime) -> dict[tuple[str, int], int]:
        """Each partition's first offset of that time or later; -1 where the broker knows none."""
        milliseconds = int(moment.timestamp() * 1000)
        return self._offsets(self._parts(topics), OffsetSpec.for_timestamp(milliseconds))

    def _parts(self, topics: Iterable[str]) -> list[TopicPartition]:
        known = self.partitions()
        return [TopicPartition(topic, number) for topic in topics for number in range(known.get(topic, 0))]

    def _committed(self, group: str, parts: list[TopicPartition]) -> dict[tuple[str, int], int]:
        """What the group committed; a coordinator that is still loading is asked again."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            request = [ConsumerGroupTopicPartitions(group, parts)]
            future = self._admin.list_consumer_group_offsets(request, request_timeout=TIMEOUT_SECONDS)[group]
            try:
                return {(p.topic, p.partition): p.offset for p in future.result().topic_partitions}
            except KafkaException as error:
                code = error.args[0].code()
                if code == KafkaError.GROUP_ID_NOT_FOUND:
                    return {}
                if code not in COORDINATOR_COMES or time.monotonic() > deadline:
                    raise _unavailable(error) from error
            time.sleep(0.2)

    def _offsets(self, parts: list[TopicPartition], spec: OffsetSpec) -> dict[tuple[str, int], int]:
        if not parts:
            return {}
        futures = self._admin.list_offsets(dict.fromkeys(parts, spec), request_timeout=TIMEOUT_SECONDS)
        return {(p.topic, p.partition): _settle(future).offset for p, future in futures.items()}


def _settle(future: Future[Any], ignore: Iterable[int] = ()) -> Any:
    try:
        return future.result()
    except KafkaException as error:
        if error.args[0].code() in set(ignore):
            return None
        if error.args[0].code() in {KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN}:
            raise _unavailable(error) from error
        raise BrokerRefusedError(error.args[0].str()) from error


def _unavailable(error: KafkaException) -> BrokerUnavailableError:
    return BrokerUnavailableError(f"Kafka does not answer: {error.args[0].str()}")

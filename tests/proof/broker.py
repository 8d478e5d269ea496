"""A broker in memory that keeps what it was sent, and misbehaves when told to."""

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from zlib import crc32

from confluent_kafka import KafkaError

from eventbus.kafka.connection import Connection
from eventbus.kafka.outcome import Outcome
from eventbus.messages import Message, Row

PARTITIONS = 2


class Broker:
    """Two partitions, for every topic the same; a plan says what becomes of the next messages sent."""

    def __init__(self) -> None:
        self.logs: dict[tuple[str, int], list[Message]] = defaultdict(list)
        self.plan: list[str] = []  # of the next messages sent, one word each; after them all goes well
        self.mutex = threading.Lock()

    def append(self, topic: str, key: bytes, value: bytes, headers: Mapping[str, str]) -> None:
        """Write one message where its key belongs."""
        with self.mutex:
            partition = crc32(key) % PARTITIONS
            log = self.logs[topic, partition]
            log.append(Message(topic, partition, len(log), key, value, dict(headers)))

    def fate(self) -> str:
        """What becomes of the message sent now."""
        with self.mutex:
            return self.plan.pop(0) if self.plan else "written"

    def ids_by_key(self, topic: str = "sample.counted") -> dict[str, list[str]]:
        """The event ids on a topic by key, each where it was written first."""
        found: dict[str, list[str]] = {}
        for partition in range(PARTITIONS):
            for message in self.logs[topic, partition]:
                ids = found.setdefault(message.key.decode(), [])
                if message.headers["ce_id"] not in ids:
                    ids.append(message.headers["ce_id"])
        return found


class RecordingProducer:
    """Answers like EventProducer: after a failure nothing more is written.

    A message is `written`, or has a `lost_answer` (written, and the connection breaks before the answer), or is
    `refused` for good, or the producer is `broken` before it is written.
    """

    def __init__(self, broker: Broker, connection: Connection | None = None) -> None:
        self.broker = broker
        self.connection = connection or Connection("relay")

    def publish(self, rows: Sequence[Row]) -> Outcome:
        outcome = Outcome(rows)
        for row in rows:
            fate = self.broker.fate()
            if fate in {"written", "lost_answer"}:
                self.broker.append(row.topic, row.key.encode(), row.payload, row.headers)
            if fate == "written":
                outcome.answer(row, None)
                continue
            outcome.broken = fate
            code = KafkaError.MSG_SIZE_TOO_LARGE if fate == "refused" else KafkaError._PURGE_INFLIGHT
            outcome.answer(row, KafkaError(code))
            break
        return outcome

    def missing(self, topics: Iterable[str]) -> list[str]:
        """A broker in memory has every topic."""
        return []

    def hear(self) -> None:
        """A broker in memory is always there."""
        self.connection.is_up()

    def is_reachable(self) -> bool:
        return True

    def close(self) -> None:
        """Nothing is open."""

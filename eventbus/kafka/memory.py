"""A broker in memory with the faces of `EventProducer` and `EventConsumer`: for tests, it keeps what it was sent.

It behaves as an idempotent, gapless producer's broker does, and misbehaves when told to.
"""

import threading
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from zlib import crc32

from confluent_kafka import KafkaError

from eventbus.kafka.connection import Connection
from eventbus.kafka.outcome import Outcome
from eventbus.messages import Message, Row

Place = tuple[str, int]  # topic, partition


class MemoryBroker:
    """Logs of messages, and how far each group has committed; every topic exists, with the same partitions.

    `fates` says what becomes of the next messages sent, one word each; after them all goes well. A message is
    `written`, or has a `lost_answer` (written, and the connection breaks before the answer), or is `refused` for good,
    or the producer is `broken` before it is written.
    """

    def __init__(self, *, partitions: int = 2) -> None:
        self.partitions = partitions
        self.logs: dict[Place, list[Message]] = defaultdict(list)
        self.committed: dict[str, dict[Place, int]] = defaultdict(dict)
        self.fates: list[str] = []
        self.mutex = threading.Lock()

    def append(self, topic: str, key: bytes, value: bytes | None, headers: Mapping[str, str]) -> None:
        """Write one message where its key belongs."""
        with self.mutex:
            partition = crc32(key) % self.partitions
            log = self.logs[topic, partition]
            log.append(Message(topic, partition, len(log), key, value, dict(headers)))

    def messages(self, topic: str) -> list[Message]:
        """What a topic holds, partition by partition."""
        return [message for number in range(self.partitions) for message in self.logs[topic, number]]

    def next_fate(self) -> str:
        """What becomes of the message sent now."""
        with self.mutex:
            return self.fates.pop(0) if self.fates else "written"


class MemoryProducer:
    """Answers like EventProducer: after a failure nothing more is written."""

    def __init__(self, broker: MemoryBroker, connection: Connection | None = None) -> None:
        self.broker = broker
        self.connection = connection or Connection("relay")

    def publish(self, rows: Sequence[Row]) -> Outcome:
        """Write the rows, or do what is planned for them."""
        outcome = Outcome(rows)
        for row in rows:
            fate = self.broker.next_fate()
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
        """Those of these topics that are not there: none."""
        return []

    def hear(self) -> None:
        """A broker in memory is always there."""
        self.connection.is_up()

    def is_reachable(self) -> bool:
        """Whether it is there: always."""
        return True

    def close(self) -> None:
        """Nothing is open."""


class MemoryConsumer:
    """Answers like EventConsumer, for the only member of a group."""

    def __init__(self, broker: MemoryBroker, *, group: str, topics: Sequence[str]) -> None:
        self.broker, self.topics = broker, list(topics)
        self.connection = Connection(group)
        self._committed = broker.committed[group]
        self._position = dict(self._committed)
        self._paused: set[str] = set()
        self.gained_at: dict[Place, float] = {}

    def take(self, limit: int, seconds: float) -> list[Message]:
        """Up to `limit` messages behind those taken already; never waits."""
        taken: list[Message] = []
        for place in self._places():
            if place[0] in self._paused:
                continue
            start = self._position.get(place, 0)
            found = self.broker.logs[place][start : start + limit - len(taken)]
            self._position[place] = start + len(found)
            taken += found
        return taken

    def done(self, messages: Iterable[Message]) -> None:
        """Commit everything up to these messages, where it is owned."""
        for message in filter(self.owns, messages):
            place = (message.topic, message.partition)
            self._committed[place] = max(message.offset + 1, self._committed.get(place, 0))

    def owns(self, message: Message) -> bool:
        """The only member owns everything."""
        return True

    def stay_in_group(self, seconds: float) -> None:
        """Nobody is thrown out of this group for silence."""

    def put_back(self, messages: Iterable[Message]) -> None:
        """Take these, and what follows them, again later, where it is owned."""
        for message in filter(self.owns, messages):
            place = (message.topic, message.partition)
            self._position[place] = min(message.offset, self._position[place])

    def pause_only(self, topics: Collection[str]) -> None:
        """Take nothing from these topics."""
        self._paused = set(topics)

    def lag(self) -> dict[str, int]:
        """Messages not taken yet, by topic."""
        behind = dict.fromkeys(self.topics, 0)
        for place in self._places():
            behind[place[0]] += len(self.broker.logs[place]) - self._position.get(place, 0)
        return behind

    def is_caught_up(self, *, besides: Collection[str] = ()) -> bool:
        """Whether every message was taken, those of the topics `besides` left out."""
        places = [place for place in self._places() if place[0] not in besides]
        return all(self._position.get(place, 0) == len(self.broker.logs[place]) for place in places)

    def close(self) -> None:
        """Nothing is open."""

    def _places(self) -> list[Place]:
        return [(topic, number) for topic in self.topics for number in range(self.broker.partitions)]

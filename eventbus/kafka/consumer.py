"""One member of a room's consumer group: offsets are stored by hand, after the database commit."""

import logging
import time
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from operator import methodcaller
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from django.core.exceptions import ImproperlyConfigured

from eventbus import metrics
from eventbus.conf import bus_settings
from eventbus.exceptions import BrokerUnavailableError
from eventbus.faults import fault
from eventbus.kafka.access import DENIALS, cannot_read, is_denial
from eventbus.kafka.connection import Connection, common_settings, made
from eventbus.kafka.topic_ids import TopicIds
from eventbus.messages import Message

logger = logging.getLogger(__name__)

ASK_SECONDS = 2.0
COMMITTED_SECONDS = 5.0  # to wait for what the group has committed
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SLICE = 10  # messages asked for at a time: a batch is over its size in bytes by less than so many


class EventConsumer:
    """One member of a room's consumer group; offsets move only when `done` says so."""

    def __init__(self, room: str, topics: Sequence[str]) -> None:
        self.connection = Connection(f"consumer {room}")
        self._names, self._topics = bus_settings().room(room), list(topics)
        self._bytes = bus_settings().consumer_batch_bytes
        self._asked_at = time.monotonic()
        self.gained_at: dict[tuple[str, int], float] = {}  # partition: when it was given to this member, monotonic
        self._paused: set[tuple[str, int]] = set()
        self._ids = TopicIds(topics)
        self._anew: set[str] = set()  # topics that became others under this member
        self._unsure: set[tuple[str, int]] = set()  # partitions that came here and whose commits were not judged
        self._is_dead = False  # the client gave up for good when it was denied, and must be replaced
        self._consumer = self._member()

    def _member(self) -> Consumer:
        settings, names = bus_settings(), self._names
        member = made(
            Consumer,
            {
                # Left to its minute, the client would wait so long for a leader or coordinator that stands still.
                "socket.timeout.ms": settings.fetch_wait_ms + 10_000,
                **common_settings(names.client_id),
                "group.id": names.group_id,
                **self._protocol(),
                "enable.auto.commit": True,  # commits what `done` stored, every second and on close
                "auto.commit.interval.ms": 1000,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": settings.fetch_wait_ms,
                "queued.max.messages.kbytes": 16_384,
                "fetch.max.bytes": 8_388_608,  # of one answer; with the queue's limit it bounds what is held in memory
                "queued.min.messages": 1000,
                # A partition with so many at hand is left alone this long; the usual second starves a fast reader.
                "fetch.queue.backoff.ms": 10,
                "max.poll.interval.ms": 300_000,
                "topic.metadata.refresh.interval.ms": 10_000,  # a topic created later is noticed soon
                "error_cb": self.connection.on_error,
            },
        )
        member.subscribe(self._topics, on_assign=self._gained, on_revoke=self._gave, on_lost=self._lost)
        self._paused.clear()
        return member

    def _gained(self, consumer: Consumer, parts: list[TopicPartition]) -> None:
        # A pause outlives the loss of its partition: one that comes back would be ours, silent, and read by nobody.
        consumer.resume(parts)
        self.gained_at |= dict.fromkeys(map(place_of, parts), time.monotonic())
        self._unsure |= set(map(place_of, parts))
        self._changed("assigned", parts)

    def _gave(self, _: Consumer, parts: list[TopicPartition]) -> None:
        fault("during_revoke")  # the client commits what was stored of these, then gives them away
        self._changed("revoked", parts)

    def _lost(self, _: Consumer, parts: list[TopicPartition]) -> None:
        self._changed("lost", parts)

    def _changed(self, kind: str, parts: list[TopicPartition]) -> None:
        self._paused -= set(map(place_of, parts))
        metrics.consumer_rebalances.labels(self._names.group_id, kind).inc()
        logger.info("%s: partitions %s: %s", self.connection.who, kind, named(parts))

    @staticmethod
    def _protocol() -> dict[str, Any]:
        settings = bus_settings()
        if settings.group_protocol == "classic":
            return {
                "group.protocol": "classic",
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": settings.session_timeout_ms,
                "heartbeat.interval.ms": min(3000, settings.session_timeout_ms // 3),
            }
        return {"group.protocol": "consumer"}

    def take(self, limit: int, seconds: float) -> list[Message]:
        """Up to `limit` messages: what is here now, waiting at most `seconds` for the first of them.

        A few of them reach over `consumer_batch_bytes` at most, so large messages come in small batches.
        """
        self._look_after_trouble()
        self._ids.wait_for_first_answer()
        taken: list[Message] = []
        first, size = self._consumer.poll(seconds), 0
        found = [] if first is None else [first]
        while found:
            for raw in found:
                error = raw.error()
                if error is None:
                    taken.append(message_from(raw))
                    size += len(raw)
                else:
                    self._note(error)
            wanted = 0 if size >= self._bytes else min(SLICE, limit - len(taken))
            found = self._consumer.consume(wanted, 0.0) if wanted > 0 else []  # with a wait it would wait for them all
        if taken:
            self.connection.is_up()
        return self._of_these_topics(taken)

    def _note(self, error: KafkaError) -> None:
        is_final = error.fatal() or error.code() == KafkaError._FATAL
        if error.code() in DENIALS or (is_final and is_denial(error.str())):
            self._name_what_is_denied(error.str())
            self._is_dead = is_final
        elif is_final:
            raise BrokerUnavailableError(f"the consumer failed for good: {error.str()}")
        elif error.code() in {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._MAX_POLL_EXCEEDED}:
            logger.info("%s: %s", self.connection.who, error.str())
        else:
            logger.warning("%s: %s", self.connection.who, error.str())

    def _look_after_trouble(self) -> None:
        """In trouble, ask now and then, so that its end is said though nothing comes, and is used where we must act."""
        if not self.connection.trouble or time.monotonic() - self._asked_at < ASK_SECONDS:
            return
        if self.connection.is_outdated():
            self._renew()
        try:
            self._consumer.list_topics(timeout=1.0)
            self.connection.is_up()
        except KafkaException:
            pass
        else:
            if self.connection.denied:
                self._name_what_is_denied(self.connection.denied)
        self._asked_at = time.monotonic()

    def _of_these_topics(self, taken: list[Message]) -> list[Message]:
        """What was taken, without partitions whose position is one of an older topic of that name.

        The client goes by names: of a topic created anew it would go on where the old one ended. So every commit names
        the topic's id, and one for an older topic is known to whoever comes to it. The inbox knows what was handled.
        """
        self._anew |= self._ids.created_anew()
        if not self._anew and not self._unsure:
            return taken
        assigned = [part for part in self._consumer.assignment() if self._ids.id_of(part.topic)]
        asked = [part for part in assigned if part.topic in self._anew or place_of(part) in self._unsure]
        try:
            again = {place_of(part) for part in self._rewound(asked)}
        except KafkaException as error:  # the group is changing, or the broker does not have it all yet
            logger.info("%s: cannot tell yet what was committed: %s", self.connection.who, error.args[0].str())
            again = set(map(place_of, asked))
            self.put_back(message for message in taken if (message.topic, message.partition) in again)
        else:
            self._anew.clear()
            self._unsure.clear()
        return [message for message in taken if (message.topic, message.partition) not in again]

    def _rewound(self, parts: list[TopicPartition]) -> list[TopicPartition]:
        """Those that are read from their beginning now; by itself the client would commit only what is higher."""
        committed = self._consumer.committed(parts, timeout=COMMITTED_SECONDS) if parts else []
        for part in committed:
            if part.error is not None:
                raise KafkaException(part.error)
        first = [
            TopicPartition(part.topic, part.partition, 0, self._ids.id_of(part.topic))
            for part in committed
            if part.topic in self._anew or part.metadata not in {None, "", self._ids.id_of(part.topic)}
        ]
        if not first:
            return []
        self._consumer.store_offsets(offsets=first)
        self._consumer.commit(offsets=first, asynchronous=False)
        for part in first:
            self._consumer.seek(TopicPartition(part.topic, part.partition, OFFSET_BEGINNING))
        logger.warning("%s: created anew, read from the beginning: %s", self.connection.who, named(first))
        return first

    def _name_what_is_denied(self, otherwise: str) -> None:
        try:
            reason = cannot_read(self._names.group_id, self._topics)
        except BrokerUnavailableError:
            reason = otherwise
        if reason:
            self.connection.is_denied(reason)
            return
        self.connection.is_allowed()
        if self._is_dead:
            self._renew()

    def _renew(self) -> None:
        """Another member in this one's place, which reads the certificates anew."""
        try:
            member = self._member()
            self._ids.connect()
        except ImproperlyConfigured as error:  # a certificate that is being replaced just now
            self.connection.is_refused(str(error))
            return
        self._consumer.close()
        self._consumer, self._is_dead = member, False
        self.connection.is_renewed()

    def done(self, messages: Iterable[Message]) -> None:
        """Everything up to these messages is handled; a partition lost meanwhile is left to its new owner."""
        highest: dict[tuple[str, int], int] = {}
        for message in messages:
            place = (message.topic, message.partition)
            highest[place] = max(highest.get(place, -1), message.offset)
        for (topic, partition), offset in highest.items():
            try:
                self._consumer.store_offsets(
                    offsets=[TopicPartition(topic, partition, offset + 1, self._ids.id_of(topic))]
                )
            except KafkaException as error:
                logger.info(
                    "%s: %s:%d is no longer ours (%s)", self.connection.who, topic, partition, error.args[0].str()
                )

    def stay_in_group(self, seconds: float) -> None:
        """Pass time without taking messages, and without being thrown out of the group for silence."""
        self._consumer.pause(self._consumer.assignment())
        stray = self._consumer.poll(seconds)
        if stray is not None and stray.error() is None:  # a partition assigned meanwhile: read it again later
            self.put_back([message_from(stray)])
        self._consumer.resume([part for part in self._consumer.assignment() if place_of(part) not in self._paused])

    def put_back(self, messages: Iterable[Message]) -> None:
        """Read these, and what follows them, again later; raises KafkaException when the client cannot go back."""
        lowest: dict[tuple[str, int], int] = {}
        for message in messages:
            place = (message.topic, message.partition)
            lowest[place] = min(lowest.get(place, message.offset), message.offset)
        for (topic, partition), offset in lowest.items():
            try:
                self._consumer.seek(TopicPartition(topic, partition, offset))
            except KafkaException:
                if (topic, partition) in map(place_of, self._consumer.assignment()):
                    raise  # reading on would step over them for good; whoever comes next begins at what was committed
                logger.info("%s: %s:%d is no longer ours", self.connection.who, topic, partition)

    def pause_only(self, topics: Collection[str]) -> None:
        """Take nothing from these topics until they are no longer named; call it again after each `take`."""
        if not topics and not self._paused:
            return
        assigned = self._consumer.assignment()
        wanted = [part for part in assigned if part.topic in topics]
        self._consumer.pause([part for part in wanted if place_of(part) not in self._paused])
        self._consumer.resume([part for part in assigned if place_of(part) in self._paused and part not in wanted])
        self._paused = {place_of(part) for part in wanted}

    def owns(self, message: Message) -> bool:
        """Whether the message's partition is still assigned to this member."""
        return (message.topic, message.partition) in map(place_of, self._consumer.assignment())

    def is_caught_up(self, *, besides: Collection[str] = ()) -> bool:
        """Whether every assigned partition is read to its end, those of the topics `besides` left out."""
        assigned = self._consumer.assignment()
        if not assigned:
            return False
        positions = {(p.topic, p.partition): p.offset for p in self._consumer.position(assigned)}
        for part in [part for part in assigned if part.topic not in besides]:
            low, high = self._consumer.get_watermark_offsets(part, timeout=5)
            position = positions[part.topic, part.partition]
            if high > low and (position if position >= 0 else self._committed(part, low)) != high:
                return False  # what was committed behind the end, of a topic created anew, is read from the beginning
        return True

    def lag(self) -> dict[str, int]:
        """Messages not taken yet, by topic, over the assigned partitions, as far as the client knows without asking."""
        behind = dict.fromkeys(self._topics, 0)
        for part in self._consumer.position(self._consumer.assignment()):
            _, high = self._consumer.get_watermark_offsets(part, cached=True)
            if part.offset >= 0 and high > part.offset:
                behind[part.topic] += high - part.offset
        return behind

    def _committed(self, part: TopicPartition, default: int) -> int:
        offset: int = self._consumer.committed([part], timeout=5)[0].offset
        return offset if offset >= 0 else default

    def close(self) -> None:
        """Commit what was stored and leave the group."""
        self._consumer.close()


# For a header whose name is no UTF-8 the client returns a broken list *and* an exception. A call from C notices that.
# The instruction into which CPython turns an often used `raw.headers()` does not: who looks into the list crashes then.
_ask_for_headers = methodcaller("headers")


def _headers_of(raw: Any) -> Iterable[tuple[str, bytes | None]]:
    try:
        return _ask_for_headers(raw) or ()
    except SystemError:
        return ()


def place_of(part: TopicPartition) -> tuple[str, int]:
    """The partition without an offset."""
    return part.topic, part.partition


def named(parts: Iterable[TopicPartition]) -> str:
    """The partitions as a person reads them."""
    return ", ".join(f"{topic}:{partition}" for topic, partition in sorted(map(place_of, parts))) or "none"


def message_from(raw: Any) -> Message:
    """The bus's message from the client's."""
    headers = {}
    for name, value in _headers_of(raw):
        if isinstance(value, bytes):
            headers[name] = value.decode("utf-8", "replace").replace("\x00", "")
    return Message(
        topic=raw.topic(),
        partition=raw.partition(),
        offset=raw.offset(),
        key=raw.key(),
        value=raw.value(),
        headers=headers,
        timestamp=_timestamp(*raw.timestamp()),
    )


def _timestamp(kind: int, milliseconds: int) -> datetime | None:
    """The time a message carries; None when it has none, or one outside the calendar."""
    if kind == TIMESTAMP_NOT_AVAILABLE:
        return None
    try:
        return EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None

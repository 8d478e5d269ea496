"""The relay: committed events leave the outbox in the order of each key, and a row goes only when the broker has it.

Each round takes the lowest visible ids of the owned buckets, produces them, waits for every answer and deletes what was
acknowledged, in one statement. There is no cursor that could step over a late commit, and no transaction is open while
Kafka is spoken to. Buckets are leased; a relay whose lease ran out cannot delete rows.
"""

import logging
import os
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.utils import timezone
from psycopg.types.json import set_json_loads

from eventbus import metrics
from eventbus.conf import bus_settings
from eventbus.exceptions import BrokerRefusedError, BrokerUnavailableError
from eventbus.faults import fault
from eventbus.health import Health
from eventbus.kafka.access import DENIALS, DeniedTopics, cannot_write, is_denial
from eventbus.kafka.connection import Connection
from eventbus.kafka.producer import EventProducer, is_permanent
from eventbus.leases import Leases
from eventbus.models import HeldKey, OutboxEvent
from eventbus.processing import DatabaseUnavailableError, guarded

logger = logging.getLogger(__name__)

FETCH = """
SELECT o.id, o.bucket, o.topic, o.key, o.payload, o.headers
  FROM unnest(%b::int2[]) AS b(bucket)
 CROSS JOIN LATERAL (
       SELECT * FROM eventbus_outboxevent e
        WHERE e.bucket = b.bucket
          AND e.topic <> ALL(%b::text[])
          AND NOT EXISTS (SELECT FROM eventbus_heldkey h WHERE h.topic = e.topic AND h.key = e.key)
        ORDER BY e.id LIMIT %b) o
 ORDER BY o.id
"""

FINISH = """
DELETE FROM eventbus_outboxevent o
 USING unnest(%s::int8[], %s::int2[]) AS acked(id, bucket)
  JOIN unnest(%s::int2[], %s::int8[]) AS mine(bucket, epoch) USING (bucket)
  JOIN eventbus_relaybucket lease ON lease.bucket = mine.bucket AND lease.owner = %s AND lease.epoch = mine.epoch
 WHERE o.id = acked.id
"""

_headers = msgspec.json.Decoder(dict[str, str])


@dataclass(frozen=True, slots=True)
class Row:
    """One waiting event, as bytes: the relay never looks inside."""

    id: int
    bucket: int
    topic: str
    key: str
    payload: bytes
    headers: dict[str, str]


@dataclass(slots=True)
class Outcome:
    """What the broker said about one round's rows."""

    rows: list[Row]
    answers: dict[int, Any] = field(default_factory=dict)  # row id: the broker's error, or None
    failed: set[tuple[str, str]] = field(default_factory=set)  # topic and key of what failed
    broken: str = ""

    def answer(self, row: Row, error: Any) -> None:
        """Note what became of one row."""
        self.answers[row.id] = error
        if error is not None:
            self.failed.add((row.topic, row.key))

    def acknowledged(self) -> list[Row]:
        """The rows that may go: of each key only those before its first failure."""
        failed: set[tuple[str, str]] = set()
        gone = []
        for row in self.rows:
            place = (row.topic, row.key)
            if place not in failed and self.answers.get(row.id, UNANSWERED) is None:
                gone.append(row)
            else:
                failed.add(place)
        return gone

    def refused(self) -> list[tuple[Row, str]]:
        """The rows that the broker will never take, with its reason."""
        return [
            (row, error.str())
            for row in self.rows
            if (error := self.answers.get(row.id)) is not None and is_permanent(error)
        ]

    def denied(self) -> set[str]:
        """The topics that access control may have closed: those refused, or all when it ended the producer."""
        if is_denial(self.broken):
            return {row.topic for row in self.rows}
        return {row.topic for row in self.rows if (e := self.answers.get(row.id)) is not None and e.code() in DENIALS}

    def trouble(self) -> str:
        """Why the first failed row failed."""
        errors = (error.str() for error in self.answers.values() if error is not None)
        return self.broken or next(errors, "no answer in time")


UNANSWERED = object()
COUNTED = 100_000  # waiting events: more are as bad, and counting them all takes the database's time
LOOK_SECONDS = 5.0


class Relay:
    """One relay process. `run()` works until `stop()`; `drain()` works until the outbox is empty."""

    def __init__(self) -> None:
        self.settings = bus_settings()
        self.id: UUID = uuid4()
        self.leases = Leases(owner=self.id, host=socket.gethostname(), pid=os.getpid())
        self.published = 0
        self._producer: EventProducer | None = None
        self.health = Health("relay")
        self.connection = Connection("relay", self.health)
        self._denied = DeniedTopics(self.connection)
        self._per_bucket = self._least = max(1, self.settings.relay_batch_min // self.settings.buckets)
        self._looked_at = 0.0
        self._stop = threading.Event()

    def stop(self, *_: object) -> None:
        """Finish the round at hand, hand the buckets over, and return from run()."""
        self._stop.set()

    def run(self) -> None:
        """Publish until stopped; waits for a database or a broker that is away, and says so once."""
        self.leases.start()
        logger.info("relay %s started", self.id)
        self.health.serve(self.settings.http_port)
        try:
            while not self._stop.is_set():
                self.health.beat()
                pause = self._guarded_round()
                if pause:
                    self._stop.wait(pause)
        finally:
            self._close()
        logger.info("relay %s stopped after %d events", self.id, self.published)

    def drain(self) -> int:
        """Publish until nothing that this relay may publish is left; the number of events published.

        Raises BrokerUnavailableError, and BrokerRefusedError when topics are left that it may not write to.
        """
        self.leases.start()
        try:
            while not self._stop.is_set():
                self.leases.balance()
                if not self.round() and not self._anything_left():
                    break
        finally:
            self._close()
        if self._denied.topics:
            raise BrokerRefusedError(cannot_write(self._denied.topics))
        return self.published

    def round(self) -> int:
        """One round; the number of rows acknowledged. Raises BrokerUnavailableError or DatabaseUnavailableError."""
        owned = self.leases.held()
        rows = self._fetch(list(owned)) if owned else []
        if not rows:
            return 0
        metrics.relay_round_rows.observe(len(rows))
        with metrics.relay_round_seconds.time():
            fault("before_produce")
            outcome = self._produce(rows)
            self._single_out(outcome)
            fault("after_ack_before_delete")
            acknowledged, refused = outcome.acknowledged(), outcome.refused()
            if acknowledged:
                self._finish(acknowledged, owned)
            for row, reason in refused:
                self._hold(row, reason)
        denied = outcome.denied()
        is_denied = bool(denied) and self._denied.found_among(denied, broken=outcome.broken)
        if not acknowledged and not refused and not is_denied:
            raise BrokerUnavailableError(self.connection.refusal or outcome.trouble())
        self._adapt(rows)
        self.published += len(acknowledged)
        return len(acknowledged)

    def _guarded_round(self) -> float:
        """A round whose troubles become a pause, in seconds."""
        try:
            self.leases.balance()
            self._look()
            self.health.has("database")
            self._denied.ask_again()
            done = self.round()
        except DatabaseUnavailableError as error:
            self.leases.trouble.is_down(str(error))
            self.health.waits_for("database", str(error))
            metrics.relay_troubles.labels("database").inc()
            return 1.0
        except BrokerUnavailableError as error:
            metrics.relay_troubles.labels("kafka").inc()
            return self._wait_for_broker(error)
        return 0.0 if done else self._idle()

    def _look(self) -> None:
        """Measure what waits, every few seconds, when somebody can read it."""
        if not self.health.port or time.monotonic() - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = time.monotonic()
        oldest = guarded(lambda: OutboxEvent.objects.order_by("id").values_list("created_at", flat=True).first())
        metrics.outbox_oldest_age.set((timezone.now() - oldest).total_seconds() if oldest else 0.0)
        metrics.outbox_waiting.set(guarded(OutboxEvent.objects.values("id")[:COUNTED].count))
        metrics.held_keys.set(guarded(HeldKey.objects.count))
        metrics.relay_buckets.set(len(self.leases.held()))

    def _wait_for_broker(self, error: BrokerUnavailableError) -> float:
        if self._denied.everything:
            return 1.0
        self.connection.is_down(str(error))
        try:
            return 0.2 if self._connected().is_reachable() else 1.0
        except BrokerUnavailableError:
            return 1.0

    def _idle(self) -> float:
        """With nothing to publish, hear what the client says, so that a refusal shows before an event suffers it."""
        try:
            producer = self._connected()
        except BrokerUnavailableError as error:
            return self._wait_for_broker(error)
        producer.hear()
        if not self.connection.is_made:
            return 0.2 if producer.is_reachable() else 1.0
        return self.settings.relay_idle_seconds

    def _connected(self) -> EventProducer:
        if self._producer is None:
            try:
                self._producer = EventProducer(self.connection)
            except ImproperlyConfigured as error:  # a certificate that is being replaced just now
                self.connection.is_refused(str(error))
                raise BrokerUnavailableError(str(error)) from error
        return self._producer

    def _fetch(self, buckets: list[int]) -> list[Row]:
        def fetch() -> list[Row]:
            connection.ensure_connection()
            # Django's own cursors cannot fetch binary rows, and only they translate psycopg's errors by themselves.
            with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
                set_json_loads(_headers.decode, cursor)
                cursor.execute(FETCH, [buckets, self._denied.topics, self._per_bucket], binary=True)
                return [Row(*columns) for columns in cursor.fetchall()]

        return guarded(fetch)

    def _produce(self, rows: list[Row]) -> Outcome:
        producer, outcome = self._connected(), Outcome(rows)
        for row in rows:
            if (row.topic, row.key) in outcome.failed:
                continue  # sent now, it would lie before the one that failed
            producer.send(
                topic=row.topic,
                key=row.key.encode(),
                value=row.payload,
                headers=row.headers,
                done=partial(outcome.answer, row),
            )
        producer.wait()
        if any(error is None for error in outcome.answers.values()):
            self.connection.is_up()
            self._denied.something_went()
        if producer.broken:
            outcome.broken = producer.broken
            self._renew_producer(producer)
        return outcome

    def _single_out(self, outcome: Outcome) -> None:
        """Send what was refused again one by one: the broker refuses a whole batch for one message in it."""
        suspects = [row for row, _ in outcome.refused()]
        if len(suspects) < 2:  # noqa: PLR2004 - one alone is guilty
            return
        for row in suspects:
            del outcome.answers[row.id]
        failed: set[tuple[str, str]] = set()
        for row in suspects:
            if (row.topic, row.key) in failed:
                continue
            alone = self._produce([row])
            outcome.answers |= alone.answers
            if not alone.acknowledged():
                failed.add((row.topic, row.key))
                if not alone.refused():
                    return  # no fault of the event: what was not asked again stays for the next round

    def _renew_producer(self, broken: EventProducer) -> None:
        if not self.connection.trouble and not is_denial(broken.broken):
            logger.warning("relay: starting a new producer: %s", broken.broken)
        broken.close()
        self._producer = None

    def _finish(self, rows: list[Row], owned: dict[int, int]) -> None:
        columns = [[row.id for row in rows], [row.bucket for row in rows], list(owned.keys()), list(owned.values())]

        def finish() -> int:
            with connection.cursor() as cursor:
                cursor.execute(FINISH, [*columns, self.id])
                return int(cursor.rowcount)

        finished = guarded(finish)
        for topic, count in Counter(row.topic for row in rows).items():
            metrics.relay_published.labels(topic).inc(count)
        if finished < len(rows):
            logger.warning(
                "relay: %d events stay: another relay has their lease and sends them again", len(rows) - finished
            )

    def _hold(self, row: Row, reason: str) -> None:
        found = {"reason": reason, "outbox_id": row.id}
        guarded(lambda: HeldKey.objects.get_or_create(topic=row.topic, key=row.key, defaults=found))
        logger.error("relay: Kafka refuses event %d of %s, its key is held: %s", row.id, row.topic, reason)

    def _anything_left(self) -> bool:
        owned = self.leases.held()
        return not owned or bool(guarded(lambda: self._fetch(list(owned))))

    def _close(self) -> None:
        self.health.close()
        if self._producer is not None:
            self._producer.close()
        self.leases.close()

    def _adapt(self, rows: list[Row]) -> None:
        """Let a round take more while a bucket has more to give, up to relay_batch_max rows, else less."""
        most = self.settings.relay_batch_max
        fullest = max(Counter(row.bucket for row in rows).values())
        if fullest >= self._per_bucket and len(rows) <= most // 2:
            self._per_bucket = min(self._per_bucket * 2, most)
        elif len(rows) > most or fullest < self._per_bucket // 4:
            self._per_bucket = max(self._per_bucket // 2, self._least)

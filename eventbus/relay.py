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
from collections.abc import Mapping, Sequence
from uuid import UUID, uuid4

from django.core.exceptions import ImproperlyConfigured
from django.db.models import F
from django.db.models.functions import Now

from eventbus import metrics
from eventbus.backlog import Backlog
from eventbus.conf import bus_settings
from eventbus.exceptions import BrokerRefusedError, BrokerUnavailableError
from eventbus.faults import fault
from eventbus.health import Health
from eventbus.kafka.access import DeniedTopics, cannot_write, is_denial
from eventbus.kafka.connection import Connection
from eventbus.kafka.missing import MissingTopics
from eventbus.kafka.outcome import Outcome
from eventbus.kafka.producer import EventProducer
from eventbus.leases import Leases
from eventbus.messages import Row
from eventbus.models import HeldKey, OutboxEvent
from eventbus.processing import DatabaseUnavailableError, bookkept
from eventbus.waking import waking

logger = logging.getLogger(__name__)

COUNTED = 100_000  # waiting events: more are as bad, and counting them all takes the database's time
LOOK_SECONDS = 5.0


class Relay:
    """One relay process. `run()` works until `stop()`; `drain()` works until the outbox is empty."""

    def __init__(self) -> None:
        self.settings = bus_settings()
        self.id: UUID = uuid4()
        self.leases = Leases(owner=self.id, host=socket.gethostname(), pid=os.getpid())
        self.backlog = Backlog(self.id)
        self.published = 0
        self._producer: EventProducer | None = None
        self.health = Health("relay")
        self.connection = Connection("relay", self.health)
        self._denied = DeniedTopics(self.connection)
        self._missing = MissingTopics(self.connection)
        self._per_bucket = self._least = max(1, self.settings.relay_batch_min // self.settings.buckets)
        self._looked_at = 0.0
        self._stop = threading.Event()
        self._waking = waking(self._stop)

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

        Raises BrokerUnavailableError, and BrokerRefusedError when topics are left that it may not write to, or that the
        broker does not have.
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
        if self._missing.topics:
            raise BrokerRefusedError(self.connection.lacking)
        return self.published

    def round(self) -> int:
        """One round; the number of rows acknowledged. Raises BrokerUnavailableError or DatabaseUnavailableError."""
        owned = self.leases.held()
        rows = self._fetch(owned) if owned else []
        if not rows:
            self._per_bucket = self._least  # what comes next may be large
            return 0
        metrics.relay_round_rows.observe(len(rows))
        with metrics.relay_round_seconds.time():
            fault("before_produce")
            outcome = self._produce(self._without_missing(rows))
            self._single_out(outcome)
            fault("after_ack_before_delete")
            acknowledged, refused = outcome.acknowledged(), outcome.refused()
            if acknowledged:
                self._finish(acknowledged, owned)
            for row, reason in refused:
                self._hold(row, reason)
        is_denied = self._is_denied(outcome)
        if outcome.rows and not acknowledged and not refused and not is_denied:
            raise BrokerUnavailableError(self.connection.refusal or outcome.trouble())
        self._adapt(rows)
        self.published += len(acknowledged)
        return len(acknowledged)

    def _is_denied(self, outcome: Outcome) -> bool:
        denied = outcome.denied()
        return bool(denied) and self._denied.found_among(denied, broken=outcome.broken)

    def _guarded_round(self) -> float:
        """A round whose troubles become a pause, in seconds."""
        try:
            self.leases.balance()
            self._look()
            self.health.has("database")
            self._denied.ask_again()
            if self._producer is not None:
                self._missing.ask_again(self._producer)
            done = self.round()
        except DatabaseUnavailableError as error:
            self.leases.trouble.is_down(str(error))
            self.health.waits_for("database", str(error))
            metrics.relay_troubles.labels("database").inc()
            return 1.0
        except BrokerUnavailableError as error:
            metrics.relay_troubles.labels("kafka").inc()
            return self._wait_for_broker(error)
        if not done:
            return self._idle()
        self._waking.worked()
        return 0.0

    def _look(self) -> None:
        """Measure what waits, every few seconds, when somebody can read it."""
        if not self.health.port or time.monotonic() - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = time.monotonic()
        waiting = OutboxEvent.objects.order_by("id").annotate(age=Now() - F("created_at"))
        oldest = bookkept(waiting.values_list("age", flat=True).first)
        metrics.outbox_oldest_age.set(oldest.total_seconds() if oldest else 0.0)
        metrics.outbox_waiting.set(bookkept(OutboxEvent.objects.values("id")[:COUNTED].count))
        metrics.held_keys.set(bookkept(HeldKey.objects.count))
        metrics.relay_buckets.set(len(self.leases.held()))

    def _wait_for_broker(self, error: BrokerUnavailableError) -> float:
        if self._denied.everything:
            return 1.0
        self.connection.is_down(str(error))
        if self._producer is not None and self.connection.is_outdated():
            self._give_up(self._producer, "a certificate or key was replaced")
            self.connection.is_renewed()
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
        self._waking.wait()
        return 0.0

    def _connected(self) -> EventProducer:
        if self._producer is None:
            try:
                self._producer = EventProducer(self.connection)
            except ImproperlyConfigured as error:  # a certificate that is being replaced just now
                self.connection.is_refused(str(error))
                raise BrokerUnavailableError(str(error)) from error
        return self._producer

    def _fetch(self, owned: Mapping[int, int]) -> list[Row]:
        left_alone = [*self._denied.topics, *self._missing.topics]
        return self.backlog.fetch(owned, without=left_alone, per_bucket=self._per_bucket)

    def _without_missing(self, rows: list[Row]) -> list[Row]:
        missing = self._missing.among({row.topic for row in rows}, self._connected())
        return [row for row in rows if row.topic not in missing] if missing else rows

    def _produce(self, rows: Sequence[Row]) -> Outcome:
        producer = self._connected()
        outcome = producer.publish(rows)
        if any(error is None for error in outcome.answers.values()):
            self.connection.is_up()
            self._denied.something_went()
        self._missing.vanished({row.topic for row in rows} if outcome.broken else outcome.missing())
        if outcome.broken:
            self._give_up(producer, outcome.broken)
        return outcome

    def _single_out(self, outcome: Outcome) -> None:
        """Send what was refused again one by one: the broker refuses a whole batch for one message in it."""
        suspects = [row for row, _ in outcome.refused()]
        if len(suspects) < 2:  # noqa: PLR2004 - one alone is guilty
            return
        outcome.forget(suspects)
        failed: set[tuple[str, str]] = set()
        for row in suspects:
            if (row.topic, row.key) in failed:
                continue
            alone = self._produce([row])
            if row.id in alone.answers:
                outcome.answer(row, alone.answers[row.id])
            if not alone.acknowledged():
                failed.add((row.topic, row.key))
                if not alone.refused():
                    return  # no fault of the event: what was not asked again stays for the next round

    def _give_up(self, producer: EventProducer, reason: str) -> None:
        if not self.connection.trouble and not is_denial(reason):
            logger.warning("relay: starting a new producer: %s", reason)
        producer.close()
        self._producer = None

    def _finish(self, rows: Sequence[Row], owned: Mapping[int, int]) -> None:
        finished = self.backlog.finish(rows, owned)
        for topic, count in Counter([row.topic for row in rows]).items():
            metrics.relay_published.labels(topic).inc(count)
        if finished < len(rows):
            logger.warning(
                "relay: %d events stay: another relay has their lease and sends them again", len(rows) - finished
            )

    def _hold(self, row: Row, reason: str) -> None:
        found = {"reason": reason, "outbox_id": row.id}
        bookkept(lambda: HeldKey.objects.get_or_create(topic=row.topic, key=row.key, defaults=found))
        logger.error("relay: Kafka refuses event %d of %s, its key is held: %s", row.id, row.topic, reason)

    def _anything_left(self) -> bool:
        owned = self.leases.held()
        return not owned or bool(self._fetch(owned))

    def _close(self) -> None:
        self.health.close()
        if self._producer is not None:
            self._producer.close()
        self.leases.close()

    def _adapt(self, rows: Sequence[Row]) -> None:
        """Let a round take more while a bucket has more to give, up to relay_batch_max rows, else less.

        And less where events are large: all of a round is in memory.
        """
        most, most_bytes = self.settings.relay_batch_max, self.settings.relay_batch_bytes
        fullest, size = max(Counter([row.bucket for row in rows]).values()), sum([len(row.payload) for row in rows])
        if size > most_bytes:
            self._per_bucket = max(1, fullest * most_bytes // size)
        elif fullest >= self._per_bucket and len(rows) <= most // 2 and size <= most_bytes // 2:
            self._per_bucket = min(self._per_bucket * 2, most)
        elif len(rows) > most or fullest < self._per_bucket // 4:
            self._per_bucket = max(self._per_bucket // 2, self._least)

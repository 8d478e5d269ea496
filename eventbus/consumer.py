"""One consumer process of one room: take messages, let the processor turn them into effects, then move the offsets."""

import logging
import threading
import time
from collections.abc import Sequence

from eventbus import metrics
from eventbus.conf import JOURNAL, bus_settings
from eventbus.exceptions import BrokerRefusedError, CatalogError
from eventbus.faults import fault
from eventbus.health import Health
from eventbus.journal.writer import JournalWriter
from eventbus.kafka.consumer import EventConsumer
from eventbus.leases import Trouble
from eventbus.messages import Message
from eventbus.models import ParkedEvent
from eventbus.processing import DatabaseUnavailableError, Processor, guarded
from eventbus.topics import topics_of

logger = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
RETRY_SECONDS = 0.5  # how often parked keys are looked at while messages flow


class Consumer:
    """Reads one room's topics until `stop()`; the first stop finishes the batch at hand."""

    def __init__(self, room: str) -> None:
        settings = bus_settings()
        self.room = room
        self.processor = JournalWriter() if room == JOURNAL else Processor(room)
        self.batch, self.wait = settings.consumer_batch, settings.consumer_wait_seconds
        self.handled = 0
        self._trouble = Trouble(f"consumer {room}", "the database")
        self._stop = threading.Event()
        self._retried_at = self._looked_at = 0.0
        topics = topics_of(room)
        if not topics:
            raise CatalogError(f"{room} handles no event, so there is nothing to consume")
        self._source = EventConsumer(room, topics)
        self.health = Health(f"consumer {room}")

    def stop(self, *_: object) -> None:
        """Finish the batch at hand, commit its offsets, leave the group, and return from run()."""
        self._stop.set()

    def run(self) -> None:
        """Consume until stopped; waits for a database or a broker that is away, and says so once."""
        logger.info("consumer %s started", self.room)
        self.health.serve(bus_settings().http_port_of(self.room))
        try:
            while not self._stop.is_set():
                self.step()
        finally:
            self.health.close()
            self._source.close()
        logger.info("consumer %s stopped after %d messages", self.room, self.handled)

    def drain(self) -> int:
        """Consume until every partition is read to its end and nothing parked is due; the number of messages.

        Raises BrokerRefusedError when only a person can help.
        """
        try:
            while not self._stop.is_set():
                done = self.step()
                if self._source.connection.refusal:
                    raise BrokerRefusedError(self._source.connection.refusal)
                if not done and self._source.is_caught_up():
                    break
        finally:
            self._source.close()
        return self.handled

    def step(self) -> int:
        """One batch and, when it is time, the parked keys that are due; the number of things done."""
        self.health.beat()
        metrics.consumer_polled_at.labels(self.processor.group).set_to_current_time()
        messages = self._source.take(self.batch, self.wait)
        self._note_broker()
        if messages and self._handle(messages):
            self.handled += len(messages)
        done = len(messages)
        if not messages or time.monotonic() - self._retried_at > RETRY_SECONDS:
            done += self._retry()
        return done

    def _handle(self, messages: Sequence[Message]) -> bool:
        """Process until the database has taken it; False when that was cut short by a stop."""
        while True:
            try:
                self.processor.process(messages)
            except DatabaseUnavailableError as error:
                self._trouble.is_down(str(error))
                self.health.beat()
                self.health.waits_for("database", str(error))
                if self._stop.is_set():
                    return False
                self._source.stay_in_group(1.0)
                messages = [message for message in messages if self._source.owns(message)]
            else:
                self._trouble.is_up()
                self.health.has("database")
                fault("after_commit_before_offsets")
                self._source.done(messages)
                return True

    def _retry(self) -> int:
        self._retried_at = time.monotonic()
        try:
            self._look()
            made = self.processor.retry_due()
        except DatabaseUnavailableError as error:
            self._trouble.is_down(str(error))
            self.health.waits_for("database", str(error))
            return 0
        self._trouble.is_up()
        self.health.has("database")
        return made

    def _look(self) -> None:
        """Count what is parked and what is not read yet, every few seconds, when somebody can read it."""
        if self.health.port and time.monotonic() - self._looked_at > LOOK_SECONDS:
            self._looked_at = time.monotonic()
            group = self.processor.group
            for state, count in guarded(lambda: ParkedEvent.objects.count_by_state(group)).items():
                metrics.parked_events.labels(group, state).set(count)
            for topic, lag in self._source.lag().items():
                metrics.consumer_lag.labels(group, topic).set(lag)

    def _note_broker(self) -> None:
        trouble = self._source.connection.trouble
        if trouble:
            self.health.waits_for("kafka", trouble)
        else:
            self.health.has("kafka")

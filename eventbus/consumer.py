"""One consumer process of one room: take messages, let the processor turn them into effects, then move the offsets."""

import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from eventbus import metrics
from eventbus.conf import JOURNAL, bus_settings
from eventbus.crew import Crew
from eventbus.exceptions import BrokerRefusedError, CatalogError, TopicsPausedError
from eventbus.faults import fault
from eventbus.health import Health
from eventbus.journal.writer import JournalWriter
from eventbus.kafka.consumer import EventConsumer
from eventbus.leases import Trouble
from eventbus.messages import Message
from eventbus.models import ParkedEvent
from eventbus.past_dead import free_followers
from eventbus.processing import DatabaseUnavailableError, Processor, bookkept
from eventbus.topics import topics_of

Answer = TypeVar("Answer")

logger = logging.getLogger(__name__)

LOOK_SECONDS = 2.0  # how often this process shows itself and asks what others decided
RETRY_SECONDS = 0.5  # how often parked keys are looked at while messages flow
FEWER = 0.9  # a full table of parked events must shrink to this part of its limit before anything is read again


class Consumer:
    """Reads one room's topics until `stop()`; the first stop finishes the batch at hand."""

    def __init__(self, room: str, *, worker: int = 0) -> None:
        settings = bus_settings()
        self.room = room
        self.processor = JournalWriter() if room == JOURNAL else Processor(room)
        self.batch, self.wait = settings.consumer_batch, settings.consumer_wait_seconds
        self.handled = 0
        self._trouble = Trouble(f"consumer {room}", "the database")
        self._stop = threading.Event()
        self._retried_at = 0.0
        self._looked_at = -math.inf
        self._is_full = False
        self._has_freed_followers = False
        self._topics = topics_of(room)
        if not self._topics:
            raise CatalogError(f"{room} handles no event, so there is nothing to consume")
        self._crew = Crew(self.processor.group)
        self._source = EventConsumer(room, self._topics)
        self.processor.caution.gained_at = self._source.gained_at
        self._port = settings.http_port_of(room, worker=worker)
        self.health = Health(f"consumer {room}")

    def stop(self, *_: object) -> None:
        """Finish the batch at hand, commit its offsets, leave the group, and return from run()."""
        self._stop.set()

    def run(self) -> None:
        """Consume until stopped; waits for a database or a broker that is away, and says so once."""
        logger.info("consumer %s started", self.room)
        self.health.serve(self._port)
        self.health.end_when_stuck(bus_settings().stuck_seconds)
        try:
            while not self._stop.is_set():
                self.step()
        finally:
            self.health.close()
            self._close()
        logger.info("consumer %s stopped after %d messages", self.room, self.handled)

    def drain(self) -> int:
        """Consume until every partition is read to its end and nothing parked is due; the number of messages.

        Raises BrokerRefusedError when only a person can help, and TopicsPausedError when all but paused topics is read.
        """
        try:
            while not self._stop.is_set():
                done = self.step()
                if self._source.connection.refusal:
                    raise BrokerRefusedError(self._source.connection.refusal)
                if not done and self._source.is_caught_up(besides=self._paused()):
                    self._refuse_to_leave(self._paused())
                    break
        finally:
            self._close()
        return self.handled

    def _refuse_to_leave(self, paused: Collection[str]) -> None:
        if not paused or self._source.is_caught_up():
            return
        topics = ", ".join(sorted(paused))
        if self._is_full:
            raise TopicsPausedError(
                f"{topics}: not read to the end, for more events are parked than parked_limit allows:"
                " see `manage.py dead_letters list`"
            )
        raise TopicsPausedError(
            f"{topics}: paused, not read to the end, for its handlers fail for too many keys:"
            " mend them, then run this again or resume the topic in the admin"
        )

    def step(self) -> int:
        """One batch and, when it is time, the parked keys that are due; the number of things done."""
        self.health.beat()
        self._look()
        self._source.pause_only(self._paused())
        metrics.consumer_polled_at.labels(self.processor.group).set_to_current_time()
        messages = self._source.take(self.batch, self.wait)
        self._note_broker()
        if messages:
            self._handle(messages)
        done = len(messages)
        if not messages or time.monotonic() - self._retried_at > RETRY_SECONDS:
            done += self._retry()
        return done

    def _handle(self, messages: Sequence[Message]) -> None:
        """Process until the database has taken all of it; a stop cuts short what it would have to wait for.

        What takes longer than `consumer_hold_seconds` is interrupted to hear what the group decided meanwhile, so that
        a partition that is to go to another process goes soon, and is not worked on any longer.
        """
        left = list(messages)
        while left:
            held = left
            try:
                left = self.processor.process(held, seconds=bus_settings().consumer_hold_seconds)
            except DatabaseUnavailableError as error:
                self._misses_database(error)
                pause = 1.0
            else:
                self._has_database()
                fault("after_commit_before_offsets")
                self._settle(held, left)
                left = self._without_paused(left)
                pause = 0.0
            if left:
                self.health.beat()
                if self._stop.is_set():
                    return
                self._source.stay_in_group(pause)
                left = [message for message in left if self._source.owns(message)]
                self._look()  # or others would take a process with slow handlers for dead

    def _settle(self, held: Sequence[Message], left: Sequence[Message]) -> None:
        remaining = {id(message) for message in left}
        settled = [message for message in held if id(message) not in remaining]
        self._source.done(settled)
        self.handled += len(settled)

    def _without_paused(self, messages: list[Message]) -> list[Message]:
        """Those of topics that are read; the others are read again when their topic is."""
        paused = self.processor.breaker.paused()
        self._source.put_back([message for message in messages if message.topic in paused])
        return [message for message in messages if message.topic not in paused]

    def _paused(self) -> set[str]:
        return set(self._topics) if self._is_full else self.processor.breaker.paused()

    def _retry(self) -> int:
        """Try parked keys, no longer than a batch may hold us: a hundred slow failures would look like a standstill."""
        seconds = bus_settings().consumer_hold_seconds
        made = self._asks(lambda: self.processor.retry_due(seconds=seconds))
        self._retried_at = time.monotonic()
        return made or 0

    def _look(self) -> None:
        """Show that this process lives, and learn what others and the operators decided, every few seconds."""
        is_time = time.monotonic() - self._looked_at > LOOK_SECONDS
        if is_time or self.processor.breaker.has_news:
            self._looked_at = time.monotonic()
            self._asks(self._look_around)

    def _look_around(self) -> None:
        age = self._crew.show()
        if age is not None:
            logger.warning("consumer %s: a process of the group died; its messages are handled one by one", self.room)
            self.processor.caution.begin(age=age)
        if not self._has_freed_followers:
            free_followers(self.processor.group)
            self._has_freed_followers = True
        breaker = self.processor.breaker
        breaker.synchronise()
        if breaker.known:
            self.health.waits_for("handlers", f"paused, their handlers fail for too many keys: {breaker.known}")
        else:
            self.health.has("handlers")
        self._count_parked()
        if self.health.port:  # somebody can read it
            for topic, lag in self._source.lag().items():
                metrics.consumer_lag.labels(self.processor.group, topic).set(lag)

    def _count_parked(self) -> None:
        """Read no more when too much is parked, until there is less."""
        group, limit = self.processor.group, bus_settings().parked_limit
        counts = ParkedEvent.objects.count_by_state(group)
        for state, count in counts.items():
            metrics.parked_events.labels(group, state).set(count)
        total = sum(counts.values())
        if not self._is_full and total > limit:
            reason = f"{total} events are parked, more than the {limit} that parked_limit allows"
            logger.error("consumer %s reads no more: %s", self.room, reason)
            self._is_full = True
            self.health.waits_for("parked", reason)
        elif self._is_full and total <= limit * FEWER:
            logger.warning("consumer %s reads again: %d events are parked", self.room, total)
            self._is_full = False
            self.health.has("parked")
        metrics.parked_full.labels(group).set(self._is_full)

    def _asks(self, question: Callable[[], Answer]) -> Answer | None:
        """The database's answer; None while it is away."""
        try:
            answer = bookkept(question)
        except DatabaseUnavailableError as error:
            self._misses_database(error)
            return None
        self._has_database()
        return answer

    def _misses_database(self, error: DatabaseUnavailableError) -> None:
        self._trouble.is_down(str(error))
        self.health.waits_for("database", str(error))

    def _has_database(self) -> None:
        self._trouble.is_up()
        self.health.has("database")

    def _note_broker(self) -> None:
        trouble = self._source.connection.trouble
        if trouble:
            self.health.waits_for("kafka", trouble)
        else:
            self.health.has("kafka")

    def _close(self) -> None:
        self._source.close()
        self._asks(self._crew.leave)

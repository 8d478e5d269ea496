"""A batch of messages becomes effects: once each, in key order, one failing key never in another's way.

One transaction: claim the batch in the inbox (the primary key decides what is new), queue what belongs to a parked key,
run the handlers of the rest in order. If anything fails, everything is rolled back and the same messages run a
tenth of them at a time, down to one, so that only the guilty one is parked. A transaction that has lasted long enough
commits what it has done and gives its other claims back, so rows are not locked for longer because a batch is large or
its handlers slow.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from math import inf
from typing import TypeVar

from django.db import DatabaseError, InterfaceError, connection, transaction
from django.utils import timezone

from eventbus import metrics, parking
from eventbus.breaker import Breaker
from eventbus.conf import bus_settings
from eventbus.context import SEVERAL_CAUSES, event_context
from eventbus.crew import Caution
from eventbus.database import is_lost, is_of_the_moment, is_out_of_service
from eventbus.exceptions import EventBusError
from eventbus.faults import fault
from eventbus.handlers import Handler, handlers_of
from eventbus.messages import Delivery, Message, read
from eventbus.models import ParkedEvent
from eventbus.topics import topics_of

FIRST = 100  # messages of a process's first transaction; the next ones grow while there is time and work
FINER = 10  # into so many parts a failed batch is cut
LOOK_SECONDS = 1.0  # between two looks at whether an idle or old connection still works

Result = TypeVar("Result")
Outcomes = list[tuple[Delivery, str]]
Together = dict[Handler, list[Delivery]]  # what the handlers of many events will be called with

CLAIM = """
INSERT INTO eventbus_inboxevent ("group", event_id, topic, partition, "offset", handled_at)
SELECT %s, i.event_id, i.topic, i.partition, i."offset", clock_timestamp()
  FROM unnest(%s::text[], %s::text[], %s::int[], %s::bigint[]) AS i(event_id, topic, partition, "offset")
ON CONFLICT DO NOTHING
RETURNING event_id
"""
GIVE_BACK = """
DELETE FROM eventbus_inboxevent WHERE "group" = %s AND event_id = ANY(%s)
"""


class DatabaseUnavailableError(EventBusError):
    """The database cannot be reached, or cannot work; nothing was handled, try again later."""


class Processor:
    """Turns messages into one room's effects."""

    def __init__(self, room: str) -> None:
        settings = bus_settings()
        self.room = room
        self.group = settings.room(room).group_id
        self.handlers = handlers_of(room)
        self._topics = topics_of(room)
        self.breaker = Breaker(self.group)
        self.caution = Caution(settings.consumer_batch)
        self._batch, self._seconds = settings.consumer_batch, settings.consumer_transaction_seconds
        self._reach = min(FIRST, self._batch)  # how many messages a transaction begins with: as many as fit its time

    def process(self, messages: Sequence[Message], *, seconds: float = inf) -> list[Message]:
        """Handle, park or bury the messages in order; those left: of paused topics, and all when `seconds` are over.

        Raises only DatabaseUnavailableError, and then nothing is lost: what was done before is a duplicate next time.
        """
        waiting = deque(read(message) for message in messages)
        fault("before_batch")
        kept: list[Delivery] = []
        ends_at = time.monotonic() + seconds
        suspects, size = 0, 1  # so many of the next messages go by parts of this size
        with metrics.consumer_batch_seconds.labels(self.group).time():
            while waiting:
                chunk = self._next(waiting, kept, size=min(size, suspects) or self._reach)
                error, left = self._attempt(chunk)
                if error is not None and len(chunk) > 1:
                    suspects, size, left = len(chunk), max(1, len(chunk) // FINER), chunk
                else:
                    suspects = max(0, suspects - len(chunk) + len(left))
                    if error is not None:
                        fault("before_park")
                        self._park(chunk[0], error)
                waiting.extendleft(reversed(left))
                if time.monotonic() > ends_at:
                    break
        return [delivery.message for delivery in (*kept, *waiting)]

    def retry_due(self, *, limit: int = 100, seconds: float = inf) -> int:
        """Run parked heads whose time has come, with their followers in order; the number of attempts made."""
        whose = (self.group, self.answer, self.breaker)
        made = guarded(lambda: parking.retry_due(*whose, topics=self._topics, limit=limit, seconds=seconds))
        metrics.consumer_retries.labels(self.group).inc(made)
        return made

    def answer(self, delivery: Delivery) -> None:
        """Run this room's handlers for one event, in the caller's transaction."""
        if delivery.error is not None:
            raise delivery.error
        together: Together = {}
        self._answer(delivery, together)
        self._answer_many(together)

    def _answer(self, delivery: Delivery, together: Together) -> None:
        """Run the handlers of single events, and note the event for those of many."""
        for handler in self.handlers.get(delivery.event_type, ()):
            if handler.takes_many:
                together.setdefault(handler, []).append(delivery)
            else:
                with event_context(delivery.context):
                    handler.function(delivery.event)

    @staticmethod
    def _answer_many(together: Together) -> None:
        with event_context(SEVERAL_CAUSES):
            for handler, deliveries in together.items():
                handler.function([delivery.event for delivery in deliveries])

    def _next(self, waiting: deque[Delivery], kept: list[Delivery], *, size: int) -> list[Delivery]:
        """The deliveries of the next transaction, none when one had to be taken carefully; paused topics' are kept."""
        chunk: list[Delivery] = []
        # A pause may run out meanwhile: what follows something kept is kept too, or it would overtake it.
        paused = self.breaker.paused() | {delivery.message.topic for delivery in kept}
        while waiting and len(chunk) < size:
            if waiting[0].message.topic in paused:
                kept.append(waiting.popleft())
            elif not self.caution.asks_for(waiting[0].message):
                chunk.append(waiting.popleft())
            elif chunk:
                break
            else:
                self._take_carefully(waiting.popleft())
                break
        return chunk

    def _take_carefully(self, delivery: Delivery) -> None:
        """Store the attempt before it is made: if it ends the process, its key is parked and the partition goes on."""

        def park_ahead() -> tuple[str, ParkedEvent | None]:
            if not self._claim([delivery]):
                return "duplicate", None
            return parking.park_ahead(self.group, delivery)

        outcome, head = bookkept(lambda: _atomically(park_ahead))
        fault("before_retry")
        if head is not None and guarded(lambda: parking.attempt(head, self.answer, self.breaker)):
            outcome = "handled"
        if outcome != "duplicate":
            self.caution.passed(delivery.message)
        self._count([(delivery, outcome)])

    def _attempt(self, deliveries: Sequence[Delivery]) -> tuple[Exception | None, Sequence[Delivery]]:
        """These in one transaction: what came in the way, if anything did, and those its time was too short for."""
        if not deliveries:
            return None, ()
        began_at = time.monotonic()
        try:
            outcomes, left = guarded(lambda: _atomically(lambda: self._take(deliveries)))
        except DatabaseUnavailableError:
            raise
        except Exception as error:
            return error, ()
        if left:
            # The claim's time counts too: on a busy machine it may take all of it, and one message is no measure then.
            self._reach = max(len(deliveries) - len(left), len(deliveries) // 2)
        elif (lasted := time.monotonic() - began_at) > self._seconds:
            # Nothing could be cut from it: the time went into a handler that takes all of its events in one call.
            self._reach = min(self._reach, max(FIRST, len(deliveries) // 2))
        elif len(deliveries) == self._reach and lasted < self._seconds / 2:
            self._reach = min(self._batch, self._reach * 2)
        self._count(outcomes)
        for delivery, outcome in outcomes:
            if outcome == "handled":
                self.breaker.succeeded(delivery.message.topic, delivery.key)
            elif delivery.error is not None and outcome == "dead":
                self.breaker.failed(delivery.message.topic, delivery.key, delivery.error)
        return None, left

    def _take(self, deliveries: Sequence[Delivery]) -> tuple[Outcomes, Sequence[Delivery]]:
        ends_at = time.monotonic() + self._seconds
        new = self._claim(deliveries)
        pending = {id(delivery) for delivery in new}
        blocked = parking.blocked_keys(self.group, [(d.message.topic, d.key) for d in new])
        outcomes: Outcomes = []
        together: Together = {}
        left: Sequence[Delivery] = ()
        for position, delivery in enumerate(deliveries):
            if id(delivery) not in pending:
                outcomes.append((delivery, "duplicate"))
            elif outcomes and time.monotonic() > ends_at:
                left = deliveries[position:]
                self._give_back([other for other in left if id(other) in pending])
                break
            else:
                outcomes.append((delivery, self._take_one(delivery, blocked, together)))
        self._answer_many(together)
        fault("before_commit")
        return outcomes, left

    def _take_one(self, delivery: Delivery, blocked: set[parking.Place], together: Together) -> str:
        place = (delivery.message.topic, delivery.key)
        if place in blocked:
            parking.queue(self.group, delivery)
            return "queued"
        if delivery.error is not None:
            parking.bury(self.group, delivery, delivery.error)
            blocked |= parking.blocked_keys(self.group, [place])
            return "dead"
        self._answer(delivery, together)
        return "handled"

    def _claim(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """The deliveries new to this group, each once; concurrent claims of one event wait for each other."""
        by_id: dict[str, Delivery] = {}
        for delivery in deliveries:
            by_id.setdefault(delivery.event_id, delivery)
        rows = sorted(by_id.values(), key=lambda delivery: delivery.event_id)
        columns = (
            [row.event_id for row in rows],
            [row.message.topic for row in rows],
            [row.message.partition for row in rows],
            [row.message.offset for row in rows],
        )
        with connection.cursor() as cursor:
            cursor.execute(CLAIM, [self.group, *columns])
            claimed = {event_id for (event_id,) in cursor.fetchall()}
        return [delivery for event_id, delivery in by_id.items() if event_id in claimed]

    def _give_back(self, deliveries: Sequence[Delivery]) -> None:
        with connection.cursor() as cursor:
            cursor.execute(GIVE_BACK, [self.group, [delivery.event_id for delivery in deliveries]])

    def _park(self, delivery: Delivery, error: Exception) -> None:
        def park() -> bool:
            is_new = bool(self._claim([delivery]))
            if is_new:
                parking.park(self.group, delivery, error)
            return is_new

        if bookkept(lambda: _atomically(park)):
            self._count([(delivery, "parked")])
            self.breaker.failed(delivery.message.topic, delivery.key, error)

    def _count(self, outcomes: Outcomes) -> None:
        handled: dict[str, list[Delivery]] = {}
        for delivery, outcome in outcomes:
            if outcome == "handled":
                handled.setdefault(delivery.event_type, []).append(delivery)
        for (event_type, outcome), count in Counter([(d.event_type, outcome) for d, outcome in outcomes]).items():
            metrics.consumer_messages.labels(self.group, event_type, outcome).inc(count)
        for event_type, deliveries in handled.items():
            self._time(event_type, deliveries)

    def _time(self, event_type: str, handled: Sequence[Delivery]) -> None:
        """Note how old these events of one type are; the look-up of a metric's labels costs more than its use."""
        now = timezone.now()
        end_to_end = metrics.consumer_end_to_end.labels(self.group, event_type)
        from_kafka = metrics.consumer_from_kafka.labels(self.group, event_type)
        for delivery in handled:
            if delivery.event is not None:
                end_to_end.observe(max(0.0, (now - delivery.event.timestamp).total_seconds()))
                if delivery.message.timestamp is not None:
                    from_kafka.observe(max(0.0, (now - delivery.message.timestamp).total_seconds()))


class _Looked(threading.local):
    """When this thread's connection was last looked at."""

    at = -inf


_looked = _Looked()


def guarded(work: Callable[[], Result]) -> Result:
    """Run database work; raises DatabaseUnavailableError when the connection is lost or PostgreSQL cannot work.

    The connection is replaced for the next call: another server may answer it.
    """
    try:
        _look_at_connection()
        return work()
    except (DatabaseError, InterfaceError) as error:
        if not is_out_of_service(error) and not is_lost(error):
            raise
        if not connection.in_atomic_block:
            connection.close()
        raise DatabaseUnavailableError(str(error)) from error


def bookkept(work: Callable[[], Result]) -> Result:
    """Run database work that is all the bus's own, no handler's: `guarded`, and what only now went wrong is no error.

    Raises DatabaseUnavailableError for that too, and is to be tried again later.
    """
    try:
        return guarded(work)
    except DatabaseError as error:
        if is_of_the_moment(error):
            raise DatabaseUnavailableError(str(error)) from error
        raise


def _look_at_connection() -> None:
    """Replace a connection that broke while it was idle, or is too old, before it is used.

    Django asks the server each time, which is one more round trip a call. One that breaks between two looks fails the
    statement at hand, and that is an answer too.
    """
    now = time.monotonic()
    if connection.in_atomic_block or (now - _looked.at < LOOK_SECONDS and not connection.errors_occurred):
        return
    connection.close_if_unusable_or_obsolete()
    _looked.at = now


def _atomically(work: Callable[[], Result]) -> Result:
    with transaction.atomic():
        return work()

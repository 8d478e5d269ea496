"""A batch of messages becomes effects: once each, in key order, one failing key never in another's way.

One transaction: claim the batch in the inbox (the primary key decides what is new), queue what belongs to a parked key,
run the handlers of the rest in order. If anything fails, everything is rolled back and the same messages run one
transaction each, so that only the guilty one is parked.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from eventbus import metrics, parking
from eventbus.conf import bus_settings
from eventbus.context import event_context
from eventbus.database import is_out_of_service
from eventbus.exceptions import EventBusError
from eventbus.faults import fault
from eventbus.handlers import handlers_of
from eventbus.messages import Delivery, Message, read

Result = TypeVar("Result")

CLAIM = """
INSERT INTO eventbus_inboxevent ("group", event_id, topic, partition, "offset", handled_at)
SELECT %s, i.event_id, i.topic, i.partition, i."offset", clock_timestamp()
  FROM unnest(%s::text[], %s::text[], %s::int[], %s::bigint[]) AS i(event_id, topic, partition, "offset")
ON CONFLICT DO NOTHING
RETURNING event_id
"""


class DatabaseUnavailableError(EventBusError):
    """The database cannot be reached, or cannot work; nothing was handled, try again later."""


class Processor:
    """Turns messages into one room's effects."""

    def __init__(self, room: str) -> None:
        self.room = room
        self.group = bus_settings().room(room).group_id
        self.handlers = handlers_of(room)

    def process(self, messages: Sequence[Message]) -> None:
        """Handle, park or bury every message; raises only DatabaseUnavailableError, and then nothing is lost."""
        deliveries = [read(message) for message in messages]
        fault("before_batch")
        with metrics.consumer_batch_seconds.labels(self.group).time():
            if self._attempt(deliveries) is None:
                return
            for delivery in deliveries:
                error = self._attempt([delivery])
                if error is not None:
                    fault("before_park")
                    self._park(delivery, error)

    def retry_due(self, limit: int = 100) -> int:
        """Run parked heads whose time has come, with their followers in order; the number of attempts made."""
        made = guarded(lambda: parking.retry_due(self.group, self.answer, limit=limit))
        metrics.consumer_retries.labels(self.group).inc(made)
        return made

    def answer(self, delivery: Delivery) -> None:
        """Run this room's handlers for one event, in the caller's transaction."""
        if delivery.error is not None:
            raise delivery.error
        with event_context(delivery.context):
            for handler in self.handlers.get(delivery.event_type, ()):
                handler(delivery.event)

    def _attempt(self, deliveries: Sequence[Delivery]) -> Exception | None:
        """All of these in one transaction; what came in the way, if anything did."""
        try:
            outcomes = guarded(lambda: _atomically(lambda: self._take(deliveries)))
        except DatabaseUnavailableError:
            raise
        except Exception as error:
            return error
        for delivery, outcome in outcomes:
            self._count(delivery, outcome)
        return None

    def _take(self, deliveries: Sequence[Delivery]) -> list[tuple[Delivery, str]]:
        new = self._claim(deliveries)
        taken = {id(delivery) for delivery in new}
        outcomes = [(delivery, "duplicate") for delivery in deliveries if id(delivery) not in taken]
        blocked = parking.blocked_keys(self.group, [(d.message.topic, d.key) for d in new])
        for delivery in new:
            place = (delivery.message.topic, delivery.key)
            if place in blocked:
                parking.queue(self.group, delivery)
                outcomes.append((delivery, "queued"))
            elif delivery.error is not None:
                parking.bury(self.group, delivery, delivery.error)
                blocked |= parking.blocked_keys(self.group, [place])
                outcomes.append((delivery, "dead"))
            else:
                self.answer(delivery)
                outcomes.append((delivery, "handled"))
        fault("before_commit")
        return outcomes

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

    def _park(self, delivery: Delivery, error: Exception) -> None:
        def park() -> bool:
            is_new = bool(self._claim([delivery]))
            if is_new:
                parking.park(self.group, delivery, error)
            return is_new

        if guarded(lambda: _atomically(park)):
            self._count(delivery, "parked")

    def _count(self, delivery: Delivery, outcome: str) -> None:
        metrics.consumer_messages.labels(self.group, delivery.event_type, outcome).inc()
        if outcome == "handled" and delivery.event is not None:
            now, sent = timezone.now(), delivery.message.timestamp
            age = (now - delivery.event.timestamp).total_seconds()
            metrics.consumer_end_to_end.labels(self.group, delivery.event_type).observe(max(0.0, age))
            if sent is not None:
                age = (now - sent).total_seconds()
                metrics.consumer_from_kafka.labels(self.group, delivery.event_type).observe(max(0.0, age))


def guarded(work: Callable[[], Result]) -> Result:
    """Run database work; raises DatabaseUnavailableError when the connection is lost or PostgreSQL cannot work.

    The connection is replaced for the next call: another server may answer it.
    """
    try:
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
        return work()
    except (DatabaseError, InterfaceError) as error:
        if not is_out_of_service(error) and not _is_lost(error):
            raise
        if not connection.in_atomic_block:
            connection.close()
        raise DatabaseUnavailableError(str(error)) from error


def _is_lost(error: Exception) -> bool:
    is_of_connection = isinstance(error, OperationalError | InterfaceError)
    return is_of_connection and not connection.in_atomic_block and not connection.is_usable()


def _atomically(work: Callable[[], Result]) -> Result:
    with transaction.atomic():
        return work()

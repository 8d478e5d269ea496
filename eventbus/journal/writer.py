"""The journal's side of a consumer: every message is copied as it came, whether anybody can read it or not."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from math import inf

from django.db import connection, transaction

from eventbus import metrics
from eventbus.breaker import Breaker
from eventbus.conf import JOURNAL, bus_settings
from eventbus.crew import Caution
from eventbus.faults import fault
from eventbus.journal.partitions import existing_days, has_own_day, make_day
from eventbus.messages import Delivery, Message, read
from eventbus.processing import bookkept

UNDATED = datetime(1970, 1, 1, tzinfo=UTC)  # the time of a message that carries none

RECORD = """
INSERT INTO eventbus_journalevent
       (time, topic, partition, "offset", key, event_id, correlation_id, causation_id, payload, headers)
SELECT m.time, m.topic, m.partition, m."offset", m.key, m.event_id, m.correlation_id, m.causation_id, m.payload,
       m.headers::jsonb
  FROM unnest(%s::timestamptz[], %s::text[], %s::int[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[],
              %s::bytea[], %s::text[]) WITH ORDINALITY
    AS m(time, topic, partition, "offset", key, event_id, correlation_id, causation_id, payload, headers, number)
 ORDER BY m.number
ON CONFLICT DO NOTHING
"""


class JournalWriter:
    """Copies messages into the journal; a consumer drives it as it drives a room's processor."""

    def __init__(self) -> None:
        self.room = JOURNAL
        self.group = bus_settings().room(JOURNAL).group_id
        self.breaker, self.caution = Breaker(self.group), Caution(0)  # it has no handlers that could fail or kill
        self._days: set[date] = set()

    def process(self, messages: Sequence[Message], *, seconds: float = inf) -> list[Message]:
        """Copy every message once, however often it comes, whatever its time; nothing is left.

        Raises DatabaseUnavailableError, and then none is lost.
        """
        deliveries = [read(message) for message in messages]
        fault("before_batch")
        with metrics.consumer_batch_seconds.labels(self.group).time():
            new = bookkept(lambda: self._record(deliveries))
        for event_type in {delivery.event_type for delivery in deliveries}:
            count = sum(delivery.event_type == event_type for delivery in deliveries)
            metrics.consumer_messages.labels(self.group, event_type, "journaled").inc(count)
        metrics.journal_rows.inc(new)
        return []

    def retry_due(self, *, seconds: float = inf) -> int:
        """Nothing is ever parked here: what cannot be read is copied like the rest."""
        return 0

    def _record(self, deliveries: Sequence[Delivery]) -> int:
        self._make_days(deliveries)
        columns = list(zip(*(row_of(delivery) for delivery in deliveries), strict=True))
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(RECORD, [list(column) for column in columns])
            fault("before_commit")
            return int(cursor.rowcount)

    def _make_days(self, deliveries: Sequence[Delivery]) -> None:
        """A partition for each day of the batch, for the beat may not have come to it."""
        wanted = {time_of(delivery.message).date() for delivery in deliveries} - self._days
        if not wanted:
            return
        self._days = set(existing_days())
        for day in sorted(wanted - self._days):
            if has_own_day(day):
                make_day(day)
                self._days.add(day)


def time_of(message: Message) -> datetime:
    """The message's own time in UTC, the same whenever it is delivered."""
    return (message.timestamp or UNDATED).astimezone(UTC)


def row_of(delivery: Delivery) -> tuple[object, ...]:
    """The columns of RECORD."""
    message = delivery.message
    return (
        time_of(message),
        message.topic,
        message.partition,
        message.offset,
        delivery.key,
        delivery.event_id,
        delivery.context.correlation_id,
        message.headers.get("ce_causationid", ""),
        message.value,
        json.dumps(dict(message.headers)),
    )

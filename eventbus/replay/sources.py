"""Where a replay's messages come from: the journal, or Kafka. Both give a key's messages in their order, in pages.

With each page comes the position to go on from when everything in it is done. The end is fixed when a replay begins, so
that what is published meanwhile is left to the consumers.
"""

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Protocol

from django.db import connection, transaction
from django.db.models import Max

from eventbus.exceptions import EventBusError
from eventbus.journal.partitions import TABLE
from eventbus.kafka.admin import Cluster
from eventbus.kafka.reading import bounds, read_between
from eventbus.messages import Delivery, Message, read
from eventbus.models import JournalEvent, Replay
from eventbus.replay.choice import Choice
from eventbus.replay.order import SteppedOver, stepped_over

logger = logging.getLogger(__name__)

PAGE = 500

Position = dict[str, int]
Page = tuple[list[Delivery], Position]


class EmptyJournalError(EventBusError):
    """There is nothing to read from: the journal is empty."""


class Source(Protocol):
    """A place that still holds events."""

    def span(self, choice: Choice, *, group: str) -> tuple[Position, Position]:
        """Where to begin, and where it ends now for this group."""

    def pages(self, choice: Choice, position: Position, end: Position) -> Iterator[Page]:
        """The chosen messages from a position to the end."""

    def stepped_over(self, group: str, choice: Choice, new: Sequence[Delivery]) -> SteppedOver | None:
        """What the group would hear after these of its key, though it comes before them."""


class Journal:
    """The journal's rows in the order of their ids, which within a topic and partition is that of their arrival."""

    def span(self, choice: Choice, *, group: str) -> tuple[Position, Position]:
        """From the first row to the last; raises EmptyJournalError when there is none.

        The lock waits for the writers of the moment: a row that committed later with a lower id would be stepped over.
        """
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '30s'")
            cursor.execute(f"LOCK TABLE ONLY {TABLE} IN SHARE MODE")
            last = JournalEvent.objects.aggregate(last=Max("id"))["last"]
        if last is None:
            raise EmptyJournalError("The journal is empty: switch it on with EVENTBUS_JOURNAL=true and run_consumers")
        return {"id": 0}, {"id": last}

    def pages(self, choice: Choice, position: Position, end: Position) -> Iterator[Page]:
        """The chosen rows, by the indexes that their bounds allow."""
        chosen = JournalEvent.objects.filter(topic__in=choice.topics, id__lte=end["id"], **_bounds(choice))
        while True:
            rows = list(chosen.filter(id__gt=position["id"]).order_by("id")[:PAGE])
            if not rows:
                return
            position = {"id": rows[-1].pk}
            yield [read(message_of(row)) for row in rows], position

    def stepped_over(self, group: str, choice: Choice, new: Sequence[Delivery]) -> SteppedOver | None:
        """By what it holds itself."""
        return stepped_over(group, choice, new)


def _bounds(choice: Choice) -> dict[str, Any]:
    bounds: dict[str, Any] = {
        "time__gte": choice.since,
        "time__lt": choice.until,
        "key__in": choice.keys,
        "event_id__in": choice.event_ids,
    }
    return {name: value for name, value in bounds.items() if value}


def message_of(row: JournalEvent) -> Message:
    """The message as it was, but for a key that is no text: that one is as the bus shows it."""
    return Message(
        topic=row.topic,
        partition=row.partition,
        offset=row.offset,
        key=row.key.encode(),
        value=None if row.payload is None else bytes(row.payload),
        headers=row.headers,
        timestamp=row.time,
    )


class Kafka:
    """The topics themselves, as far back as Kafka keeps them."""

    def span(self, choice: Choice, *, group: str) -> tuple[Position, Position]:
        """From the first message of that time to the last there is now; raises TransportError.

        Where that steps over what the group has not come to, it ends there: the rest is left to the group's consumers,
        for handed over now it would overtake what stands before it.
        """
        start, end = bounds(list(choice.topics), since=choice.since)
        earliest, _ = bounds(list(choice.topics), since=None)
        committed = Cluster().committed(group, choice.topics)
        left = 0
        for place, last in end.items():
            come_to = max(earliest[place], committed.get(place, -1))
            if choice.event_ids or come_to < start[place]:
                end[place] = max(start[place], min(last, come_to))
                left += last - end[place]
        if left:
            logger.warning("%d messages are left to the consumers of %s, which have not come to them", left, group)
        return _written(start), _written(end)

    def pages(self, choice: Choice, position: Position, end: Position) -> Iterator[Page]:
        """Every message is read; the chosen ones are given."""
        for messages in read_between(_places(position), _places(end)):
            position = position | {f"{m.topic}:{m.partition}": m.offset + 1 for m in messages}
            yield [delivery for delivery in map(read, messages) if choice.takes(delivery)], position

    def stepped_over(self, group: str, choice: Choice, new: Sequence[Delivery]) -> SteppedOver | None:
        """Nothing: it ends before that."""
        return None


def _written(offsets: dict[tuple[str, int], int]) -> Position:
    return {f"{topic}:{partition}": offset for (topic, partition), offset in offsets.items()}


def _places(position: Position) -> dict[tuple[str, int], int]:
    split = ((name.rpartition(":"), offset) for name, offset in position.items())
    return {(topic, int(partition)): offset for (topic, _, partition), offset in split}


SOURCES: dict[str, Source] = {Replay.Source.JOURNAL: Journal(), Replay.Source.KAFKA: Kafka()}


def oldest_time() -> datetime | None:
    """The time of the oldest row in the journal's days; None when there is none."""
    found: datetime | None = JournalEvent.objects.order_by("time").values_list("time", flat=True).first()
    return found

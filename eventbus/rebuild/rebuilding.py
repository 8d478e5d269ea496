"""A projection built anew from the journal, compared with the one that lives, and made like it where they differ.

Each thing's rows are taken away inside a savepoint, the room's own handlers hear its history once more, the rows they
leave are read, and the savepoint is rolled back, with whatever else the handlers did: rows of other tables, events,
tasks that would have followed the commit. Then only the difference is written. The tables are locked against writers
meanwhile; readers see the rows as they were until the end.

Only what the group has handled counts, so that the result is what should live now: not what is on its way, not what is
parked. A thing whose history began before the journal is left alone, and so is one whose history cannot be retold.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, models, transaction

from eventbus.conf import bus_settings
from eventbus.context import event_context
from eventbus.events import spec_of
from eventbus.exceptions import EventBusError
from eventbus.messages import Delivery, read
from eventbus.models import JournalEvent, OperatorAction, ParkedEvent
from eventbus.rebuild.projections import Projection
from eventbus.replay.running import handled_among
from eventbus.replay.sources import message_of

Row = dict[str, Any]

PAGE = 500
WAIT_SECONDS = 30.0  # for a journal that is behind the room
NOT_COMPARED = frozenset({"id", "updated_at"})  # they say when a row was written, not what it says

MISSING = """
WITH begun AS (
    SELECT topic, partition, min("offset") AS "offset", min(time) AS time
      FROM eventbus_journalevent WHERE topic = ANY(%s) GROUP BY topic, partition)
SELECT count(*), min(i.event_id)
  FROM eventbus_inboxevent i
  JOIN begun ON begun.topic = i.topic AND begun.partition = i.partition
 WHERE i."group" = %s AND i."offset" >= begun."offset" AND i.handled_at >= begun.time
   AND NOT EXISTS (SELECT FROM eventbus_journalevent j WHERE j.event_id = i.event_id)
"""


class JournalBehindError(EventBusError):
    """The journal lacks events that the room has handled, so nothing can be rebuilt from it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing whose rows are not what its events say."""

    table: str
    identity: object
    live: list[Row]
    rebuilt: list[Row]

    def __str__(self) -> str:
        if len(self.live) == len(self.rebuilt) == 1:
            live, rebuilt = self.live[0], self.rebuilt[0]
            changes = [f"{name} {live[name]} -> {rebuilt[name]}" for name in live if live[name] != rebuilt[name]]
            return f"{self.table} {self.identity}: {', '.join(changes)}"
        return f"{self.table} {self.identity}: {len(self.live)} rows -> {len(self.rebuilt)} rows"


@dataclass(slots=True)
class Outcome:
    """What a rebuild found: things retold, their differences, those left alone and why."""

    retold: int = 0
    differences: list[Difference] = field(default_factory=list)
    begun_before: int = 0
    failed: dict[object, str] = field(default_factory=dict)


def compare(projection: Projection) -> Outcome:
    """What differs between the projection and the journal; nothing is written."""
    with _locked(projection):
        return _rebuilt(projection)


def rebuild(projection: Projection, *, actor: str, reason: str) -> Outcome:
    """Make the projection what the journal says, and leave an audit row; raises JournalBehindError and does nothing."""
    with _locked(projection):
        outcome = _rebuilt(projection)
        tables = {table._meta.label: table for table in projection.tables}
        for difference in outcome.differences:
            _write(projection, tables[difference.table], difference)
        OperatorAction.objects.create(
            action=OperatorAction.Action.REBUILD,
            actor=actor,
            target=f"{projection.room} {projection.name}: {len(outcome.differences)} of {outcome.retold} differed",
            reason=reason,
        )
        return outcome


@contextmanager
def _locked(projection: Projection) -> Iterator[None]:
    """One transaction in which nobody else writes the tables, begun when the journal knows all that they know."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        with transaction.atomic():
            with connection.cursor() as cursor:
                for table in sorted(table._meta.db_table for table in projection.tables):
                    cursor.execute(f"LOCK TABLE {connection.ops.quote_name(table)} IN SHARE ROW EXCLUSIVE MODE")
                cursor.execute(MISSING, [_topics(projection), _group(projection)])
                missing, first = cursor.fetchone()
            if not missing:
                yield
                return
        if time.monotonic() > deadline:
            raise JournalBehindError(
                f"The journal lacks {missing} events that {_group(projection)} has handled, {first} among them: "
                "let its consumer catch up; if it was off meanwhile, this projection cannot be rebuilt from it."
            )
        time.sleep(0.5)


def _rebuilt(projection: Projection) -> Outcome:
    outcome, histories, begun = Outcome(), *_histories(projection)
    for identity, ids in histories.items():
        if identity not in begun:
            outcome.begun_before += 1
            continue
        try:
            rebuilt = _retell(projection, identity, ids)
        except Exception as error:
            outcome.failed[identity] = f"{type(error).__name__}: {error}"
            continue
        outcome.retold += 1
        for table, rows in rebuilt.items():
            live = _rows(projection, table, identity)
            if _compared(live) != _compared(rows):
                outcome.differences.append(Difference(table._meta.label, identity, live, rows))
    return outcome


def _histories(projection: Projection) -> tuple[dict[object, list[int]], set[object]]:
    """The journal's rows of each thing, oldest first, and the things whose first event is among them."""
    histories: dict[object, list[int]] = {}
    begun: set[object] = set()
    first_type = spec_of(projection.begins_with).topic
    for row, delivery in _handled(projection):
        for handler in projection.handlers(delivery.event_type):
            identity = projection.fed_by[handler.function](delivery.event)
            if identity is not None and row.pk not in histories.setdefault(identity, [])[-1:]:
                histories[identity].append(row.pk)
            if delivery.event_type == first_type:
                begun.add(identity)
    return histories, begun


def _handled(projection: Projection) -> Iterator[tuple[JournalEvent, Delivery]]:
    """The readable events that the group has handled, each once."""
    group, seen, last = _group(projection), set[str](), 0
    while True:
        rows = list(JournalEvent.objects.filter(topic__in=_topics(projection), id__gt=last).order_by("id")[:PAGE])
        if not rows:
            return
        last = rows[-1].pk
        deliveries = [read(message_of(row)) for row in rows]
        parked = ParkedEvent.objects.filter(group=group, event_id__in=[d.event_id for d in deliveries])
        handled = handled_among(group, deliveries) - set(parked.values_list("event_id", flat=True))
        for row, delivery in zip(rows, deliveries, strict=True):
            if delivery.event is not None and delivery.event_id in handled - seen:
                seen.add(delivery.event_id)
                yield row, delivery


def _retell(projection: Projection, identity: object, ids: list[int]) -> dict[type[models.Model], list[Row]]:
    """The rows that a thing's history makes; everything done meanwhile is undone."""
    with transaction.atomic():
        for table in projection.tables:
            _delete(_queryset(projection, table, identity))
        for row in JournalEvent.objects.filter(pk__in=ids).order_by("id"):
            delivery = read(message_of(row))
            with event_context(delivery.context):
                for handler in projection.handlers(delivery.event_type):
                    handler(delivery.event)
        rebuilt = {table: _rows(projection, table, identity) for table in projection.tables}
        transaction.set_rollback(True)
    return rebuilt


def _write(projection: Projection, table: type[models.Model], difference: Difference) -> None:
    """Turn the live rows into the rebuilt ones, touching no row that is right."""
    rows = _queryset(projection, table, difference.identity)
    if len(difference.live) == len(difference.rebuilt) == 1:
        [wanted] = difference.rebuilt
        rows.update(**{name: value for name, value in wanted.items() if name != "id"})
        return
    right = [row for row in difference.live if _compared([row])[0] in _compared(difference.rebuilt)]
    _delete(rows.exclude(pk__in=[row[_key_name(table)] for row in right]))
    for row in difference.rebuilt:
        if _compared([row])[0] not in _compared(right):
            table(**{name: value for name, value in row.items() if name != "id"}).save(force_insert=True)


def _queryset(projection: Projection, table: type[models.Model], identity: object) -> models.QuerySet[Any]:
    return table._base_manager.filter(**{projection.key: identity}, **projection.where)


def _rows(projection: Projection, table: type[models.Model], identity: object) -> list[Row]:
    return list(_queryset(projection, table, identity).order_by("pk").values())


def _compared(rows: list[Row]) -> list[list[tuple[str, str]]]:
    """The rows as what they say, in no order of their own."""
    return sorted(sorted((name, repr(row[name])) for name in row if name not in NOT_COMPARED) for row in rows)


def _delete(rows: models.QuerySet[Any]) -> None:
    rows._raw_delete(rows.db)  # rows of the room may refer to them: the check waits for the transaction's end


def _key_name(table: type[models.Model]) -> str:
    return table._meta.pk.attname


def _topics(projection: Projection) -> list[str]:
    return [bus_settings().topic_prefix + event_type for event_type in projection.event_types()]


def _group(projection: Projection) -> str:
    return bus_settings().room(projection.room).group_id

"""publish(): an event becomes true with the transaction that made it true.

Call it after the write that locked the aggregate. The outbox row's id is then drawn under that lock, and the ids of one
key's visible rows are in the order of their transactions: all that the relay needs.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID
from zlib import crc32

import msgspec
from django.db import DEFAULT_DB_ALIAS, connection, transaction

from eventbus.conf import bus_settings
from eventbus.context import SEVERAL_CAUSES, current_context
from eventbus.events import Event, EventSpec, spec_of
from eventbus.exceptions import OutsideTransactionError, OversizedEventError, PublishError
from eventbus.messages import MAX_KEY

CHANNEL = "eventbus_outbox"
LOCK_SPACE = 0x7473  # the first key of our two-key advisory locks, so that they meet nobody else's

# The transaction gets its own id before the row gets one: a relay that has seen every older transaction end knows then
# that no lower row id can appear any more (eventbus/floors.py). A CASE looks at its condition first.
ROW_ID = "CASE WHEN pg_current_xact_id() IS NOT NULL{bell} THEN nextval('eventbus_outboxevent_id_seq') END"
BELLS = {
    "poll": "",
    "notify": f" AND pg_notify('{CHANNEL}', '') IS NOT NULL",  # heard at the commit, once for all its rows
}
# Plain values: a SELECT that feeds the INSERT costs PostgreSQL's planner a tenth of a small transaction.
INSERT = """INSERT INTO eventbus_outboxevent
       (id, event_id, bucket, topic, key, payload, headers, aggregate_type, aggregate_id, sequence)
VALUES """
TAKE_TURNS = "SELECT pg_advisory_xact_lock(%s, number) FROM unnest(%s::int4[]) AS number"


class NewRow(NamedTuple):
    """What an outbox row is made of; the database adds its id and its time."""

    event_id: UUID
    bucket: int
    topic: str
    key: str
    payload: bytes
    headers: Mapping[str, str]
    aggregate_type: str
    aggregate_id: str
    sequence: int


def publish(*events: Event) -> None:
    """Write the events to the outbox, in this order, with one statement, inside the caller's transaction.

    Raises OutsideTransactionError, UnregisteredEventError, OversizedEventError or PublishError (no key or one too long,
    an id that is not a UUID) at the call, where the mistake is; nothing is written then.
    """
    append(_rows(events))


def publish_in_turn(*events: Event) -> None:
    """publish() for code that has no row to lock first: waits until no other transaction holds one of these keys.

    The keys are held until the transaction ends. It gives an order only if whatever publishes these events calls this
    and nothing takes it for the aggregate's own lock: two transactions that take locks and keys in different orders
    meet in a deadlock, which PostgreSQL ends with an OperationalError in one of them. Raises what publish() raises.
    """
    rows = _rows(events)
    with connection.cursor() as cursor:
        cursor.execute(TAKE_TURNS, [LOCK_SPACE, sorted({_turn_of(row) for row in rows})])
    append(rows)


def append(rows: Sequence[NewRow]) -> None:
    """Write rows that carry no event of ours, as publish() writes events; inside the caller's transaction."""
    if not rows:
        return
    values: list[UUID | int | str | bytes] = []
    for row in rows:
        values += (*row[:5], msgspec.json.encode(row.headers).decode(), *row[6:])
    one = f"({ROW_ID.format(bell=BELLS[bus_settings().relay_wake])}, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
    with connection.cursor() as cursor:
        cursor.execute(INSERT + ", ".join([one] * len(rows)), values)


def bucket_of(key: str) -> int:
    """The relay bucket of a key: a pure function of the key, so one key has one publisher at a time."""
    return crc32(key.encode()) % bus_settings().buckets


def topic_of(spec: EventSpec) -> str:
    """The Kafka topic of an event type, behind KAFKA_TOPIC_PREFIX."""
    return bus_settings().topic_prefix + spec.topic


def _rows(events: Iterable[Event]) -> list[NewRow]:
    if not transaction.get_connection(DEFAULT_DB_ALIAS).in_atomic_block:
        names = ", ".join(type(event).__name__ for event in events)
        raise OutsideTransactionError(f"publish({names}) outside a transaction: call it inside transaction.atomic()")
    if current_context() is SEVERAL_CAUSES:
        raise PublishError(
            "a handler of many events cannot publish, its event would have no single cause: declare it with @handles"
        )
    return [_row(event) for event in events]


def _turn_of(row: NewRow) -> int:
    """The second key of the lock for this topic and key, as PostgreSQL's signed int4."""
    return crc32(f"{row.topic} {row.key}".encode()) - 2**31


def _row(event: Event) -> NewRow:
    spec = spec_of(type(event))
    payload = event.encode()
    limit = bus_settings().max_event_bytes
    if len(payload) > limit:
        raise OversizedEventError(
            f"{spec.topic} is {len(payload)} bytes, the limit is {limit}: send ids and let the reader ask, "
            "or raise EVENTBUS_MAX_EVENT_BYTES and the topic's max.message.bytes together"
        )
    if getattr(event, spec.key) in (None, ""):
        raise PublishError(f"{spec.topic}: its key {spec.key!r} is empty, so it would have no place in any order")
    if len(event.key) > MAX_KEY:
        raise PublishError(f"{spec.topic}: its key has {len(event.key)} characters, the limit is {MAX_KEY}")
    try:
        event_id = UUID(event.id)
    except ValueError as error:
        raise PublishError(f"{spec.topic}: its id {event.id!r} is not a UUID") from error
    key, aggregate_id = event.key, event.aggregate_id
    return NewRow(
        event_id=event_id,
        bucket=bucket_of(key),
        topic=topic_of(spec),
        key=key,
        payload=payload,
        headers=_headers(event, spec, key=key, aggregate_id=aggregate_id),
        aggregate_type=spec.aggregate,
        aggregate_id=aggregate_id,
        sequence=event.sequence,
    )


def _headers(event: Event, spec: EventSpec, *, key: str, aggregate_id: str) -> dict[str, str]:
    """CloudEvents 1.0 in Kafka's binary mode, and W3C trace context."""
    context = current_context()
    headers = {
        "ce_specversion": "1.0",
        "ce_id": event.id,
        "ce_type": spec.topic,
        "ce_source": spec.source,
        "ce_time": event.timestamp.isoformat(),
        "ce_subject": aggregate_id,
        "ce_partitionkey": key,
        "ce_correlationid": context.correlation_id or event.id,
        "ce_causationid": context.causation_id,
        "ce_actor": context.actor,
        "content-type": "application/json",
        "traceparent": context.traceparent,
    }
    return {name: value for name, value in headers.items() if value}

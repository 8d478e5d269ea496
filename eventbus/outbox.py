"""publish(): an event becomes true with the transaction that made it true.

Call it after the write that locked the aggregate. The outbox row's id is then drawn under that lock, and the ids of one
key's visible rows are in the order of their transactions: all that the relay needs.
"""

from uuid import UUID
from zlib import crc32

from django.db import DEFAULT_DB_ALIAS, transaction

from eventbus.conf import bus_settings
from eventbus.context import SEVERAL_CAUSES, current_context
from eventbus.events import Event, EventSpec, spec_of
from eventbus.exceptions import OutsideTransactionError, OversizedEventError, PublishError
from eventbus.messages import MAX_KEY
from eventbus.models import OutboxEvent


def publish(*events: Event) -> None:
    """Write the events to the outbox, in this order, with one statement, inside the caller's transaction.

    Raises OutsideTransactionError, UnregisteredEventError, OversizedEventError or PublishError (no key or one too long,
    an id that is not a UUID) at the call, where the mistake is; nothing is written then.
    """
    if not transaction.get_connection(DEFAULT_DB_ALIAS).in_atomic_block:
        names = ", ".join(type(event).__name__ for event in events)
        raise OutsideTransactionError(f"publish({names}) outside a transaction: call it inside transaction.atomic()")
    if current_context() is SEVERAL_CAUSES:
        raise PublishError(
            "a handler of many events cannot publish, its event would have no single cause: declare it with @handles"
        )
    OutboxEvent.objects.bulk_create([_row(event) for event in events])


def bucket_of(key: str) -> int:
    """The relay bucket of a key: a pure function of the key, so one key has one publisher at a time."""
    return crc32(key.encode()) % bus_settings().buckets


def topic_of(spec: EventSpec) -> str:
    """The Kafka topic of an event type, behind KAFKA_TOPIC_PREFIX."""
    return bus_settings().topic_prefix + spec.topic


def _row(event: Event) -> OutboxEvent:
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
    return OutboxEvent(
        event_id=event_id,
        bucket=bucket_of(event.key),
        topic=topic_of(spec),
        key=event.key,
        payload=payload,
        headers=_headers(event, spec),
        aggregate_type=spec.aggregate,
        aggregate_id=event.aggregate_id,
        sequence=event.sequence,
    )


def _headers(event: Event, spec: EventSpec) -> dict[str, str]:
    """CloudEvents 1.0 in Kafka's binary mode, and W3C trace context."""
    context = current_context()
    headers = {
        "ce_specversion": "1.0",
        "ce_id": event.id,
        "ce_type": spec.topic,
        "ce_source": spec.source,
        "ce_time": event.timestamp.isoformat(),
        "ce_subject": event.aggregate_id,
        "ce_partitionkey": event.key,
        "ce_correlationid": context.correlation_id or event.id,
        "ce_causationid": context.causation_id,
        "ce_actor": context.actor,
        "content-type": "application/json",
        "traceparent": context.traceparent,
    }
    return {name: value for name, value in headers.items() if value}

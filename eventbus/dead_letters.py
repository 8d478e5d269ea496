"""Dead letters for other eyes: each is also published to `<topic>.dlq`, through the outbox like everything else.

The value, the key and the headers are those of the message that could not be handled; added headers say where it stood,
who could not handle it and why. What is too large to publish stays in the parked event alone, and a header says so.
"""

from collections.abc import Mapping

from uuid_utils.compat import uuid7

from eventbus.conf import bus_settings
from eventbus.models import ParkedEvent
from eventbus.outbox import NewRow, append, bucket_of

SUFFIX = ".dlq"
MAX_HEADER = 1000  # characters of an error's text
MAX_HEADERS = 32_768  # bytes of the message's own headers, all together


def dead_letter_topic(topic: str) -> str:
    """Where the dead letters of a topic go."""
    return topic + SUFFIX


def announce(dead: ParkedEvent) -> None:
    """Publish a dead letter, in the transaction that made it one."""
    payload, headers = _fitting(b"" if dead.payload is None else bytes(dead.payload), dead.headers)
    row = NewRow(
        event_id=uuid7(),
        bucket=bucket_of(dead.key),
        topic=dead_letter_topic(dead.topic),
        key=dead.key,
        payload=payload,
        headers={**headers, **_reasons(dead)},
        aggregate_type="dead_letter",
        aggregate_id=str(dead.pk),
        sequence=0,
    )
    append([row])


def _fitting(payload: bytes, headers: Mapping[str, str]) -> tuple[bytes, Mapping[str, str]]:
    """As much of the message as the broker will take: a refused dead letter would hold its key in turn."""
    limit = bus_settings().max_event_bytes
    size = sum(len(name.encode()) + len(text.encode()) for name, text in headers.items())
    omitted = []
    if size > MAX_HEADERS:
        omitted.append(f"headers of {size} bytes")
        headers = {}
    if len(payload) > limit:
        omitted.append(f"a value of {len(payload)} bytes")
        payload = b""
    return payload, {**headers, "dlq_omitted": " and ".join(omitted)} if omitted else headers


def _reasons(dead: ParkedEvent) -> Mapping[str, str]:
    return {
        "dlq_topic": dead.topic,
        "dlq_partition": str(dead.partition),
        "dlq_offset": str(dead.offset),
        "dlq_group": dead.group,
        "dlq_exception": dead.error_class,
        "dlq_message": dead.error[:MAX_HEADER],
        "dlq_attempts": str(dead.attempts),
    }

"""Dead letters for other eyes: each is also published to `<topic>.dlq`, through the outbox like everything else.

The value, the key and the headers are those of the message that could not be handled; added headers say where it stood,
who could not handle it and why.
"""

from collections.abc import Mapping

from uuid_utils.compat import uuid7

from eventbus.models import OutboxEvent, ParkedEvent
from eventbus.outbox import append, bucket_of

SUFFIX = ".dlq"
MAX_HEADER = 1000  # characters of an error's text


def dead_letter_topic(topic: str) -> str:
    """Where the dead letters of a topic go."""
    return topic + SUFFIX


def announce(dead: ParkedEvent) -> None:
    """Publish a dead letter, in the transaction that made it one."""
    row = OutboxEvent(
        event_id=uuid7(),
        bucket=bucket_of(dead.key),
        topic=dead_letter_topic(dead.topic),
        key=dead.key,
        payload=b"" if dead.payload is None else dead.payload,
        headers={**dead.headers, **_reasons(dead)},
        aggregate_type="dead_letter",
        aggregate_id=str(dead.pk),
        sequence=0,
    )
    append([row])


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

"""What goes to Kafka and what comes from it; reading a message gives an event, or the reason why it is none."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

import msgspec

from eventbus.conf import bus_settings
from eventbus.context import EventContext
from eventbus.events import Event, registered
from eventbus.exceptions import DecodeError

MAX_KEY = 500  # characters: at most 2,000 bytes, and an index takes 2,700
MAX_CONTEXT = 300  # characters of what a header passes on to every event that follows


class Row(msgspec.Struct, frozen=True, gc=False):
    """A waiting event as it lies in the outbox; what carries it to Kafka never looks into its payload."""

    id: int
    bucket: int
    topic: str
    key: str
    payload: bytes
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Message:
    """What the broker handed over, untouched; `timestamp` is when its producer sent it, by the producer's clock."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, str] = field(default_factory=dict)
    timestamp: datetime | None = None

    @property
    def place(self) -> str:
        """`topic:partition:offset`, which names the message when its producer did not."""
        return f"{self.topic}:{self.partition}:{self.offset}"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message after reading: `event` when it is readable, else `error`."""

    message: Message
    event_type: str
    key: str
    event_id: str
    event: Event | None
    error: DecodeError | None

    @property
    def context(self) -> EventContext:
        """The story that everything published while handling this belongs to."""
        headers = {name: text[:MAX_CONTEXT] for name, text in self.message.headers.items()}
        return EventContext(
            correlation_id=headers.get("ce_correlationid", self.event_id),
            causation_id=self.event_id,
            actor=headers.get("ce_actor", ""),
            traceparent=headers.get("traceparent", ""),
        )


def read(message: Message) -> Delivery:
    """Decode one message; never raises for what a producer wrote."""
    event_type = message.topic.removeprefix(bus_settings().topic_prefix)
    event, error = None, None
    try:
        spec = registered()[event_type]
        event = spec.decode(message.value, fallback_id=message.place)
    except KeyError:
        error = DecodeError(f"{event_type} is no registered event")
    except DecodeError as refused:
        error = refused
    return Delivery(
        message=message,
        event_type=event_type,
        key=_text(message.key) or message.place,
        event_id=event.id if event else message.place,
        event=event,
        error=error,
    )


def _text(key: bytes | None) -> str:
    """A key as text that PostgreSQL can hold and index; what is too long for that is told apart by its digest."""
    text = (key or b"").decode("utf-8", "backslashreplace").replace("\x00", "\\x00")
    return text if len(text) <= MAX_KEY else f"{text[:100]}~{sha256(text.encode()).hexdigest()}"

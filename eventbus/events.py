"""What an event is: a frozen, typed fact that reads the same in every language.

On the wire an event is one flat JSON object with camelCase keys. `id`, `version`, `timestamp` and `sequence` come
first, then the event's own fields, every one always present (a nullable one as `null`). The topic is the event's type.

    @event("payment.completed", version="1.0", key="reference_id", aggregate="payment", aggregate_id="payment_id")
    class PaymentCompleted(Event):
        payment_id: UUID = field(name="transactionId")
        ...

Decoding is strict about what the class declares and indifferent to what it does not: unknown fields are ignored, an
unknown value of a `WireEnum` is kept and equals no known member, a missing field without a default is an error.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar, Self, TypeVar, dataclass_transform

import msgspec
from django.utils import timezone
from msgspec.structs import force_setattr
from uuid_utils.compat import uuid7

from eventbus.exceptions import CatalogError, DecodeError, UnregisteredEventError

field = msgspec.field

EventClass = TypeVar("EventClass", bound="type[Event]")
Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

_encoder = msgspec.json.Encoder()


class WireEnum(StrEnum):
    """An enum that readers must be able to meet new members of: an unknown value is kept, and is no known member."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        stranger = str.__new__(cls, value)
        stranger._name_ = "UNKNOWN"
        stranger._value_ = value
        return stranger


class WireMeta(msgspec.StructMeta):
    """Frozen, keyword-only and camelCase in every subclass: msgspec itself does not inherit keyword-only."""

    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> "WireMeta":
        settings = {"frozen": True, "kw_only": True, "rename": "camel", **options}
        return super().__new__(mcls, name, bases, namespace, **settings)


@dataclass_transform(kw_only_default=True, field_specifiers=(msgspec.field,))
class Wire(msgspec.Struct, metaclass=WireMeta):
    """A typed object inside an event."""


@dataclass_transform(kw_only_default=True, field_specifiers=(msgspec.field,))
class Event(msgspec.Struct, metaclass=WireMeta):
    """Base of all events; subclasses add their fields and carry `@event(...)`.

    `sequence` counts the aggregate's events from 1 without gaps; 0 says that the producer does not count.
    `timestamp` is when the fact was recorded (UTC); nothing is ordered by it.
    """

    spec: ClassVar["EventSpec"]

    id: str = field(default_factory=lambda: str(uuid7()))
    version: str = ""
    timestamp: datetime = field(default_factory=timezone.now)
    sequence: int = 0

    def __post_init__(self) -> None:
        if self.timestamp.tzinfo is None:
            force_setattr(self, "timestamp", self.timestamp.replace(tzinfo=UTC))
        if not self.version and "spec" in type(self).__dict__:
            force_setattr(self, "version", type(self).spec.version)

    @property
    def key(self) -> str:
        """The partition key: all events of one key are read in the order in which they were published."""
        return str(getattr(self, spec_of(type(self)).key))

    @property
    def aggregate_id(self) -> str:
        """The id of the thing that changed, as text."""
        return ":".join(str(getattr(self, name)) for name in spec_of(type(self)).aggregate_id)

    def encode(self) -> bytes:
        """The wire value: UTF-8 JSON."""
        return _encoder.encode(self)


@dataclass(frozen=True, slots=True)
class EventSpec:
    """Where an event lives: its topic, version, partition key (an attribute's name), aggregate and retention."""

    topic: str
    version: str
    key: str
    aggregate: str
    aggregate_id: tuple[str, ...]
    source: str
    retention_days: int
    event_class: type[Event]
    upcasters: Mapping[int, Upcaster]
    decoder: msgspec.json.Decoder[Event]

    @property
    def major(self) -> int:
        """The number whose change breaks readers."""
        return int(self.version.partition(".")[0])

    def decode(self, value: bytes | None, *, fallback_id: str) -> Event:
        """The event in a message's value, lifted from older versions; `fallback_id` names it when the value does not.

        Raises DecodeError, saying what is wrong, when the value is not JSON, lacks a field, holds a wrong type, or is
        of a major version that nobody here reads.
        """
        if value is None:
            raise DecodeError(f"{self.topic}: the message has no value")
        try:
            major, identifier = self._head(value)
            if major == self.major:
                decoded = self.decoder.decode(value)
            else:
                decoded = msgspec.convert(self._lift(value, major), self.event_class)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise DecodeError(f"{self.topic}: {error}") from error
        if not identifier:
            force_setattr(decoded, "id", fallback_id)
        return decoded

    def _head(self, value: bytes) -> tuple[int, str]:
        head = _head_decoder.decode(value)
        text = head.version if isinstance(head.version, str) and head.version else "1.0"
        major = text.partition(".")[0]
        if not major.isdecimal() or len(major) > MAX_MAJOR_DIGITS:
            raise DecodeError(f"{self.topic}: version {text[:20]!r} is not of the form MAJOR.MINOR")
        identifier = head.id if isinstance(head.id, str) else ""
        if len(identifier) > MAX_ID_LENGTH:
            raise DecodeError(f"{self.topic}: the id is longer than {MAX_ID_LENGTH} characters")
        if "\x00" in identifier:
            raise DecodeError(f"{self.topic}: the id holds a NUL, which the inbox cannot keep")
        return int(major), identifier

    def _lift(self, value: bytes, major: int) -> dict[str, Any]:
        raw = msgspec.json.decode(value, type=dict[str, Any])
        for step in range(major, self.major):
            if step not in self.upcasters:
                break
            try:
                raw = {**self.upcasters[step](raw), "version": f"{step + 1}.0"}
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                raise DecodeError(f"{self.topic}: cannot be lifted from version {step}: {error!r}") from error
            major = step + 1
        if major != self.major:
            raise DecodeError(
                f"{self.topic}: major version {major} is not one this reader knows (it reads {self.major})"
            )
        return raw


MAX_ID_LENGTH = 100
MAX_MAJOR_DIGITS = 4


class _Head(msgspec.Struct):
    id: Any = None
    version: Any = None


_head_decoder = msgspec.json.Decoder(_Head)
_registered: dict[str, EventSpec] = {}


def event(
    topic: str,
    *,
    version: str,
    key: str,
    aggregate: str,
    aggregate_id: str | tuple[str, ...] = "",
    retention_days: int = 30,
    upcasters: Mapping[int, Upcaster] | None = None,
) -> Callable[[EventClass], EventClass]:
    """Register an event class under its topic.

    `key` names the attribute whose value is the partition key; `aggregate_id` the attribute (or attributes) that
    identify the aggregate, the key by default; Kafka keeps the topic for `retention_days`; `upcasters[n]` turns a raw
    object of major version n into one of n + 1, and need not care for its `version`.
    """

    def register(event_class: EventClass) -> EventClass:
        identity = (aggregate_id or key,) if isinstance(aggregate_id, str) else aggregate_id
        _require_free_place(event_class, topic, names=(key, *identity))
        _registered[topic] = event_class.spec = EventSpec(
            topic=topic,
            version=version,
            key=key,
            aggregate=aggregate,
            aggregate_id=identity,
            source="/" + event_class.__module__.partition(".")[0],
            retention_days=retention_days,
            event_class=event_class,
            upcasters=dict(upcasters or {}),
            decoder=msgspec.json.Decoder(event_class),
        )
        return event_class

    return register


def _require_free_place(event_class: type[Event], topic: str, *, names: tuple[str, ...]) -> None:
    for name in names:
        if name not in event_class.__struct_fields__:
            raise CatalogError(f"{event_class.__name__} has no field {name!r}, which its @event names")
    if topic in _registered and _registered[topic].event_class.__qualname__ != event_class.__qualname__:
        raise CatalogError(f"{topic} is already the topic of {_registered[topic].event_class.__name__}")


def spec_of(event_class: type[Event]) -> EventSpec:
    """The registration of an event class; raises UnregisteredEventError when it has none."""
    spec = event_class.__dict__.get("spec")
    if not isinstance(spec, EventSpec):
        raise UnregisteredEventError(f"{event_class.__name__} is not registered: decorate it with @event(topic, ...)")
    return spec


def registered() -> Mapping[str, EventSpec]:
    """Every registered event by its topic."""
    return _registered

"""The bus's settings, read once from Django's: names, units and defaults in one place."""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

JOURNAL = "journal"  # the name of the reader that is no room
POSITIVE = (
    *("buckets", "partitions", "replication_factor", "consumer_batch", "retry_attempts"),
    *("inbox_retention_days", "journal_retention_days", "parked_limit", "crash_attempts"),
)
ABOVE_0 = ("consumer_transaction_seconds", "consumer_hold_seconds", "consumer_batch_bytes", "relay_batch_bytes")
CHOICES = {
    "group_protocol": ("KAFKA_GROUP_PROTOCOL", ("consumer", "classic")),
    "relay_wake": ("EVENTBUS_RELAY_WAKE", ("poll", "notify")),
}


@dataclass(frozen=True, slots=True)
class Room:
    """How one reader appears to Kafka: a room, or the journal."""

    client_id: str
    group_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """Who we are to Kafka and whom we trust; certificates and key as a path or as PEM text.

    Read in eventbus/kafka/security.py, which refuses combinations that cannot work. Secrets stay out of the repr.
    """

    protocol: str = "PLAINTEXT"
    sasl_mechanism: str = ""
    sasl_username: str = ""
    sasl_password: str = field(default="", repr=False)
    ssl_ca: str = field(default="", repr=False)
    ssl_certificate: str = field(default="", repr=False)
    ssl_key: str = field(default="", repr=False)
    ssl_key_password: str = field(default="", repr=False)
    oauth_token_url: str = ""
    oauth_client_id: str = ""
    oauth_client_secret: str = field(default="", repr=False)
    oauth_scope: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BusSettings:
    """`EVENTBUS` in Django's settings; durations in seconds, sizes in bytes."""

    brokers: str = ""
    security: Security = Security()
    client_config: dict[str, str] = field(default_factory=dict, repr=False)  # librdkafka's own properties
    topic_prefix: str = ""
    rooms: dict[str, Room]
    journal: Room | None = None  # the group that copies every event into the journal; None keeps no journal
    partitions: int = 6
    replication_factor: int = 1
    min_insync_replicas: int = 1

    buckets: int = 16
    max_event_bytes: int = 900_000
    lease_seconds: float = 10.0
    relay_batch_min: int = 200
    relay_batch_max: int = 4000
    relay_batch_bytes: int = 16_000_000  # a round of larger events takes fewer; one more may come before it does
    relay_idle_seconds: float = 0.02  # the longest pause between two looks at an empty outbox
    relay_wake: str = "poll"  # or "notify": publish() rings, and an idle relay waits for that
    delivery_timeout_seconds: float = 30.0
    compression: str = "none"  # the one that every client can read: kafkajs knows only gzip besides, and gzip is slow

    consumer_batch: int = 1000  # the most messages of one transaction; how many fit into its time is found out
    consumer_wait_seconds: float = 0.1
    consumer_transaction_seconds: float = 0.05  # one that has lasted so long commits after the handler at hand
    consumer_batch_bytes: int = 4_000_000
    consumer_hold_seconds: float = 5.0  # what is left of a batch after so long waits until the group was heard
    stuck_seconds: float = 90.0  # a consumer whose loop stands still for so long ends itself; 0 never
    parked_limit: int = 100_000  # a group with more parked events than this reads no more until there are fewer
    crash_attempts: int = 3  # an event in whose attempts the process ended so often is a dead letter
    group_protocol: str = "consumer"
    fetch_wait_ms: int = 50
    session_timeout_ms: int = 45_000
    retry_attempts: int = 8
    retry_base_seconds: float = 1.0
    retry_cap_seconds: float = 300.0
    not_yet_limit_seconds: float = 24 * 3600.0
    continue_past_dead: tuple[str, ...] = ()
    inbox_retention_days: int = 45
    journal_retention_days: int = 30
    http_port: int = 0  # health and metrics: the relay's port; each room's consumer has the next ones; 0 serves none

    def __post_init__(self) -> None:
        if JOURNAL in self.rooms:
            raise ImproperlyConfigured(f"EVENTBUS['rooms'] may name no room {JOURNAL!r}: that is the journal's reader")
        if not self.rooms:
            raise ImproperlyConfigured("EVENTBUS['rooms'] names no room, so nothing could consume an event")
        if self.relay_batch_min > self.relay_batch_max:
            raise ImproperlyConfigured("EVENTBUS: relay_batch_min is larger than relay_batch_max")
        for name, (variable, choices) in CHOICES.items():
            if getattr(self, name) not in choices:
                names = " or ".join(repr(choice) for choice in choices)
                raise ImproperlyConfigured(f"EVENTBUS[{name!r}] ({variable}) must be {names}")
        if self.min_insync_replicas > self.replication_factor:
            raise ImproperlyConfigured(
                f"KAFKA_MIN_INSYNC_REPLICAS is {self.min_insync_replicas}, but KAFKA_REPLICATION_FACTOR is"
                f" {self.replication_factor}: no event would ever be acknowledged"
            )
        self._check_numbers()

    def _check_numbers(self) -> None:
        for name in ABOVE_0:
            if getattr(self, name) <= 0:
                raise ImproperlyConfigured(f"EVENTBUS[{name!r}] must be above 0")
        for name in POSITIVE:
            if getattr(self, name) < 1:
                raise ImproperlyConfigured(f"EVENTBUS[{name!r}] must be at least 1")

    def room(self, name: str) -> Room:
        """How this reader appears to Kafka; raises ImproperlyConfigured naming the rooms there are."""
        if name == JOURNAL and self.journal is None:
            raise ImproperlyConfigured("The journal is off: EVENTBUS_JOURNAL=true switches it on")
        if name not in self.readers:
            raise ImproperlyConfigured(f"There is no room {name!r}; the rooms are {', '.join(sorted(self.readers))}")
        return self.readers[name]

    @property
    def readers(self) -> dict[str, Room]:
        """Everybody with a consumer group: the rooms, and the journal when it is on."""
        return self.rooms if self.journal is None else {**self.rooms, JOURNAL: self.journal}

    def http_port_of(self, room: str, *, worker: int = 0) -> int:
        """Where this reader's consumer answers about its health; 0 for nowhere. More workers have the ports after."""
        return self.http_port and self.http_port + 1 + list(self.readers).index(room) + worker * len(self.readers)


@cache
def bus_settings() -> BusSettings:
    """The settings in force; a misspelt name is refused."""
    raw: dict[str, Any] = dict(getattr(settings, "EVENTBUS", {}))
    unknown = set(raw) - set(BusSettings.__dataclass_fields__)
    if unknown:
        raise ImproperlyConfigured(f"EVENTBUS has settings nobody reads: {', '.join(sorted(unknown))}")
    raw["rooms"] = {name: Room(**names) for name, names in raw.get("rooms", {}).items()}
    raw["journal"] = Room(**raw["journal"]) if raw.get("journal") else None
    raw["security"] = Security(**raw.get("security", {}))
    return BusSettings(**raw)


def _forget(*, setting: str, **_: object) -> None:
    if setting == "EVENTBUS":
        bus_settings.cache_clear()


setting_changed.connect(_forget)  # sent by Django's override_settings only: tests may change the bus's settings

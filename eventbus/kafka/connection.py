"""How every client of ours connects, and what it says when the broker is away or refuses it."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException, Producer
from django.core.exceptions import ImproperlyConfigured

from eventbus.conf import bus_settings
from eventbus.health import Health
from eventbus.kafka.security import credential_files, explanation, security_settings, without_secrets

logger = logging.getLogger(__name__)
librdkafka = logging.getLogger("librdkafka")
librdkafka.setLevel(logging.CRITICAL + 1)  # whatever it logs reaches us as an error too, and we say it once

Client = TypeVar("Client")


class Connection:
    """What stands between a client and its work: logged once for each change, and told to the health page at once.

    Four things can: no broker answers, it refuses the connection, it refuses a topic or a group, or it lacks a topic.
    All but the first need a person, so their reasons say what to do.
    """

    def __init__(self, who: str, health: Health | None = None) -> None:
        self.who = who
        self.denied = ""
        self.lacking = ""
        self._health = health
        self._away = ""
        self._refused = ""
        self._said: set[str] = set()
        self._files = credential_files()

    @property
    def trouble(self) -> str:
        """Why it waits; empty when it works."""
        return self._refused or self._away or self.denied or self.lacking

    @property
    def is_made(self) -> bool:
        """Whether the broker answers and lets us in, whatever it permits then."""
        return not self._away and not self._refused

    @property
    def refusal(self) -> str:
        """What a person has to change; empty when time may help."""
        return self._refused or self.denied

    def on_error(self, error: KafkaError) -> None:
        """librdkafka's error callback."""
        reason = explanation(error)
        if reason:
            self.is_refused(reason)
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:
            settings = bus_settings()
            self.is_down(f"no broker of {settings.brokers} answers in {settings.security.protocol}")

    def is_down(self, reason: str) -> None:
        """No broker answers; what is known better already is not said again in other words."""
        if self.is_made:
            self._say(f"waiting for Kafka: {reason}")
        self._away = reason
        self._tell()

    def is_refused(self, reason: str) -> None:
        """The broker refuses the connection until a person has changed something."""
        self._refused = reason
        self._say(f"waiting for Kafka: {reason}")
        self._tell()

    def is_up(self) -> None:
        """Say that it is over, if it was said."""
        if not self.is_made:
            logger.info("%s: Kafka is back", self.who)
            self._said.clear()
        self._away = self._refused = ""
        self._tell()

    def is_denied(self, reason: str) -> None:
        """The connection stands, but the broker's access control forbids what we need."""
        if reason != self.denied:
            logger.warning("%s: waiting for permission: %s", self.who, reason)
        self.denied = reason
        self._tell()

    def is_allowed(self) -> None:
        """Say that everything is permitted again, if it was not."""
        if self.denied:
            logger.info("%s: permission is given", self.who)
        self.denied = ""
        self._tell()

    def lacks(self, topics: Sequence[str]) -> None:
        """The connection stands, but these topics are not there; none when they all are."""
        reason = ""
        if topics:
            reason = f"sync_topics has to make the topics {', '.join(topics)}: their events wait, those of others go on"
        if reason and reason != self.lacking:
            logger.warning("%s: waiting for topics: %s", self.who, reason)
        if self.lacking and not reason:
            logger.info("%s: no topic is missing any more", self.who)
        self.lacking = reason
        self._tell()

    def is_outdated(self) -> bool:
        """Whether a certificate or key was replaced since the client read it; a new client must be made then."""
        return credential_files() != self._files

    def is_renewed(self) -> None:
        """A new client reads the files as they are now."""
        self._files = credential_files()

    def _say(self, sentence: str) -> None:
        if sentence not in self._said:
            logger.warning("%s: %s", self.who, sentence)
            self._said.add(sentence)

    def _tell(self) -> None:
        if self._health is None:
            return
        if self.trouble:
            self._health.waits_for("kafka", self.trouble)
        else:
            self._health.has("kafka")


def common_settings(client_id: str) -> dict[str, Any]:
    """What every client of ours is given; raises ImproperlyConfigured when that cannot work."""
    brokers = bus_settings().brokers
    if not brokers:
        raise ImproperlyConfigured("KAFKA_BROKERS is not set: name the brokers as host:port, separated by commas")
    return {
        "reconnect.backoff.max.ms": 1000,
        "socket.keepalive.enable": True,
        "socket.connection.setup.timeout.ms": 10_000,
        "enable.metrics.push": False,
        **security_settings(),
        "bootstrap.servers": brokers,
        "client.id": client_id,
        "log_level": 0,
        "logger": librdkafka,
    }


def made(kind: Callable[[dict[str, Any]], Client], settings: dict[str, Any]) -> Client:
    """A client; raises ImproperlyConfigured in terms of our variables when it does not accept its settings."""
    try:
        return kind(settings)
    except (KafkaException, TypeError, ValueError) as error:
        reason = error.args[0].str() if isinstance(error, KafkaException) else str(error)
        raise ImproperlyConfigured(
            f"Kafka's client does not accept its settings: {without_secrets(reason)}"
        ) from None  # the client's own words may hold a secret


def check_connection_settings() -> None:
    """Refuse at start what no client would accept, certificates that cannot be read included; asks no broker."""
    settings = common_settings("check")
    del settings["bootstrap.servers"]
    made(Producer, settings)

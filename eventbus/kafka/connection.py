"""How every client of ours connects, and what it says when the broker is away."""

import logging
from typing import Any

from confluent_kafka import KafkaError
from django.core.exceptions import ImproperlyConfigured

from eventbus.conf import bus_settings

logger = logging.getLogger(__name__)
librdkafka = logging.getLogger("librdkafka")


class Connection:
    """What a client's background errors say about the broker, logged once for each change."""

    def __init__(self, who: str) -> None:
        self.who = who
        self.trouble = ""

    def on_error(self, error: KafkaError) -> None:
        """librdkafka's error callback."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.is_down(f"no broker of {bus_settings().brokers} answers")
        elif error.code() in {KafkaError._AUTHENTICATION, KafkaError._SSL}:
            self.is_down(f"the broker refuses the connection: {error.str()}")

    def is_down(self, reason: str) -> None:
        """Say it, once."""
        if not self.trouble:
            logger.warning("%s: waiting for Kafka: %s", self.who, reason)
        self.trouble = reason

    def is_up(self) -> None:
        """Say that it is over, if it was said."""
        if self.trouble:
            logger.info("%s: Kafka is back", self.who)
        self.trouble = ""


def common_settings(client_id: str) -> dict[str, Any]:
    """What every client of ours is given; raises ImproperlyConfigured without KAFKA_BROKERS."""
    brokers = bus_settings().brokers
    if not brokers:
        raise ImproperlyConfigured("KAFKA_BROKERS is not set: name the brokers as host:port, separated by commas")
    return {
        "bootstrap.servers": brokers,
        "client.id": client_id,
        "reconnect.backoff.max.ms": 1000,
        "socket.keepalive.enable": True,
        "socket.connection.setup.timeout.ms": 10_000,
        "enable.metrics.push": False,
        "log_level": 0,  # its errors reach us through error_cb, said once; only emergencies are logged as they are
        "logger": librdkafka,
    }

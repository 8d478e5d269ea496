"""What django-jaiminho calls for each event: every row of its names this function, so it needs a module."""

import os
from collections.abc import Mapping

from confluent_kafka import KafkaException, Producer

producer = Producer({"bootstrap.servers": os.environ["KAFKA_BROKERS"], "enable.idempotence": True, "linger.ms": 0})


def send(topic: str, key: str, payload: bytes, headers: Mapping[str, str]) -> None:
    """Produce one event; it has arrived when this returns."""
    producer.produce(topic, value=payload, key=key, headers=dict(headers))
    if producer.flush(30):
        raise KafkaException("no answer")

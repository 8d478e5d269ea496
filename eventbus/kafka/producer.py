"""The relay's producer: idempotent, `acks=all`, gapless, and the partitioner that Java, Debezium and Connect use.

Settings are explained where they are set; sizes and times are librdkafka's (bytes, milliseconds).
"""

import os
import socket
import time
from collections.abc import Callable, Mapping

from confluent_kafka import KafkaError, KafkaException, Producer

from eventbus.conf import bus_settings
from eventbus.exceptions import BrokerUnavailableError
from eventbus.kafka.connection import Connection, common_settings

Acknowledge = Callable[[KafkaError | None], None]

PERMANENT = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.INVALID_MSG,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.INVALID_RECORD,
        KafkaError.POLICY_VIOLATION,
    }
)


class EventProducer:
    """An idempotent producer whose `send` reports each message's fate exactly once, from inside `wait`."""

    def __init__(self) -> None:
        self.connection = Connection("relay")
        timeout = bus_settings().delivery_timeout_seconds
        self._producer = Producer(
            {
                **common_settings(f"relay-{socket.gethostname()}-{os.getpid()}"),
                "enable.idempotence": True,
                "enable.gapless.guarantee": True,
                "acks": "all",
                "partitioner": "murmur2_random",
                "linger.ms": 0,  # each batch ends in a flush, so lingering would only add latency
                "compression.type": "lz4",
                "delivery.timeout.ms": int(timeout * 1000),
                "queue.buffering.max.kbytes": 65_536,
                "error_cb": self.connection.on_error,
            }
        )

    def send(
        self, *, topic: str, key: bytes, value: bytes, headers: Mapping[str, str], done: Acknowledge
    ) -> None:
        """Queue one message; `done(error or None)` is called once, with the broker's answer or the refusal to queue it.

        Raises BrokerUnavailableError when this producer is beyond repair.
        """
        for _ in range(1000):
            try:
                self._producer.produce(
                    topic, value=value, key=key, headers=dict(headers), on_delivery=lambda error, _: done(error)
                )
            except BufferError:
                self._producer.poll(0.1)
                continue
            except KafkaException as error:
                reason = error.args[0]
                if reason.code() == KafkaError._FATAL:
                    raise BrokerUnavailableError(f"the producer failed for good: {reason.str()}") from error
                done(reason)
            self._producer.poll(0)
            return
        raise BrokerUnavailableError("the producer's queue stays full")

    def wait(self) -> None:
        """Block until every message sent has its answer; raises BrokerUnavailableError when the producer is beyond repair."""
        deadline = time.monotonic() + bus_settings().delivery_timeout_seconds + 5
        try:
            while self._producer.flush(0.5) and time.monotonic() < deadline:
                continue
        except KafkaException as error:
            raise BrokerUnavailableError(f"the producer failed for good: {error.args[0].str()}") from error

    def is_reachable(self, timeout: float = 2.0) -> bool:
        """Whether a broker answers a metadata request."""
        try:
            self._producer.list_topics(timeout=timeout)
        except KafkaException as error:
            self.connection.is_down(error.args[0].str())
            return False
        self.connection.is_up()
        return True

    def close(self) -> None:
        """Forget what was not sent: it is still in the outbox."""
        self._producer.purge()
        self._producer.flush(1)


def is_permanent(error: KafkaError) -> bool:
    """Whether the broker refuses this message whatever the time and the connection."""
    return error.code() in PERMANENT

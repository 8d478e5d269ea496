"""The relay's producer: idempotent, `acks=all`, gapless, and the partitioner that Java, Debezium and Connect use.

Settings are explained where they are set; sizes and times are librdkafka's (bytes, milliseconds).
"""

import os
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping

from confluent_kafka import KafkaError, KafkaException, Producer

from eventbus.conf import bus_settings
from eventbus.kafka.connection import Connection, common_settings, made

Acknowledge = Callable[[KafkaError | None], None]

PERMANENT = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.INVALID_RECORD,
        KafkaError.POLICY_VIOLATION,
    }
)


class EventProducer:
    """An idempotent producer that reports each message's fate once, from inside `send` or `wait`.

    With the gapless guarantee a refused message ends the whole producer, so that nothing of its partition is written
    past it: `broken` then says why, everything queued is reported as failed, and the owner builds another producer.
    The same when the broker answers nothing for `delivery_timeout_seconds`: left to itself the client would give up
    message by message and, were the broker back in the middle of that, write what lies behind those given up.
    """

    def __init__(self, connection: Connection | None = None) -> None:
        self.connection = connection or Connection("relay")
        self.broken = ""
        self._patience = bus_settings().delivery_timeout_seconds
        self._answered_at = time.monotonic()
        self._reports: deque[tuple[Acknowledge, KafkaError | None]] = deque()
        self._producer = made(
            Producer,
            {
                # A broker that stands still keeps its connections: leave it while there is time to ask who leads now.
                "socket.timeout.ms": max(1000, int(self._patience * 1000 / 3)),
                **common_settings(f"relay-{socket.gethostname()}-{os.getpid()}"),
                "enable.idempotence": True,
                "enable.gapless.guarantee": True,
                "acks": "all",
                "partitioner": "murmur2_random",
                "linger.ms": 0,  # each batch ends in a flush, so lingering would only add latency
                "compression.type": bus_settings().compression,
                "delivery.timeout.ms": 0,  # never: `_poll` gives everything up at once
                "queue.buffering.max.kbytes": 65_536,
                "error_cb": self.connection.on_error,
            },
        )

    def send(self, *, topic: str, key: bytes, value: bytes, headers: Mapping[str, str], done: Acknowledge) -> None:
        """Queue one message; `done(error or None)` is called once with the broker's answer, or never when broken."""

        def note(error: KafkaError | None, _: object) -> None:
            self._reports.append((done, error))  # nothing else: the client's own fatal error may be raised already

        if not len(self._producer):
            self._answered_at = time.monotonic()
        while not self.broken:
            try:
                self._producer.produce(topic, value=value, key=key, headers=dict(headers), on_delivery=note)
            except BufferError:
                self._poll(0.1)
                continue
            except KafkaException as error:
                reason = error.args[0]
                if reason.code() == KafkaError._FATAL:
                    self.broken = reason.str()
                else:
                    done(reason)
            self._poll(0)
            return

    def wait(self) -> None:
        """Block until every message sent has its answer, or the producer is broken."""
        while len(self._producer) and self._silence() < self._patience + 5:
            self._poll(0.5)

    def _silence(self) -> float:
        return time.monotonic() - self._answered_at

    def _poll(self, seconds: float) -> None:
        try:
            self._producer.flush(seconds) if seconds else self._producer.poll(0)
        except KafkaException as error:
            self.broken = error.args[0].str()
        except SystemError as error:  # the client calls us back while its own fatal error is already raised
            self.broken = str(error.__cause__)
        while self._reports:
            done, answer = self._reports.popleft()
            done(answer)
            self._answered_at = time.monotonic()
        if not self.broken and len(self._producer) and self._silence() > self._patience:
            self.broken = f"no answer for {self._patience:g} s"
            self._producer.purge()

    def hear(self) -> None:
        """Let the client report its troubles while nothing is sent."""
        self._poll(0)

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
        self._poll(1.0)


def is_permanent(error: KafkaError) -> bool:
    """Whether the broker refuses this message whatever the time and the connection."""
    return error.code() in PERMANENT

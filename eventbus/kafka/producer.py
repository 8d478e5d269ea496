"""The relay's producer: idempotent, `acks=all`, gapless, and the partitioner that Java, Debezium and Connect use.

Settings are explained where they are set; sizes and times are librdkafka's (bytes, milliseconds).
"""

import os
import socket
import time
from collections import deque
from collections.abc import Iterable, Sequence

from confluent_kafka import KafkaError, KafkaException, Producer

from eventbus.conf import bus_settings
from eventbus.exceptions import BrokerUnavailableError
from eventbus.kafka.connection import Connection, common_settings, made
from eventbus.kafka.outcome import MISSING, Outcome
from eventbus.messages import Row

METADATA_SECONDS = 5.0
POLL_EVERY = 100  # messages between two looks at what the broker has answered meanwhile


class EventProducer:
    """An idempotent producer that publishes rows a batch at a time and tells what became of each.

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
        self._reports: deque[tuple[Row, KafkaError | None]] = deque()
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
                "linger.ms": 5,  # the flush that ends a batch does not wait for it; until then requests fill up
                "compression.type": bus_settings().compression,
                "delivery.timeout.ms": 0,  # never: `_poll` gives everything up at once
                "queue.buffering.max.kbytes": 65_536,
                "error_cb": self.connection.on_error,
            },
        )

    def publish(self, rows: Sequence[Row]) -> Outcome:
        """Send the rows in their order and block until each is answered, or the producer is broken.

        What lies behind a failed row of its topic and key is not sent: it would stand before the one that failed.
        """
        outcome = Outcome(rows)
        self._answered_at = time.monotonic()
        for number, row in enumerate(rows, 1):
            if outcome.failed and (row.topic, row.key) in outcome.failed:
                continue
            self._send(row, outcome)
            if number % POLL_EVERY == 0:
                self._poll(0, outcome)
            if self.broken:
                break
        while len(self._producer) and self._silence() < self._patience + 5:
            self._poll(0.5, outcome)
        self._poll(0, outcome)
        outcome.broken = self.broken
        return outcome

    def _send(self, row: Row, outcome: Outcome) -> None:
        def note(error: KafkaError | None, _: object) -> None:
            self._reports.append((row, error))  # nothing else: the client's own fatal error may be raised already

        while not self.broken:
            try:
                self._producer.produce(
                    row.topic,
                    value=row.payload,
                    key=row.key.encode(),
                    headers=row.headers,  # type: ignore[arg-type]  # it may be bytes too, for all the client cares
                    on_delivery=note,
                )
            except BufferError:
                self._poll(0.1, outcome)
                continue
            except KafkaException as error:
                reason = error.args[0]
                if reason.code() == KafkaError._FATAL:
                    self.broken = reason.str()
                else:
                    outcome.answer(row, reason)
            return

    def _silence(self) -> float:
        return time.monotonic() - self._answered_at

    def _poll(self, seconds: float, outcome: Outcome) -> None:
        self._listen(seconds)
        if self._reports:
            self._answered_at = time.monotonic()
        while self._reports:
            outcome.answer(*self._reports.popleft())
        if not self.broken and len(self._producer) and self._silence() > self._patience:
            self.broken = f"no answer for {self._patience:g} s"
            self._producer.purge()

    def _listen(self, seconds: float) -> None:
        try:
            self._producer.flush(seconds) if seconds else self._producer.poll(0)
        except KafkaException as error:
            self.broken = error.args[0].str()
        except SystemError as error:  # the client calls us back while its own fatal error is already raised
            self.broken = str(error.__cause__)

    def hear(self) -> None:
        """Let the client report its troubles while nothing is sent."""
        self._listen(0)

    def is_reachable(self, timeout: float = 2.0) -> bool:
        """Whether a broker answers a metadata request."""
        try:
            self._producer.list_topics(timeout=timeout)
        except KafkaException as error:
            self.hear()
            self.connection.is_down(error.args[0].str())
            return False
        self.hear()  # the client's errors from before the answer, or they would be taken for a new outage
        self.connection.is_up()
        return True

    def missing(self, topics: Iterable[str]) -> list[str]:
        """Those of these topics that the broker does not have; raises BrokerUnavailableError."""
        try:
            return [topic for topic in sorted(topics) if self._lacks(topic)]
        except KafkaException as error:
            self.hear()  # the client's own reason, if it has a better one, comes by its callback
            raise BrokerUnavailableError(error.args[0].str()) from error

    def _lacks(self, topic: str) -> bool:
        error = self._producer.list_topics(topic, timeout=METADATA_SECONDS).topics[topic].error
        return error is not None and error.code() in MISSING

    def close(self) -> None:
        """Forget what was not sent: it is still in the outbox."""
        self._producer.purge()
        self._listen(1.0)

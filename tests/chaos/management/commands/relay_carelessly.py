import signal
from typing import Any

from django.core.management.base import BaseCommand

from eventbus.relay import Outcome, Relay, Row


class CarelessRelay(Relay):
    """Wrong on purpose: an event passes for published once the client has it, so its row goes before the answer."""

    def _produce(self, rows: list[Row]) -> Outcome:
        producer, outcome = self._connected(), Outcome(rows)
        for row in rows:
            fields = {"topic": row.topic, "key": row.key.encode(), "value": row.payload, "headers": row.headers}
            producer.send(**fields, done=lambda _error: None)
            outcome.answer(row, None)
        return outcome


class Command(BaseCommand):
    help = "Publish the outbox as nobody should, so that the run can be seen to fail."

    def handle(self, *args: Any, **options: Any) -> None:
        relay = CarelessRelay()
        signal.signal(signal.SIGTERM, relay.stop)
        relay.run()

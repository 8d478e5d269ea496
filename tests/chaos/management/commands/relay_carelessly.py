import signal
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand

from eventbus.kafka.outcome import Outcome
from eventbus.messages import Row
from eventbus.relay import Relay


class CarelessRelay(Relay):
    """Wrong on purpose: an event passes for published once the client has it, so its row goes before the answer."""

    def _produce(self, rows: Sequence[Row]) -> Outcome:
        producer, outcome = self._connected(), Outcome(rows)
        for row in rows:
            producer._send(row, outcome)
            outcome.answer(row, None)
        return outcome


class Command(BaseCommand):
    help = "Publish the outbox as nobody should, so that the run can be seen to fail."

    def handle(self, *args: Any, **options: Any) -> None:
        relay = CarelessRelay()
        signal.signal(signal.SIGTERM, relay.stop)
        relay.run()

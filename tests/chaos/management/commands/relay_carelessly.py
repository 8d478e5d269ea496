import signal
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand

from eventbus.kafka.outcome import Outcome
from eventbus.messages import Row
from eventbus.relay import Relay


class CarelessRelay(Relay):
    """Wrong on purpose: rows leave the outbox before the broker has them."""

    def _produce(self, rows: Sequence[Row]) -> Outcome:
        self._finish(rows, self.leases.held())
        return super()._produce(rows)


class Command(BaseCommand):
    help = "Publish the outbox as nobody should, so that the run can be seen to fail."

    def handle(self, *args: Any, **options: Any) -> None:
        relay = CarelessRelay()
        signal.signal(signal.SIGTERM, relay.stop)
        relay.run()

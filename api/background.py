"""Work for after the commit, handed to Celery: each message is a hint, for a round of the clock finds the work too."""

import logging
import time
from collections.abc import Callable

from django.db import transaction
from kombu.exceptions import OperationalError

AWAY_SECONDS = 30.0  # the rounds find what waits in half of that

logger = logging.getLogger(__name__)


class Courier:
    """Takes messages to Celery's broker; nobody waits for a broker that is known to be away."""

    def __init__(self) -> None:
        self.stays_until = 0.0  # by the monotonic clock

    def take(self, send: Callable[[], object]) -> None:
        """Send the message, unless the broker has just failed to answer."""
        if time.monotonic() < self.stays_until:
            return
        try:
            send()
        except OperationalError:
            self.stays_until = time.monotonic() + AWAY_SECONDS
            logger.warning(
                "Celery's broker does not answer: no message goes there for %d s, work waits for its round",
                AWAY_SECONDS,
                exc_info=True,
            )


courier = Courier()


def after_commit(send: Callable[[], object]) -> None:
    """Send a message to a worker once this transaction is committed, if Celery's broker takes it."""
    transaction.on_commit(lambda: courier.take(send), robust=True)

"""Topics that the broker does not have: their events wait in the outbox until they are made, those of others go on.

The client, told to send to such a topic, keeps everything waiting until it gives up; so it is asked beforehand, once
for each topic.
"""

import time
from collections.abc import Iterable

from eventbus.exceptions import BrokerUnavailableError
from eventbus.kafka.connection import Connection
from eventbus.kafka.producer import EventProducer

ASK_SECONDS = 5.0


class MissingTopics:
    """The topics to leave alone because they are missing, and those known to be there."""

    def __init__(self, connection: Connection) -> None:
        self.topics: list[str] = []
        self._there: set[str] = set()
        self._connection = connection
        self._asked_at = 0.0

    def among(self, topics: Iterable[str], producer: EventProducer) -> set[str]:
        """Those of these topics that are missing; asks for those not met before. Raises BrokerUnavailableError."""
        new = set(topics) - self._there
        if not new:
            return new
        missing = set(producer.missing(new))
        self._there |= new - missing
        self._leave_alone({*self.topics, *missing})
        return missing

    def vanished(self, topics: set[str]) -> None:
        """The broker had these and may not have them any more: ask before sending to them again."""
        self._there -= topics

    def ask_again(self, producer: EventProducer) -> None:
        """Now and then, take up again what was made meanwhile."""
        if not self.topics or time.monotonic() - self._asked_at < ASK_SECONDS:
            return
        self._asked_at = time.monotonic()
        try:
            self._leave_alone(set(producer.missing(self.topics)))
        except BrokerUnavailableError:
            return  # the round meets the same trouble and says it

    def _leave_alone(self, topics: set[str]) -> None:
        self._asked_at = time.monotonic()
        self.topics = sorted(topics)
        self._connection.lacks(self.topics)

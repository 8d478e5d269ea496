"""Which topic stands behind a name: one that is deleted and created anew keeps its name and begins its offsets anew."""

import time
from collections.abc import Iterable
from concurrent.futures import Future, wait
from math import inf
from typing import Any

from confluent_kafka import TopicCollection
from confluent_kafka.admin import AdminClient

from eventbus.kafka.connection import common_settings, made

ASK_SECONDS = 2.0
FIRST_SECONDS = 5.0


class TopicIds:
    """What a reader knows of its topics' ids; it asks now and then, and waits for the first answer only."""

    def __init__(self, topics: Iterable[str]) -> None:
        self._topics = TopicCollection(sorted(topics))
        self._known: dict[str, str] = {}
        self._asked: dict[str, Future[Any]] = {}
        self._asked_at = -inf
        self.connect()

    def connect(self) -> None:
        """Make the client that asks, or another one in its place; raises ImproperlyConfigured."""
        self._admin = made(AdminClient, common_settings("tributary-topic-ids"))

    def wait_for_first_answer(self) -> None:
        """Give the broker a moment once: before it the id that a commit names cannot be judged."""
        if self._asked_at == -inf:
            self.created_anew()
            wait(self._asked.values(), timeout=FIRST_SECONDS)
            self.created_anew()

    def id_of(self, topic: str) -> str:
        """The id by the last answer; empty while there is none."""
        return self._known.get(topic, "")

    def created_anew(self) -> set[str]:
        """The topics that are not those of the last answer any more; a broker that knows no ids has none."""
        answered = {topic: future for topic, future in self._asked.items() if future.done()}
        self._asked = {topic: future for topic, future in self._asked.items() if topic not in answered}
        ids = {topic: str(future.result().topic_id) for topic, future in answered.items() if not future.exception()}
        changed = {topic for topic, found in ids.items() if self._known.get(topic, found) != found}
        self._known |= ids
        if not self._asked and time.monotonic() - self._asked_at > ASK_SECONDS:
            self._asked_at = time.monotonic()
            self._asked = self._admin.describe_topics(self._topics)
        return changed

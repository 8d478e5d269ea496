"""Counters that expire: one for all processes in the shared cache, or each process's own while that is away."""

import logging
import time
from collections.abc import Callable
from typing import Any

from django.core.cache import caches
from redis import RedisError

SHARED, OWN = "default", "own"
AWAY_SECONDS = 10.0

logger = logging.getLogger(__name__)


class Counters:
    """Counts in the shared cache, or, where that has just failed to answer, in this process's memory."""

    def __init__(self) -> None:
        self.alone_until = 0.0  # by the monotonic clock

    def add(self, key: str, *, seconds: int) -> int:
        """Count one more, kept for so long; how many there are."""

        def add(cache: Any) -> int:
            cache.add(key, 0, timeout=seconds)
            return int(cache.incr(key))

        return self.ask(add)

    def read(self, key: str) -> int:
        """How many there are."""
        return self.ask(lambda cache: int(cache.get(key, 0)))

    def ask(self, question: Callable[[Any], int]) -> int:
        """The answer of the cache that is there."""
        if time.monotonic() >= self.alone_until:
            try:
                return question(caches[SHARED])
            except RedisError:
                self.alone_until = time.monotonic() + AWAY_SECONDS
                logger.warning(
                    "The shared cache does not answer: this process counts by itself for %d s",
                    AWAY_SECONDS,
                    exc_info=True,
                )
        return question(caches[OWN])


counters = Counters()

"""Looks at the database several times a second: how far writers and groups are, and which faults are over."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

import psycopg

from tests.chaos.faults import Fault
from tests.chaos.platform import Platform
from tests.chaos.tables import PROGRESS

LOOK_SECONDS = 0.25
WAITING = """
SELECT EXISTS (SELECT FROM eventbus_outboxevent) OR EXISTS (SELECT FROM eventbus_parkedevent)
    OR (SELECT count(DISTINCT event_id) FROM eventbus_journalevent) < (SELECT sum(number) FROM chaos_counter)
"""


@dataclass(slots=True)
class Trouble:
    """A fault that struck, and what has to take effect before it counts as over."""

    fault: Fault
    struck_at: float
    wanted: dict[UUID, int] = field(default_factory=dict)
    recovered_at: float = 0.0

    @property
    def seconds(self) -> float:
        """From the strike to the recovery; endless without one."""
        return self.recovered_at - self.struck_at if self.recovered_at else float("inf")


class Watch:
    """What the database said last, and the recovery from every fault.

    A fault is over when all that was committed at the first look after it struck has taken effect in every group.
    """

    def __init__(self, platform: Platform) -> None:
        self.troubles: list[Trouble] = []
        self.committed = self.behind = 0  # events: by the writers, and how many of them the slowest group lacks
        self._platform = platform
        self._is_ending = self._is_settled = False
        self._moved_at = time.monotonic()
        self._mutex = threading.Lock()
        self._stop = threading.Event()

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look for as long as this lasts."""
        thread = threading.Thread(target=self._look_until_stopped, name="chaos-watch")
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def struck(self, fault: Fault) -> None:
        """From now on wait for the recovery from this fault."""
        with self._mutex:
            self.troubles.append(Trouble(fault, time.monotonic()))

    def wait_for_first_effects(self, *, patience: float) -> bool:
        """Wait until something has taken effect in every group; false when it has not after so many seconds."""
        deadline = time.monotonic() + patience
        while self.committed == self.behind and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        return self.committed > self.behind

    def wait_until_settled(self, *, patience: float) -> bool:
        """Wait until groups and journal are as far as the writers; false when nothing has moved for so many seconds."""
        self._moved_at, self._is_ending = time.monotonic(), True
        while not self._is_settled and time.monotonic() - self._moved_at < patience:
            time.sleep(LOOK_SECONDS)
        return self._is_settled

    def _look_until_stopped(self) -> None:
        while not self._stop.is_set():
            try:
                with self._platform.database() as connection:
                    while not self._stop.wait(LOOK_SECONDS):
                        self._look(connection)
            except psycopg.OperationalError:
                self._stop.wait(LOOK_SECONDS)

    def _look(self, connection: psycopg.Connection) -> None:
        asked_at = time.monotonic()
        progress = connection.execute(PROGRESS, [self._platform.groups]).fetchall()
        committed, behind = sum(row[1] for row in progress), sum(row[1] - row[2] for row in progress)
        if (committed, behind) != (self.committed, self.behind):
            self._moved_at = asked_at
        self.committed, self.behind = committed, behind
        if self._is_ending and not behind:
            self._is_settled = connection.execute(WAITING).fetchone() == (False,)
        reached = {counter: least for counter, _, least in progress}
        with self._mutex:
            for trouble in self.troubles:
                if not trouble.wanted and trouble.struck_at < asked_at:
                    trouble.wanted = {counter: number for counter, number, _ in progress}
                if trouble.wanted and not trouble.recovered_at:
                    is_over = all(reached[counter] >= number for counter, number in trouble.wanted.items())
                    trouble.recovered_at = time.monotonic() if is_over else 0.0

"""Watches the events go by: each with its place in Kafka, and how long every handler took to commit its effect.

The places come from the topics themselves, read without a group; the handlers' commits from the inbox rows, with
PostgreSQL's own commit timestamps where it keeps them. Times are milliseconds from the moment an event was recorded,
just before its transaction committed.
"""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
from django.db import connection

from devstack.output import Output
from eventbus.conf import bus_settings
from eventbus.events import registered
from eventbus.handlers import handlers_of
from eventbus.kafka.reading import tail
from eventbus.messages import Message

HANDLED = """
SELECT id, event_id, "group", coalesce({commit}, handled_at) FROM eventbus_inboxevent WHERE id > %s ORDER BY id
"""
SURELY_QUIET_SECONDS = 0.3
LATE_COMMITS = 500  # rows whose ids were drawn early may be committed late, so the last ones are read again


class Envelope(msgspec.Struct):
    """What the watcher reads of an event."""

    id: str
    timestamp: datetime


@dataclass(slots=True)
class Sighting:
    """One event and what became of it."""

    message: Message
    recorded_at: datetime
    expected: set[str]
    handled: dict[str, float] = field(default_factory=dict)  # group: milliseconds
    is_told: bool = False


class Watcher:
    """Follows all topics and the inbox on two threads until `stop()`."""

    def __init__(self, output: Output) -> None:
        self.sightings: dict[str, Sighting] = {}
        self._output = output
        self._stop = threading.Event()
        self._mutex = threading.Lock()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._tail, self._read_inbox)]
        self._groups = {
            topic: {room.group_id for name, room in bus_settings().rooms.items() if topic in handlers_of(name)}
            for topic in registered()
        }

    def start(self) -> None:
        """Begin to watch."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=5)

    def is_quiet(self) -> bool:
        """Whether every event seen so far was handled by everybody who should."""
        with self._mutex:
            return all(seen.expected <= seen.handled.keys() for seen in self.sightings.values())

    def unhandled(self) -> list[str]:
        """What is still open, a line each."""
        with self._mutex:
            return [
                f"{seen.message.topic} at {seen.message.place} was not handled by {', '.join(sorted(waiting))}"
                for seen in self.sightings.values()
                if (waiting := seen.expected - seen.handled.keys())
            ]

    def topics(self) -> Counter[str]:
        """How many events of each topic were seen."""
        with self._mutex:
            return Counter(seen.message.topic for seen in self.sightings.values())

    def latencies(self) -> list[float]:
        """All handlers' times in milliseconds, ascending."""
        with self._mutex:
            return sorted(ms for seen in self.sightings.values() for ms in seen.handled.values())

    def _tail(self) -> None:
        for message in tail(registered(), from_beginning=True, stop=self._stop.is_set):
            try:
                envelope = msgspec.json.decode(message.value or b"", type=Envelope)
            except msgspec.MsgspecError:
                continue
            with self._mutex:
                expected = self._groups[message.topic]
                self.sightings[envelope.id] = Sighting(message, envelope.timestamp, expected)

    def _read_inbox(self) -> None:
        query, last = HANDLED.format(commit=commit_clock()), 0
        with connection.cursor() as cursor:
            while not self._stop.wait(0.03):
                cursor.execute(query, [last - LATE_COMMITS])
                for number, event_id, group, handled_at in cursor.fetchall():
                    last = max(last, number)
                    self._note(event_id, group, handled_at)
                self._tell()
        connection.close()

    def _note(self, event_id: str, group: str, handled_at: datetime) -> None:
        with self._mutex:
            seen = self.sightings.get(event_id)
            if seen is not None:
                seen.handled[group] = (handled_at.astimezone(UTC) - seen.recorded_at).total_seconds() * 1000

    def _tell(self) -> None:
        with self._mutex:
            complete = [
                seen for seen in self.sightings.values() if not seen.is_told and seen.expected <= seen.handled.keys()
            ]
            for seen in complete:
                seen.is_told = True
        for seen in complete:
            message = seen.message
            effects = "  ".join(f"{group.split('-')[0]} {ms:.0f} ms" for group, ms in sorted(seen.handled.items()))
            key = (message.key or b"").decode()
            self._output.write(
                "event", f"{message.topic:<26} p{message.partition} @{message.offset:<3} key …{key[-8:]}  {effects}"
            )


def commit_clock() -> str:
    """The SQL that tells when a row was committed; null where PostgreSQL does not keep it."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW track_commit_timestamp")
        [(setting,)] = cursor.fetchall()
    return "pg_xact_commit_timestamp(xmin)" if setting == "on" else "NULL"


def percentile(values: list[float], share: float) -> float:
    """The value below which this share of ascending values lies."""
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def wait_until_quiet(watcher: Watcher, *, seconds: float) -> bool:
    """Give the last events and effects time to come: every topic seen, and nothing open for a while."""
    deadline = time.monotonic() + seconds
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < SURELY_QUIET_SECONDS:
        if time.monotonic() > deadline:
            return watcher.is_quiet()
        if not watcher.is_quiet() or len(watcher.topics()) < len(registered()):
            quiet_since = time.monotonic()
        time.sleep(0.05)
    return True

"""How an idle relay learns that there is work: it asks again soon, or it is rung by the transaction that published."""

import threading

import psycopg
from django.db import connection

from eventbus.conf import bus_settings
from eventbus.outbox import CHANNEL
from eventbus.processing import DatabaseUnavailableError, guarded

SOON_SECONDS = 0.005  # the pause right after there was work: more of it tends to follow
GROWTH = 1.1  # of the pause, for each time there was none
WITHOUT_BELL_SECONDS = 1.0  # a bell may be lost with its connection, and leases change hands silently


class Poll:
    """Ask again: 5 ms after there was work, then more and more seldom, every `relay_idle_seconds` in the end."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._longest = bus_settings().relay_idle_seconds
        self._pause = self._longest

    def worked(self) -> None:
        """There was work just now."""
        self._pause = min(SOON_SECONDS, self._longest)

    def wait(self) -> None:
        """Until it is time to ask, or to stop."""
        self._stop.wait(self._pause)
        self._pause = min(self._pause * GROWTH, self._longest)


class Bell:
    """Listen on the relay's own connection, which must be one to the server and not to a pool of transactions."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._listening: object = None

    def worked(self) -> None:
        """What was published meanwhile has rung, or will."""

    def wait(self) -> None:
        """Until somebody has published, or for a second; a bell that rang during the last round counts."""
        try:
            guarded(self._listen)
        except DatabaseUnavailableError:
            return  # the round meets the same trouble and says it

    def _listen(self) -> None:
        connection.ensure_connection()
        server: psycopg.Connection = connection.connection
        with connection.wrap_database_errors:
            if server is not self._listening:
                server.execute(f"LISTEN {CHANNEL}")
                self._listening = server
                return  # what was published before we listened is found by asking once more
            for _ in server.notifies(timeout=WITHOUT_BELL_SECONDS, stop_after=1):
                pass


def waking(stop: threading.Event) -> Poll | Bell:
    """As EVENTBUS_RELAY_WAKE says."""
    return Bell(stop) if bus_settings().relay_wake == "notify" else Poll(stop)

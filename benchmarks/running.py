"""The relay as it runs in production, on a thread of the benchmark."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from benchmarks import backlog_rows
from eventbus.relay import Relay

LOOK_SECONDS = 0.005
PATIENCE_SECONDS = 600.0


@contextmanager
def running_relay() -> Iterator[Relay]:
    """A relay at work; it is stopped in good order."""
    relay = Relay()

    def run() -> None:
        try:
            relay.run()
        finally:
            connection.close()

    thread = threading.Thread(target=run, name="relay")
    thread.start()
    try:
        yield relay
    finally:
        relay.stop()
        thread.join()


def drain_outbox(relay: Relay, events: int) -> float:
    """Events per second from the commit that puts so many into the outbox until the last is acknowledged."""
    target = relay.published + events
    backlog_rows.fill_outbox()
    started = time.perf_counter()
    while relay.published < target:
        if time.perf_counter() - started > PATIENCE_SECONDS:
            raise TimeoutError(f"{target - relay.published} of {events} events still wait")
        time.sleep(LOOK_SECONDS)
    return events / (time.perf_counter() - started)

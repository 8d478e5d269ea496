"""The relay as it runs in production, on a thread of the benchmark."""

import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from benchmarks import backlog_rows
from eventbus.collector import collect_rarely
from eventbus.relay import Relay

PATIENCE_SECONDS = 600.0
USUAL = gc.get_threshold()  # before anything of ours changed it


@contextmanager
def usual_collector() -> Iterator[None]:
    """Python's garbage collector as it comes, for what the bus is compared with."""
    gc.unfreeze()
    gc.set_threshold(*USUAL)
    try:
        yield
    finally:
        collect_rarely()


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


@contextmanager
def ready_relay() -> Iterator[Relay]:
    """A relay that holds its buckets and works when it is told to: a second thread would share its interpreter lock."""
    relay = Relay()
    relay.leases.start()
    relay.leases.balance()
    try:
        yield relay
    finally:
        relay._close()


def drain_outbox(relay: Relay, events: int) -> float:
    """Events per second from the commit that puts so many into the outbox until the last is acknowledged."""
    backlog_rows.fill_outbox()
    relay.leases.balance()
    started = time.perf_counter()
    done = 0
    while done < events:
        done += relay.round()
        if time.perf_counter() - started > PATIENCE_SECONDS:
            raise TimeoutError(f"{events - done} of {events} events still wait")
    return events / (time.perf_counter() - started)

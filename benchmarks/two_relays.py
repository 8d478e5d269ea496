"""Two relays against one: the same backlog, real processes, and every key still in order."""

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from statistics import median

from confluent_kafka import Consumer, TopicPartition

from benchmarks import backlog_rows
from benchmarks.effort import Effort
from benchmarks.events import Counted
from benchmarks.ground import broker
from benchmarks.programs import command
from benchmarks.report import Bar, Report
from benchmarks.rounds import by_turns, ratio
from eventbus.conf import bus_settings
from eventbus.models import OutboxEvent, RelayBucket
from eventbus.outbox import topic_of

EVENTS = 30_000  # the built-in broker keeps 5 MiB a partition, and all of it is to be read afterwards
TIMES_ONE = 1.3
PATIENCE_SECONDS = 300.0
LOOK_SECONDS = 0.02
ONE, TWO = "one relay", "two relays"


def run(effort: Effort) -> Report:
    """The built-in broker, because a real one would want a core for itself."""
    events = effort.count(EVENTS, least=2000)
    backlog_rows.make_template(events)
    with broker("builtin") as address:
        reader = Reader(address, topic_of(Counted.spec))
        variants = {ONE: partial(drain_with, 1, reader, events), TWO: partial(drain_with, 2, reader, events)}
        figures = by_turns(variants, rounds=effort.rounds)
        reader.close()
    report = Report("two_relays", "events/s of a backlog, each relay a process", ["relays", "events/s", "against one"])
    report.rows = [[name, median(rates), ratio(figures, name, ONE)] for name, rates in figures.items()]
    report.bars += [
        Bar("two relays / one", ratio(figures, TWO, ONE), TIMES_ONE, ">="),
        Bar("events behind a later one of their key", reader.inverted, 0, "<="),
    ]
    return report


def drain_with(relays: int, reader: "Reader", events: int) -> float:
    """Events per second of so many relays that share the buckets evenly before the backlog comes."""
    reader.go_to_end()
    with ExitStack() as stack:
        for _ in range(relays):
            stack.enter_context(command("relay_outbox"))
        wait_until(lambda: is_shared_by(relays))
        backlog_rows.fill_outbox()
        started = time.perf_counter()
        wait_until(lambda: not OutboxEvent.objects.exists())
        elapsed = time.perf_counter() - started
    reader.read(events)
    return events / elapsed


def is_shared_by(relays: int) -> bool:
    """Whether every bucket has an owner and every owner as many."""
    owners = list(RelayBucket.objects.exclude(owner=None).values_list("owner", flat=True))
    counts = {owners.count(owner) for owner in owners}
    return counts == {bus_settings().buckets // relays} and len(set(owners)) == relays


def wait_until(is_so: Callable[[], bool]) -> None:
    """Until the condition comes true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError("the relays do not get on")
        time.sleep(LOOK_SECONDS)


class Reader:
    """Reads what was published and counts what lies behind a later event of its key."""

    def __init__(self, brokers: str, topic: str) -> None:
        self.inverted = 0
        self._topic = topic
        settings = {"bootstrap.servers": brokers, "group.id": "benchmark-reader", "fetch.wait.max.ms": 10}
        self._consumer = Consumer(settings)

    def go_to_end(self) -> None:
        """Read from here on only."""
        parts = [TopicPartition(self._topic, number) for number in range(bus_settings().partitions)]
        for part in parts:
            part.offset = self._consumer.get_watermark_offsets(part, timeout=10)[1]
        self._consumer.assign(parts)

    def close(self) -> None:
        """Leave before the broker does."""
        self._consumer.close()

    def read(self, events: int) -> None:
        """Read so many events; of each counter every number must be met first where it is the next one."""
        highest: dict[str, int] = {}
        seen = 0
        deadline = time.monotonic() + PATIENCE_SECONDS
        while seen < events:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{seen} of {events} events are on the topic")
            for message in self._consumer.consume(1000, 0.5):
                counted = json.loads(message.value() or b"")
                if counted["number"] > highest.get(counted["counterId"], 0) + 1:
                    self.inverted += 1
                if counted["number"] == highest.get(counted["counterId"], 0) + 1:
                    seen += 1
                    highest[counted["counterId"]] = counted["number"]

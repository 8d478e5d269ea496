"""How long an event takes, from its commit to the broker and to the commit of its effect; and what idling costs."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
from django.db import connection

from benchmarks import backlog_rows
from benchmarks.effort import Effort
from benchmarks.events import Counted, CountedPlainly, Traced
from benchmarks.ground import PROJECT, broker
from benchmarks.models import Effect, Written
from benchmarks.programs import command
from benchmarks.report import Bar, Report
from benchmarks.rounds import percentile
from benchmarks.writers import write_steadily
from eventbus.models import InboxEvent, OutboxEvent
from eventbus.outbox import topic_of

TEMPLATE_ROWS = 1000
SECONDS = 20.0
IDLE_SECONDS = 20.0
PATIENCE_SECONDS = 60.0
SLOW, FAST = 50, 1000  # events per second
ACKNOWLEDGED, HANDLED = "commit to broker", "commit to handler's commit"
BOUNDS = {ACKNOWLEDGED: (8.0, 30.0), HANDLED: (20.0, 60.0)}  # milliseconds: p50, p99
IDLE_SHARE = 0.08  # of a core
# PostgreSQL notes when each transaction committed; both ends of a way are read from its one clock.
COMMITTED = f"SELECT event_id, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 FROM {Written._meta.db_table}"
END_TO_END = f"""
SELECT extract(epoch FROM pg_xact_commit_timestamp(effect.xmin) - pg_xact_commit_timestamp(change.xmin))::float8
  FROM {Written._meta.db_table} change JOIN {Effect._meta.db_table} effect USING (event_id)
"""


def run(effort: Effort) -> Report:
    """Real Kafka, real processes."""
    report = Report(
        "latency", "milliseconds, real Kafka, each process its own", ["way", "events/s", "kept", "p50", "p99", "most"]
    )
    seconds = effort.seconds(SECONDS, least=1.0)
    with broker("apache") as address, command("relay_outbox") as relay:
        warm_up(CountedPlainly)  # nobody's: a backlog of another topic would stand before what is handled
        idle = idle_share(relay.pid, effort.seconds(IDLE_SECONDS, least=1.0))
        for rate in (SLOW, FAST):
            note(report, ACKNOWLEDGED, rate, *acknowledged(address, rate=rate, seconds=seconds))
        with command("run_consumers", "benchmarks"):
            warm_up(Traced)
            wait_until_answered()
            note(report, HANDLED, FAST, *handled(rate=FAST, seconds=seconds))
    report.bars.append(Bar("idle relay, share of a core", idle, IDLE_SHARE, "<="))
    return report


def note(report: Report, way: str, rate: int, kept: float, seconds: list[float]) -> None:
    """One row and its two bars."""
    times = [1000 * value for value in seconds]
    middle, late = percentile(times, 0.5), percentile(times, 0.99)
    report.rows.append([way, rate, kept, middle, late, max(times)])
    for name, reached, bound in zip(("p50", "p99"), (middle, late), BOUNDS[way], strict=True):
        report.bars.append(Bar(f"{way}, {rate}/s, {name} in ms", reached, bound, "<="))


def acknowledged(address: str, *, rate: int, seconds: float) -> tuple[float, list[float]]:
    """The rate that was kept, and for each event the seconds from its commit until a reader of the topic had it."""
    forget()
    with watching(address, topic_of(CountedPlainly.spec)) as stop:
        kept = write_steadily(rate=rate, seconds=seconds)
        wait_until(lambda: not OutboxEvent.objects.exists(), "the outbox is not emptied")
        time.sleep(1.0)
        seen = stop()
    with connection.cursor() as cursor:
        cursor.execute(COMMITTED)
        committed = dict(cursor.fetchall())
    return kept, [seen[event_id] - at for event_id, at in committed.items()]


def handled(*, rate: int, seconds: float) -> tuple[float, list[float]]:
    """The rate that was kept, and for each event the seconds from its commit to its effect's."""
    forget()
    kept = write_steadily(rate=rate, seconds=seconds)
    wait_until_answered()
    with connection.cursor() as cursor:
        cursor.execute(END_TO_END)
        return kept, [value for (value,) in cursor.fetchall()]


def warm_up(event_class: type[Counted]) -> None:
    """Rows to copy, and a second's events through, so that every connection stands."""
    forget()
    wait_until(lambda: not OutboxEvent.objects.exists(), "the outbox is not emptied")
    backlog_rows.make_template(TEMPLATE_ROWS, event_class)
    write_steadily(rate=100, seconds=1.0)
    wait_until(lambda: not OutboxEvent.objects.exists(), "the outbox is not emptied")
    time.sleep(1.0)


def forget() -> None:
    """Nothing was written and nothing handled."""
    for model in (Written, Effect, InboxEvent):
        backlog_rows.execute(f"TRUNCATE {model._meta.db_table}")


def wait_until_answered() -> None:
    """Until every event written has its effect."""
    wait_until(lambda: Effect.objects.count() == Written.objects.count(), "not every event took effect")


def idle_share(pid: int, seconds: float) -> float:
    """The part of one core that a relay uses with nothing to do."""
    process = psutil.Process(pid)
    before, started = process.cpu_times(), time.monotonic()
    time.sleep(seconds)
    after = process.cpu_times()
    used = float(after.user + after.system - before.user - before.system)
    return used / (time.monotonic() - started)


def wait_until(is_so: Callable[[], bool], otherwise: str) -> None:
    """Until the condition comes true; TimeoutError when it does not."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(otherwise)
        time.sleep(0.05)


@contextmanager
def watching(brokers: str, topic: str) -> Iterator[Callable[[], dict[str, float]]]:
    """A watcher in a process of its own; the function ends it and gives what it saw."""
    with subprocess.Popen(  # noqa: S603 - our own
        [sys.executable, "-m", "benchmarks.watcher", brokers, topic],
        cwd=PROJECT,
        env=os.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        if process.stdout is None or process.stdout.readline().strip() != "ready":
            raise RuntimeError("the watcher did not start")
        yield lambda: dict(json.loads(process.communicate()[0]))

"""A long backlog, and a short queue through which much passes: the last events must go as fast as the first."""

import time
from statistics import median

from django.db import connection

from benchmarks import backlog_rows
from benchmarks.effort import Effort
from benchmarks.ground import broker
from benchmarks.report import Bar, Report
from benchmarks.running import running_relay
from benchmarks.writers import flood
from eventbus.models import OutboxEvent
from eventbus.relay import Relay

TEMPLATE_ROWS = 50_000
BACKLOG = 5_000_000
QUEUE_ROWS = 1000  # as many wait in the steady queue
PASSING = 1_000_000
PARTS = 10
SAME_PACE = 0.9
FLAT = 1.5  # times the start: the index grows by pages and a fetch takes milliseconds, so both come in steps
PATIENCE_SECONDS = 3600.0
INDEX_BYTES = "SELECT pg_indexes_size(%s::regclass)"
FETCH = f"""
SELECT o.* FROM unnest(%s::int2[]) AS b(bucket)
 CROSS JOIN LATERAL (SELECT * FROM {OutboxEvent._meta.db_table} e WHERE e.bucket = b.bucket ORDER BY e.id LIMIT 63) o
 ORDER BY o.id
"""


def run(effort: Effort) -> Report:
    """The built-in broker, which keeps only the last of it in memory."""
    report = Report("backlog", "pace and size, part by part", ["what", "first tenth", "last tenth", "last / first"])
    with broker("builtin"):
        drain_backlog(report, effort)
        pass_through_queue(report, effort)
    return report


def drain_backlog(report: Report, effort: Effort) -> None:
    """Events per second of the first and of the last tenth."""
    backlog_rows.make_template(effort.count(TEMPLATE_ROWS, least=1000))
    rows = effort.count(TEMPLATE_ROWS, least=1000)
    times = max(2, effort.count(BACKLOG, least=2000) // rows)
    with running_relay() as relay:
        backlog_rows.fill_outbox(times)
        rates = rates_by_part(relay, rows * times)
    report.rows.append([f"events/s of a backlog of {rows * times:,}", rates[0], rates[-1], rates[-1] / rates[0]])
    report.bars.append(Bar("pace of the last tenth / the first", rates[-1] / rates[0], SAME_PACE, ">="))


def rates_by_part(relay: Relay, events: int) -> list[float]:
    """Events per second of each tenth."""
    began, rates = relay.published, []
    at = time.perf_counter()
    deadline = at + PATIENCE_SECONDS
    done = began
    for part in range(1, PARTS + 1):
        while relay.published < began + events * part // PARTS:
            if time.perf_counter() > deadline:
                raise TimeoutError(f"{relay.published - began} of {events} events in {PATIENCE_SECONDS:g} s")
            time.sleep(0.01)
        now = time.perf_counter()
        rates.append((relay.published - done) / (now - at))
        at, done = now, relay.published
    return rates


def pass_through_queue(report: Report, effort: Effort) -> None:
    """Size of the indexes and time of a fetch, at the start and at the end."""
    backlog_rows.make_template(QUEUE_ROWS)
    events = effort.count(PASSING, least=10_000)
    sizes, times = [], []
    with running_relay() as relay, flood(below=QUEUE_ROWS):
        for part in range(1, PARTS + 1):
            while relay.published < events * part // PARTS:
                time.sleep(0.01)
            sizes.append(index_megabytes())
            times.append(fetch_milliseconds())
    report.rows += [
        [f"MB of indexes, {events:,} events through a queue", sizes[0], sizes[-1], sizes[-1] / sizes[0]],
        ["ms to fetch what waits", times[0], times[-1], times[-1] / times[0]],
    ]
    report.bars += [
        Bar("index size at the end / at the start", sizes[-1] / sizes[0], FLAT, "<="),
        Bar("fetch time at the end / at the start", times[-1] / times[0], FLAT, "<="),
    ]


def index_megabytes() -> float:
    """All indexes of the outbox."""
    with connection.cursor() as cursor:
        cursor.execute(INDEX_BYTES, [OutboxEvent._meta.db_table])
        return float(cursor.fetchone()[0]) / 1024**2


def fetch_milliseconds() -> float:
    """The median time of reading what waits as the relay does, lowest ids of each bucket first."""
    times = []
    for _ in range(9):
        started = time.perf_counter()
        with connection.cursor() as cursor:
            cursor.execute(FETCH, [list(range(16))])
            cursor.fetchall()
        times.append((time.perf_counter() - started) * 1000)
    return median(times)

"""What publish() adds to a transaction that changes one row, beside what any further statement would add."""

import time
from collections.abc import Callable
from functools import partial
from statistics import median
from uuid import UUID

from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from benchmarks import backlog_rows
from benchmarks.effort import Effort
from benchmarks.events import Counted
from benchmarks.models import Counter
from benchmarks.report import Bar, Report
from benchmarks.rounds import by_turns, ratio
from eventbus.outbox import publish

COUNTER = UUID(int=1)
TRANSACTIONS = 400  # of each variant in each round
SEVERAL = 5
MOST_OVERHEAD = 0.35
ALONE, STATEMENT, ONE, MANY = "row alone", "row and SELECT 1", "row and one event", f"row and {SEVERAL} events"


def run(effort: Effort) -> Report:
    """Four transactions, by turns."""
    Counter.objects.update_or_create(pk=COUNTER)
    backlog_rows.clear_outbox()
    variants: dict[str, Callable[[int], None]] = {
        ALONE: lambda number: None,
        STATEMENT: lambda number: backlog_rows.execute("SELECT 1"),
        ONE: lambda number: publish(counted(number)),
        MANY: lambda number: publish(*(counted(number) for _ in range(SEVERAL))),
    }
    transactions = effort.count(TRANSACTIONS, least=20)
    figures = by_turns(
        {name: partial(milliseconds, extra, transactions) for name, extra in variants.items()},
        rounds=effort.rounds * BLOCKS,
    )
    report = Report(
        "publish",
        "milliseconds of one Django transaction, commit included",
        ["transaction", "ms", "more than the row alone"],
    )
    for name, times in figures.items():
        report.rows.append([name, median(times), f"{ratio(figures, name, ALONE) - 1:.0%}"])
    report.bars += [
        Bar("overhead of one event", ratio(figures, ONE, ALONE) - 1, MOST_OVERHEAD, "<="),
        Bar(f"statements for {SEVERAL} events", statements_of(variants[MANY]), 1, "<="),
    ]
    return report


BLOCKS = 10  # a round is cut into so many turns, because a neighbour's noise comes and goes within a second


def milliseconds(extra: Callable[[int], None], transactions: int) -> float:
    """The median duration of a transaction that changes one row and does something more."""
    times = []
    for number in range(transactions // BLOCKS):
        started = time.perf_counter()
        change_row(number, extra)
        times.append(time.perf_counter() - started)
    return median(times) * 1000


@transaction.atomic
def change_row(number: int, extra: Callable[[int], None]) -> None:
    """A service as the rooms have them: write the row, then tell of it."""
    Counter(pk=COUNTER, number=number).save(update_fields=["number"])
    extra(number)


def counted(number: int) -> Counted:
    """The event of the change."""
    return Counted(counter_id=COUNTER, number=number)


def statements_of(extra: Callable[[int], None]) -> int:
    """How many statements this adds inside the transaction."""
    with transaction.atomic(), CaptureQueriesContext(connection) as captured:
        extra(0)
    return len(captured)

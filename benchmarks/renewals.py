"""A renewal run over everything that is due at once: its pace, its memory, and what a kill in the middle leaves."""

import json
import os
import subprocess
import sys
from typing import Any

from benchmarks.effort import Effort
from benchmarks.ground import PROJECT
from benchmarks.report import Bar, Report

SUBSCRIPTIONS = 100_000
LEAST_PACE = 500  # subscriptions a second, on two cores
MOST_GROWTH = 0.05


def run(effort: Effort) -> Report:
    """In processes that have the rooms, as this one has not; what payments are asked for stays in the outbox."""
    count = effort.count(SUBSCRIPTIONS, least=2000)
    printed = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "benchmarks.renewal_rates", "all", str(count)],
        check=True,
        stdout=subprocess.PIPE,
        cwd=PROJECT,
        env=os.environ,
    ).stdout
    found: dict[str, Any] = json.loads(printed)
    report = Report("renewals", f"{count:,} subscriptions due at once, one scheduler", ["what", "figure"])
    report.rows = [
        ["subscriptions/s", found["pace"]],
        ["MB resident after the first tenth", found["first_mb"]],
        ["MB resident at the end", found["last_mb"]],
        ["taken up before a kill -9", found["before_kill"]],
        ["asked for more than once, or not at all, after going on", found["wrong"]],
    ]
    report.bars += [
        Bar("subscriptions/s", found["pace"], LEAST_PACE, ">="),
        Bar("growth of memory", found["last_mb"] / found["first_mb"] - 1, MOST_GROWTH, "<="),
        Bar("renewed twice or forgotten", found["wrong"], 0, "<="),
    ]
    return report

"""Who may read what, at size: plans, queries and times of every read path."""

import json
import os
import subprocess
import sys
from typing import Any

from benchmarks.effort import Effort
from benchmarks.ground import PROJECT
from benchmarks.report import Bar, Report

POSTS = 1_000_000
ASKED = 300  # pages of each kind
MOST_SPREAD = 3


def run(effort: Effort) -> Report:
    """In a process that has the rooms, as this one has not; the plans go to standard error."""
    posts = effort.count(POSTS, least=5000)
    printed = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "benchmarks.access_rates", str(posts), str(effort.count(ASKED, least=20))],
        check=True,
        stdout=subprocess.PIPE,
        cwd=PROJECT,
        env=os.environ,
    ).stdout
    found: dict[str, dict[str, Any]] = json.loads(printed)
    title = f"pages of 20 of {posts:,} posts, {posts * 10:,} entitlements"
    report = Report("access", title, ["page", "p50 ms", "p99 ms", "queries", "tables read whole"])
    report.rows = [
        [name, each["p50"], each["p99"], max(each["costs"]), ", ".join(each["scans"]) or "none"]
        for name, each in found.items()
    ]
    spread = found["feed"]["p99"] / found["feed"]["p50"]
    report.bars.append(Bar("feed: p99 as a multiple of p50", spread, MOST_SPREAD, "<="))
    for name, each in found.items():
        report.bars.append(Bar(f"{name}: large tables read whole", len(each["scans"]), 0, "<="))
        report.bars.append(Bar(f"{name}: different numbers of queries", len(each["costs"]), 1, "<="))
    return report

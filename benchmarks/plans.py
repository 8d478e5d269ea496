"""How lists and schedulers of money are answered at a million rows: by an index, and with how many pages."""

import json
import os
import subprocess
import sys
from typing import Any

from benchmarks.effort import Effort
from benchmarks.ground import PROJECT
from benchmarks.report import Bar, Report

ROWS = 1_000_000
MOST_PAGES = 400  # for one page of a list: twenty rows, and what each of them refers to
WHOLE = ("summary", "statement")  # add up, or write down, all that there is


def run(effort: Effort) -> Report:
    """In a process that has the rooms, as this one has not."""
    count = effort.count(ROWS, least=20_000)
    printed = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "benchmarks.plan_questions", str(count)],
        check=True,
        stdout=subprocess.PIPE,
        cwd=PROJECT,
        env=os.environ,
    ).stdout
    answers: list[dict[str, Any]] = json.loads(printed)
    title = f"{count:,} rows of each kind, a hundredth of them one creator's and another one fan's"
    report = Report("plans", title, ["question", "read by", "pages", "ms"])
    report.rows = [[each["question"], each["reads"], each["pages"], each["milliseconds"]] for each in answers]
    report.bars.append(Bar("large tables read whole", sum(len(each["whole"]) for each in answers), 0, "<="))
    lists = [each["pages"] for each in answers if is_a_page(each["question"])]
    report.bars.append(Bar("most database pages read for a page of a list", max(lists), MOST_PAGES, "<="))
    return report


def is_a_page(question: str) -> bool:
    """Whether a list's page was asked for."""
    return question.startswith("GET") and not any(word in question for word in WHOLE)

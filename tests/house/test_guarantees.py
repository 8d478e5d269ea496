"""Every promise names the tests that prove it, and those are there."""

import re

from tests.house.checkout import ROOT, functions

PAGE = ROOT / "docs" / "guarantees.md"
PROMISES = 8 + 17 + 10 + 13 + 4  # of the bus, about money, about subscriptions, about files, about content
NODE = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows() -> list[str]:
    return [line for line in PAGE.read_text().splitlines() if line.startswith("| **")]


def test_every_promise_names_a_test():
    without = [row for row in rows() if not NODE.search(row.split("|")[3])]

    assert len(rows()) == PROMISES
    assert without == []


def test_every_test_that_a_promise_names_exists():
    missing = [
        f"{name}::{function}"
        for name, function in NODE.findall(PAGE.read_text())
        if not (ROOT / name).is_file() or function not in {node.name for node in functions(ROOT / name)}
    ]

    assert missing == [], f"docs/guarantees.md names no test: {', '.join(missing)}"

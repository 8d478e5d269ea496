"""Every hazard between the rooms has a test with its number in its name, and the page names all of them."""

import re

from tests.house.checkout import ROOT, functions, python_files

PAGE = ROOT / "docs" / "hazards.md"
HAZARDS = range(1, 28)
ROW = re.compile(r"^\| \*\*H(\d+)\*\* \|", re.MULTILINE)
NODE = re.compile(r"`(tests/[\w/]+\.py::\w+)`")
NUMBER = re.compile(r"_h(\d\d)(?=_)")


def met() -> dict[int, set[str]]:
    """The tests by the hazards that their names number."""
    found: dict[int, set[str]] = {}
    for file in python_files("tests"):
        for function in functions(file):
            for number in NUMBER.findall(function.name) if function.name.startswith("test_") else ():
                found.setdefault(int(number), set()).add(f"{file.relative_to(ROOT)}::{function.name}")
    return found


def test_every_hazard_is_met_by_a_test():
    assert sorted(met()) == list(HAZARDS)


def test_the_page_names_each_hazard_and_exactly_its_tests():
    rows = [line for line in PAGE.read_text().splitlines() if ROW.match(line)]

    assert {int(row.split("**")[1][1:]): set(NODE.findall(row)) for row in rows} == met()
    assert len(rows) == len(HAZARDS)

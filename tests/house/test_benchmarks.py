"""Every benchmark has its row in the documentation, and every row its benchmark."""

import re

from benchmarks.__main__ import NAMES
from tests.house.checkout import ROOT, functions

PAGE = ROOT / "docs" / "benchmarks.md"
ROW = re.compile(r"^\| `(\w+)` \|", flags=re.MULTILINE)


def test_the_page_has_a_row_for_each_benchmark_and_no_other():
    assert sorted(set(ROW.findall(PAGE.read_text()))) == sorted(NAMES)


def test_every_benchmark_can_be_run():
    without = [
        name
        for name in NAMES
        if not (ROOT / "benchmarks" / f"{name}.py").is_file()
        or "run" not in {function.name for function in functions(ROOT / "benchmarks" / f"{name}.py")}
    ]

    assert without == [], f"python -m benchmarks cannot run {', '.join(without)}"


def test_every_benchmark_is_offered():
    runnable = {
        file.stem
        for file in (ROOT / "benchmarks").glob("*.py")
        if "run" in {function.name for function in functions(file) if function.col_offset == 0}
    }

    assert runnable == set(NAMES)

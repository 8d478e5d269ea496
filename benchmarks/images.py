"""The image pipeline, from the bytes of a file to its variants, beside plain Pillow that draws the same."""

import json
import subprocess
import sys
from statistics import median

from benchmarks.effort import Effort
from benchmarks.ground import PROJECT
from benchmarks.report import Bar, Report
from benchmarks.rounds import Figures, ratio

NAMES = {"plain": "plain Pillow", "pipeline": "the pipeline", "without_child": "the pipeline without its child"}
LEAST_SHARE = 0.8


def run(effort: Effort) -> Report:
    """The same photographs by turns, in a process that has the rooms, as this one has not."""
    command = [sys.executable, "-m", "benchmarks.image_rates", str(effort.rounds), str(effort.scale)]
    printed = subprocess.run(command, check=True, capture_output=True, cwd=PROJECT).stdout  # noqa: S603 - our own program
    figures: Figures = json.loads(printed)
    report = Report("images", "megapixels of photographs made into four variants", ["by", "megapixels/s", "of plain"])
    for name, title in NAMES.items():
        report.rows.append([title, median(figures[name]), ratio(figures, name, "plain")])
    report.bars.append(Bar("the pipeline beside plain Pillow", ratio(figures, "pipeline", "plain"), LEAST_SHARE, ">="))
    return report

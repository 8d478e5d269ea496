"""What a benchmark says in the end: a table for people, its bars, and one line of JSON for machines."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from benchmarks.effort import Effort


@dataclass(frozen=True, slots=True)
class Bar:
    """One figure and the bound it must keep; `AT_LEAST` or `AT_MOST`."""

    what: str
    reached: float
    bound: float
    direction: Literal[">=", "<="]

    @property
    def is_met(self) -> bool:
        """Whether the figure keeps the bound."""
        return self.reached >= self.bound if self.direction == ">=" else self.reached <= self.bound


@dataclass(slots=True)
class Report:
    """The figures of one benchmark."""

    name: str
    title: str
    columns: Sequence[str]
    rows: list[Sequence[Any]] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)

    def show(self, effort: Effort, *, load: float) -> None:
        """Print the table, the bars and the line of JSON.

        `load` is how many programs wanted a core just before: with more than there are, every figure is worth less.
        """
        print(f"\n{self.name}: {self.title}\n")
        for line in table(self.columns, self.rows):
            print(f"  {line}")
        print()
        for bar in self.bars:
            verdict = ("met" if bar.is_met else "MISSED") if effort.is_full else "not judged, the run is too small"
            print(f"  {bar.what}: {readable(bar.reached)} (must be {bar.direction} {bar.bound:g}): {verdict}")
        print(f"  {os.cpu_count()} cores, load before it began {load:.1f}")
        print(json.dumps({**self.as_json(effort), "load": round(load, 1)}), flush=True)

    def as_json(self, effort: Effort) -> dict[str, Any]:
        """The same for a machine."""
        return {
            "benchmark": self.name,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "cores": os.cpu_count(),
            "rounds": effort.rounds,
            "full": effort.is_full,
            "rows": [dict(zip(self.columns, row, strict=True)) for row in self.rows],
            "bars": [
                {
                    "what": bar.what,
                    "reached": round(bar.reached, 3),
                    "must": f"{bar.direction} {bar.bound:g}",
                    "met": bar.is_met if effort.is_full else None,
                }
                for bar in self.bars
            ],
        }


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Lines of text: words to the left, figures to the right."""
    cells = [list(columns), *([readable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(columns))]
    is_figure = [all(isinstance(row[place], int | float) for row in rows) for place in range(len(columns))]
    lines = [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, is_figure, strict=True)
        ).rstrip()
        for row in cells
    ]
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]


def readable(value: Any) -> str:
    """Three digits are all that a measurement is worth."""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= THREE_DIGITS else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


THREE_DIGITS = 100

"""Variants are measured by turns, so that whatever else the machine does falls on all of them alike."""

from collections.abc import Callable, Mapping
from statistics import median

Figures = dict[str, list[float]]


def by_turns(variants: Mapping[str, Callable[[], float]], *, rounds: int) -> Figures:
    """Each variant's figure in every round; the next round begins with the next variant."""
    figures: Figures = {name: [] for name in variants}
    names = list(variants)
    for turn in range(rounds):
        first = turn % len(names)
        for name in [*names[first:], *names[:first]]:
            figures[name].append(variants[name]())
    return figures


def ratio(figures: Figures, name: str, to: str) -> float:
    """The median of the ratios within each round."""
    return median(ours / theirs for ours, theirs in zip(figures[name], figures[to], strict=True))


def percentile(values: list[float], share: float) -> float:
    """The value below which this share lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]

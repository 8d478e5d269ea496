"""How much work a run is worth: everything, or just enough to see that a benchmark still works."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effort:
    """`rounds` of each variant; `scale` is the part of the full size, 1.0 for figures that may be quoted."""

    rounds: int = 5
    scale: float = 1.0

    @property
    def is_full(self) -> bool:
        """Whether the figures may be held against their bars."""
        return self.scale >= 1.0 and self.rounds >= FULL.rounds

    def count(self, full: int, *, least: int) -> int:
        """So many of something, scaled, but never fewer than what still exercises the code."""
        return max(least, int(full * self.scale))

    def seconds(self, full: float, *, least: float) -> float:
        """So long, scaled."""
        return max(least, full * self.scale)


FULL = Effort()
QUICK = Effort(rounds=1, scale=0.0)

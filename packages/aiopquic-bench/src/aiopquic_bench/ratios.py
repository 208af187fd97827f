"""What paired measurements say: their ratios, the median, and how far it can be trusted."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["VERDICT_PAIRS", "Ratios", "interval"]

#: Pairs that a verdict takes.
VERDICT_PAIRS = 10

#: The chance, in percent, that an interval holds the true median.
CONFIDENCE = 95.0


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """An interval that holds the median of what the values are drawn from, with ``CONFIDENCE`` at least.

    It goes from the k-th smallest value to the k-th largest: by chance, the median lies below the k-th smallest of n
    values as often as n tosses of a coin show heads less than k times. Nothing is assumed about how values are
    distributed, and nothing is drawn at random. None for fewer than six values, which no such interval is made of.
    """
    count = len(values)
    missed, best = 0.0, None
    ordered = sorted(values)
    for place in range(count // 2):
        missed += 2 * math.comb(count, place) / 2**count
        if 100 * (1 - missed) < CONFIDENCE:
            break
        best = ordered[place], ordered[-1 - place]
    return best


@dataclass(frozen=True, slots=True)
class Ratios:
    """The ratios of pairs: what ours gave over what the other gave, a moment before or after; or values of ours."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, ours: Sequence[float], theirs: Sequence[float]) -> Ratios | None:
        """None where nothing can be divided."""
        if not ours or min(theirs) <= 0:
            return None
        return cls(tuple(a / b for a, b in zip(ours, theirs, strict=True)))

    @property
    def median(self) -> float:
        """Of the paired ratios."""
        return statistics.median(self.values)

    @property
    def lowest(self) -> float:
        """Of them all."""
        return min(self.values)

    @property
    def highest(self) -> float:
        """Of them all."""
        return max(self.values)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the true median is; None when there are too few pairs to say."""
        return interval(self.values)

    @property
    def noise(self) -> float | None:
        """Half the width of the interval, as a share of the median: changes smaller than this don't show."""
        if self.interval is None or not self.median:
            return None
        low, high = self.interval
        return (high - low) / 2 / self.median

    def is_above(self, limit: float) -> bool:
        """The whole interval is."""
        return self.interval is not None and self.interval[0] > limit

    def is_below(self, limit: float) -> bool:
        """The whole interval is."""
        return self.interval is not None and self.interval[1] < limit

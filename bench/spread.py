"""What repeats of one measurement show."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

import attrs

from tools.pages import number


@attrs.frozen
class Spread:
    """The values of the repeats, in their order; at least one."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        """Of the repeats."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The least of them."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The most of them."""
        return max(self.values)

    @property
    def is_known(self) -> bool:
        """Whether there were repeats: one run has no spread."""
        return len(self.values) > 1

    def __str__(self) -> str:
        median, low, high = map(number, (self.median, self.low, self.high))
        return median if low == high else f"{median} ({low}–{high})"


def spread(values: Iterable[float]) -> Spread | None:
    """None of nothing."""
    found = list(values)
    return Spread(found) if found else None


def percentile(values: Sequence[float], which: int) -> float:
    """So many of 100 are at most so much; 0 of nothing. Between two values it is interpolated."""
    if len(values) < 2:
        return sum(values)
    return statistics.quantiles(values, n=100, method="inclusive")[which - 1]

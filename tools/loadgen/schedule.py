"""When something is meant to happen: the intended times of an open loop, whatever becomes of earlier ones.

A latency that is counted from the intended time shows what a user would have waited; one that is counted from the
moment of sending hides the wait for a slow server or for this program itself (coordinated omission).

A schedule is a rate that phases scale. Within a phase the scale goes evenly from its beginning to its end, so the
expected number of arrivals at a time is a parabola, and the k-th arrival is where it has risen by the k-th gap: by one
for even arrivals, by an exponential variate for those of many independent people.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random

import attrs


@attrs.frozen
class Stretch:
    """A phase as a schedule sees it: monotonic seconds, and how its scale goes."""

    begin: float
    end: float
    scale_begin: float = 1.0
    scale_end: float = 1.0


class Schedule:
    """The intended times of one activity.

    rate     a second, at scale 1
    chance   for random arrivals; None for even ones
    """

    def __init__(self, rate: float, chance: Random | None = None) -> None:
        self._rate = rate
        self._chance = chance
        self._owed = self._gap()

    def _gap(self) -> float:
        return 1.0 if self._chance is None else self._chance.expovariate(1.0)

    def times(self, stretch: Stretch) -> Iterator[float]:
        """The intended times within a stretch, in order. What is left of a gap goes on in the next stretch."""
        seconds = stretch.end - stretch.begin
        first, last = self._rate * stretch.scale_begin, self._rate * stretch.scale_end
        growth = (last - first) / seconds
        done = 0.0
        while (after := _reached(first, growth, done + self._owed)) < seconds:
            done += self._owed
            self._owed = self._gap()
            yield stretch.begin + after
        self._owed -= (first + last) / 2 * seconds - done


def _reached(first: float, growth: float, arrivals: float) -> float:
    """After how many seconds so many arrivals have come; infinity if never."""
    if abs(growth) < 1e-12:
        return arrivals / first if first > 0 else math.inf
    under = first * first + 2 * growth * arrivals
    return (math.sqrt(under) - first) / growth if under >= 0 else math.inf

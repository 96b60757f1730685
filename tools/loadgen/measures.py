"""What was measured: latencies by name, counts, and both over time; mergeable across processes and hosts.

Latencies are HDR histograms in microseconds, three significant digits, up to two minutes: merging them loses nothing,
as averaging percentiles would. Per second the count and some latencies are kept, for plots.
"""

from __future__ import annotations

import base64
from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from hdrh.histogram import HdrHistogram

LOWEST_US, HIGHEST_US, DIGITS = 1, 120_000_000, 3
PERCENTILES = (50.0, 90.0, 99.0, 99.9, 100.0)
SAMPLES_PER_SECOND = 512
"""Kept of each series for each second; enough for the 99th percentile of a plot."""

ABOUT = {
    "delivered": "from the intended time of a text until another member has it",
    "delivered late": "the same, of members who caught up with it after a connection of theirs had ended",
    "durable": "from the intended time of a text until it is acknowledged, which is after it is on disk",
    "login": "from the time somebody is meant to come back until he is live, with the device's key",
    "resume": "from the time somebody is meant to come back until he is live, with a resume token and a horizon",
    "caught up": "from the time somebody is meant to come back until he lacks nothing any more",
    "read": "from the intended time of a mark until it is acknowledged",
    "presence": "from the intended time of a coming or going until somebody who watches is told, at most once a second",
    "page": "from the intended time of a request for a page until it is there",
    "lag": "how late this program did what it had to do: above a few milliseconds it measures itself",
    "canary": "how late this machine woke a process that does nothing but sleep",
}
OWN_SERIES = ("lag", "canary")
"""Of the generator and its machine, not of the server."""


def histogram() -> HdrHistogram:
    """An empty one."""
    return HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)


def record(found: HdrHistogram, seconds: float) -> None:
    """One more; what is out of its range counts as its end."""
    found.record_value(max(LOWEST_US, min(HIGHEST_US, int(seconds * 1e6))))


def _samples() -> array[float]:
    return array("d")  # a quarter of the memory of a list


class Measures:
    """Everything one process measured, or several together."""

    def __init__(self) -> None:
        self.latencies: defaultdict[str, HdrHistogram] = defaultdict(histogram)
        self.counts: Counter[str] = Counter()
        self.by_second: defaultdict[str, defaultdict[int, array[float]]] = defaultdict(lambda: defaultdict(_samples))
        """Series -> second of the run -> some of its latencies, in seconds."""
        self.counts_by_second: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self.began = 0.0
        """Monotonic time at which the run began: second 0."""
        self.phase = histogram()
        """Deliveries that were meant for the present phase; all of them, and a long phase takes no more memory."""
        self._phase_began = 0.0
        self._spans: list[tuple[float, float]] = []

    def begin_phase(self, when: float) -> None:
        """What is meant for an earlier time is of another phase, whenever it is over."""
        self.phase, self._phase_began = histogram(), when

    def measure(self, begin: float, end: float) -> None:
        """What is meant to happen in this time counts, whenever it is over."""
        self._spans.append((begin, end))

    def counts_at(self, when: float) -> bool:
        """Whether this time is measured."""
        return any(begin <= when < end for begin, end in reversed(self._spans))

    def latency(self, series: str, due: float, now: float) -> None:
        """What was meant to happen at `due` happened now."""
        if not self.counts_at(due):
            return
        seconds = now - due
        record(self.latencies[series], seconds)
        if series == "delivered" and due >= self._phase_began:
            record(self.phase, seconds)
        second = int(due - self.began)
        self.counts_by_second[series][second] += 1
        samples = self.by_second[series][second]
        if len(samples) < SAMPLES_PER_SECOND:
            samples.append(seconds)

    def count(self, name: str, when: float) -> None:
        """Something happened at this time."""
        if self.counts_at(when):
            self.counts[name] += 1

    def add(self, other: Measures) -> None:
        """Take in what another process measured."""
        for series, found in other.latencies.items():
            self.latencies[series].add(found)
        self.counts.update(other.counts)
        for series, seconds in other.by_second.items():
            for second, samples in seconds.items():
                self.by_second[series][second].extend(samples)
        for series, counts in other.counts_by_second.items():
            self.counts_by_second[series].update(counts)

    def percentiles(self, series: str) -> dict[str, float]:
        """p50 … max of a series, in milliseconds; empty without any."""
        found = self.latencies.get(series)
        if found is None or not found.get_total_count():
            return {}
        values = found.get_percentile_to_value_dict(PERCENTILES)  # all in one pass over its buckets
        return {("max" if each == 100 else f"p{each:g}"): round(values[each] / 1000, 3) for each in PERCENTILES}

    def as_plain(self) -> dict[str, Any]:
        """For JSON; `from_plain` reads it."""
        return {
            "latencies": {name: _packed(found) for name, found in sorted(self.latencies.items())},
            "counts": dict(sorted(self.counts.items())),
            "by_second": {
                series: {
                    str(second): [round(each, 6) for each in samples] for second, samples in sorted(seconds.items())
                }
                for series, seconds in sorted(self.by_second.items())
            },
            "counts_by_second": {
                series: {str(second): count for second, count in sorted(counts.items())}
                for series, counts in sorted(self.counts_by_second.items())
            },
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Measures:
        """Raises KeyError, TypeError or ValueError for anything else."""
        found = cls()
        for name, packed in plain["latencies"].items():
            found.latencies[name].add(_unpacked(packed))
        found.counts.update(plain["counts"])
        for series, seconds in plain["by_second"].items():
            for second, samples in seconds.items():
                found.by_second[series][int(second)].extend(map(float, samples))
        for series, counts in plain["counts_by_second"].items():
            found.counts_by_second[series].update({int(second): int(count) for second, count in counts.items()})
        return found


def _packed(found: HdrHistogram) -> str:
    packed: bytes = found.encode()
    return packed.decode()


def _unpacked(packed: str) -> HdrHistogram:
    base64.b64decode(packed, validate=True)
    return HdrHistogram.decode(packed.encode())

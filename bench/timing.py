"""CPU time of a call that is too short to be timed alone."""

from __future__ import annotations

import time
from collections.abc import Callable

SLICES = 5


def us_per_call(call: Callable[[], object], seconds: float) -> float:
    """Microseconds of this process. The least of several slices: what else a machine does only ever adds."""
    call()
    count, took = 1, 0
    while took < 2_000_000:
        count, took = count * 2, _ns(call, count)
    slice_calls = max(1, int(count * seconds * 1e9 / SLICES / took))
    return min(_ns(call, slice_calls) for _ in range(SLICES)) / slice_calls / 1000


def _ns(call: Callable[[], object], count: int) -> int:
    began = time.process_time_ns()
    for _ in range(count):
        call()
    return time.process_time_ns() - began

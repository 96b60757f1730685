"""Simulated time, and the switch that makes Trio's scheduler repeatable.

The clock jumps to the next deadline as soon as no task can run, so a simulated minute costs what its events cost.
Trio shuffles runnable tasks; with deterministic scheduling it sorts them first and shuffles with a generator we seed.
Both names are private to Trio, which is pinned for that reason: `make_repeatable` fails loudly when they are gone.
"""

from __future__ import annotations

import math

import trio
import trio._core._run as scheduler

_IDLE_PASSES_MAX = (
    1000  # at start and end only Trio's own wake-up socket is pending: some passes without a deadline are normal
)


class Deadlock(Exception):
    """No task can run and no timer is set: the simulated world has stopped."""


class JumpingClock(trio.abc.Clock):
    """A clock that moves only when everything waits. Times are seconds."""

    def __init__(self, start: float = 1000.0) -> None:
        self._now = start
        self._idle_passes = 0

    def start_clock(self) -> None:
        """Nothing to start: time stands still until everything waits."""

    def current_time(self) -> float:
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Jump to `deadline` and sleep for no real time. Raises Deadlock when there is none, again and again."""
        if math.isinf(deadline):
            self._idle_passes += 1
            if self._idle_passes > _IDLE_PASSES_MAX:
                raise Deadlock
            return 0
        self._idle_passes = 0
        self._now = max(self._now, deadline)
        return 0


def make_repeatable(seed: str) -> None:
    """Let the next `trio.run` schedule its tasks as a function of `seed` alone."""
    for name in ("_ALLOW_DETERMINISTIC_SCHEDULING", "_r"):
        if not hasattr(scheduler, name):
            raise AssertionError(f"trio {trio.__version__} has no {name}: deterministic scheduling must be found again")
    setattr(scheduler, "_ALLOW_DETERMINISTIC_SCHEDULING", True)  # noqa: B010  typed as final
    scheduler._r.seed(seed)

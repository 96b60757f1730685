"""Simulated time, and the switch that makes Trio's scheduler repeatable.

The clock jumps to the next deadline as soon as no task can run, so a simulated minute costs what its events cost. It
also rings for hardware: a cable or a disk is no task of its own, which would cost more than everything it does.
Trio shuffles runnable tasks; with deterministic scheduling it sorts them first and shuffles with a generator we seed.
Both names are private to Trio, which is pinned for that reason: `make_repeatable` fails loudly when they are gone.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable

import trio
import trio._core._run as scheduler

_IDLE_PASSES_MAX = (
    1000  # at start and end only Trio's own wake-up socket is pending: some passes without a deadline are normal
)


class Deadlock(Exception):
    """No task can run and no timer is set: the simulated world has stopped."""


class Alarm:
    """Something that happens at a time, unless it is called off."""

    __slots__ = ("ring",)

    def __init__(self, ring: Callable[[], None]) -> None:
        self.ring: Callable[[], None] | None = ring

    def off(self) -> None:
        """It will not ring any more."""
        self.ring = None


class JumpingClock(trio.abc.Clock):
    """A clock that moves only when everything waits. Times are seconds."""

    def __init__(self, start: float = 1000.0) -> None:
        self._now = start
        self._idle_passes = 0
        self._alarms: list[tuple[float, int, Alarm]] = []
        self._numbers = itertools.count()

    def start_clock(self) -> None:
        """Nothing to start: time stands still until everything waits."""

    def current_time(self) -> float:
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Jump to `deadline`, or to the next alarm, and sleep for no real time. Raises Deadlock when there is neither,
        again and again.
        """
        if self._alarms and self._alarms[0][0] <= deadline:
            self._now = max(self._now, self._alarms[0][0])
            self._ring()
            return 0
        if math.isinf(deadline):
            self._idle_passes += 1
            if self._idle_passes > _IDLE_PASSES_MAX:
                raise Deadlock
            return 0
        self._idle_passes = 0
        self._now = max(self._now, deadline)
        return 0

    def set_alarm(self, at: float, ring: Callable[[], None]) -> Alarm:
        """Call `ring` at this time, before the tasks that wake up then. It must not raise."""
        alarm = Alarm(ring)
        heapq.heappush(self._alarms, (at, next(self._numbers), alarm))
        return alarm

    def _ring(self) -> None:
        self._idle_passes = 0
        while self._alarms and self._alarms[0][0] <= self._now:
            alarm = heapq.heappop(self._alarms)[2]
            if alarm.ring is not None:
                alarm.ring()


def at(time: float, ring: Callable[[], None]) -> Alarm:
    """Call `ring` at this time of the simulation that is running."""
    clock = trio.lowlevel.current_clock()
    assert isinstance(clock, JumpingClock)
    return clock.set_alarm(time, ring)


async def pause(seconds: float) -> None:
    """`trio.sleep`, for less."""
    task = trio.lowlevel.current_task()
    alarm = at(trio.current_time() + seconds, lambda: trio.lowlevel.reschedule(task))

    def abort(_: object) -> trio.lowlevel.Abort:
        alarm.off()
        return trio.lowlevel.Abort.SUCCEEDED

    await trio.lowlevel.wait_task_rescheduled(abort)


def make_repeatable(seed: str) -> None:
    """Let the next `trio.run` schedule its tasks as a function of `seed` alone."""
    for name in ("_ALLOW_DETERMINISTIC_SCHEDULING", "_r"):
        if not hasattr(scheduler, name):
            raise AssertionError(f"trio {trio.__version__} has no {name}: deterministic scheduling must be found again")
    setattr(scheduler, "_ALLOW_DETERMINISTIC_SCHEDULING", True)  # noqa: B010  typed as final
    scheduler._r.seed(seed)

"""The store's lanes in simulated time: blocking work runs inline, in order, after a seeded delay.

Before a job runs and again before its result is told other tasks go on, as with a real thread. A power cut comes
between: what ran is committed, what waited is gone, and nobody is told of either.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, TypeVar

import outcome
import trio

from tools.simulate.clock import at

T = TypeVar("T")


class SimLane:
    """One thread of a simulated process. `ran` is called after each job, before anybody knows its result."""

    def __init__(self, delay: float, chance: Random, ran: Callable[[], None]) -> None:
        self._delay = delay
        self._chance = chance
        self._ran = ran
        self._waiting: deque[tuple[Callable[[], Any], Callable[[Any], None]]] = deque()
        self._idle = trio.lowlevel.ParkingLot()
        self._busy = False
        self._dead = False

    def submit(self, work: Callable[[], T], done: Callable[[outcome.Outcome[T]], None]) -> None:
        """Run `work` after everything submitted before; then tell `done`. Without power nothing happens."""
        self._waiting.append((work, done))
        if not self._busy:
            self._begin()

    async def aclose(self) -> None:
        """Let everything submitted finish, unless there is no power to do it."""
        with trio.CancelScope(shield=True):
            while self._busy and not self._dead:
                await self._idle.park()

    def _begin(self) -> None:
        self._busy = True
        self._later(self._one)

    def _one(self) -> None:
        if self._dead:
            return
        work, done = self._waiting.popleft()
        result = self._run(work)
        self._later(lambda: self._tell(done, result))

    def _tell(self, done: Callable[[Any], None], result: outcome.Outcome[Any]) -> None:
        if self._dead:
            return
        if self._waiting:
            self._begin()
        else:
            self._busy = False
            self._idle.unpark_all()
        done(result)

    def _run(self, work: Callable[[], T]) -> outcome.Outcome[T]:
        result = outcome.capture(work)
        self._ran()
        return result

    def _later(self, ring: Callable[[], None]) -> None:
        at(trio.current_time() + self._chance.expovariate(2 / self._delay), ring)

    def cut_power(self, finish_one: bool) -> None:
        """Do nothing any more. With `finish_one` the transaction that was about to run still reaches the disk."""
        if finish_one and self._waiting and not self._dead:
            self._run(self._waiting[0][0])
        self._dead = True
        self._idle.unpark_all()

"""The store's lanes in simulated time: blocking work runs inline, in order, after a seeded delay.

Before a job runs and again before its result is told other tasks go on, as with a real thread. A power cut comes
between: what ran is committed, what waited is gone, and nobody is told of either. Where nodes share a database, what
waits to run has begun there, and those of others that begin later may commit before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, TypeVar

import outcome
import trio

from tools.simulate.clock import at
from tools.simulate.memory import Overlap

T = TypeVar("T")


class SimLane:
    """One thread of a simulated process. `ran` is called after each job, before anybody knows its result. `stamps`: who
    is told when a transaction begins and ends, where several processes share a database.
    """

    def __init__(self, delay: float, chance: Random, ran: Callable[[], None], stamps: Overlap | None = None) -> None:
        self._delay = delay
        self._chance = chance
        self._ran = ran
        self._stamps = stamps
        self._stamp: int | None = None
        self._waiting: deque[tuple[Callable[[], Any], Callable[[Any], None]]] = deque()
        self._idle = trio.lowlevel.ParkingLot()
        self._busy = False
        self._dead = False
        self._paused = False
        self._overdue: Callable[[], None] | None = None

    def submit(self, work: Callable[[], T], done: Callable[[outcome.Outcome[T]], None]) -> None:
        """Run `work` after everything submitted before; then tell `done`. Without power nothing happens."""
        self._waiting.append((work, done))
        if not self._busy and not self._dead:
            self._begin()

    async def aclose(self) -> None:
        """Let everything submitted finish, unless there is no power to do it."""
        with trio.CancelScope(shield=True):
            while self._busy:
                await self._idle.park()

    def _begin(self) -> None:
        self._busy = True
        self._stamp = None if self._stamps is None else self._stamps.begin()
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
            self._rest()
        done(result)

    def _rest(self) -> None:
        self._busy = False
        self._idle.unpark_all()

    def _run(self, work: Callable[[], T]) -> outcome.Outcome[T]:
        if self._stamps is not None:
            self._stamps.current = self._stamp
        result = outcome.capture(work)
        self._end()
        self._ran()
        return result

    def _end(self) -> None:
        if self._stamps is not None and self._stamp is not None:
            self._stamps.current = None
            self._stamps.end(self._stamp)
            self._stamp = None

    def _later(self, ring: Callable[[], None]) -> None:
        at(trio.current_time() + self._chance.expovariate(2 / self._delay), lambda: self._when_awake(ring))

    def _when_awake(self, ring: Callable[[], None]) -> None:
        if self._paused:
            self._overdue = ring
        else:
            ring()

    def pause(self) -> None:
        """Its process gets no time: what has begun stays begun."""
        self._paused = True

    def resume(self) -> None:
        """It goes on where it was."""
        self._paused = False
        ring, self._overdue = self._overdue, None
        if ring is not None:
            ring()

    def cut_power(self, finish_one: bool, after: float = 0.0) -> None:
        """Do nothing any more. With `finish_one` the transaction that was about to run still reaches the disk, `after`
        so many seconds: a database that others share notices only then that its client is gone.
        """
        if self._dead:
            return
        self._dead = True
        if after and self._stamp is not None:
            at(trio.current_time() + after, lambda: self._die(finish_one))
        else:
            self._die(finish_one)

    def _die(self, finish_one: bool) -> None:
        if finish_one and self._waiting:
            self._run(self._waiting[0][0])
        self._end()
        self._rest()

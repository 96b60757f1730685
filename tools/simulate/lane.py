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

T = TypeVar("T")


class SimLane:
    """One thread of a simulated process. `ran` is called after each job, before anybody knows its result."""

    def __init__(self, nursery: trio.Nursery, delay: float, chance: Random, ran: Callable[[], None]) -> None:
        self._delay = delay
        self._chance = chance
        self._ran = ran
        self._waiting: deque[tuple[Callable[[], Any], Callable[[Any], None]]] = deque()
        self._changed = trio.Event()
        self._busy = False
        self._dead = False
        nursery.start_soon(self._work)

    def submit(self, work: Callable[[], T], done: Callable[[outcome.Outcome[T]], None]) -> None:
        """Run `work` after everything submitted before; then tell `done`. Without power nothing happens."""
        self._waiting.append((work, done))
        self._changed.set()

    async def aclose(self) -> None:
        """Let everything submitted finish, unless there is no power to do it."""
        with trio.CancelScope(shield=True):
            while (self._waiting or self._busy) and not self._dead:  # noqa: ASYNC110  rare, and time is free here
                await trio.sleep(self._delay)

    async def _work(self) -> None:
        try:
            while not self._dead:
                if self._waiting:
                    await self._one()
                else:
                    self._changed = trio.Event()
                    await self._changed.wait()
        finally:
            self._dead = True  # with the machine it runs on

    async def _one(self) -> None:
        self._busy = True
        await self._pause()
        if self._dead:
            return
        work, done = self._waiting.popleft()
        result = self._run(work)
        await self._pause()
        if not self._dead:
            self._busy = False
            done(result)

    def _run(self, work: Callable[[], T]) -> outcome.Outcome[T]:
        result = outcome.capture(work)
        self._ran()
        return result

    async def _pause(self) -> None:
        await trio.sleep(self._chance.expovariate(2 / self._delay))

    def cut_power(self, finish_one: bool) -> None:
        """Do nothing any more. With `finish_one` the transaction that was about to run still reaches the disk."""
        if finish_one and self._waiting and not self._dead:
            self._run(self._waiting[0][0])
        self._dead = True
        self._changed.set()

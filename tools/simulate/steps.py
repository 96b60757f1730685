"""Crashes a server between any two steps of its tasks, wherever they wait: a fault that comes by time strikes mostly
where most time is spent, in waiting for clients."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import trio

SERVER = "wirechat.server"


class Steps(trio.abc.Instrument):
    """Counts the steps of the servers' tasks."""

    def __init__(self, mean: float, crash: Callable[[trio.lowlevel.Task], bool], chance: Random) -> None:
        """`mean` steps from one crash to the next. `crash` is given the task; False: there is nothing to crash."""
        self._mean = mean
        self._crash = crash
        self._chance = chance
        self._left = self._draw()

    @property
    def needed(self) -> bool:
        """Whether it will ever crash anything."""
        return not math.isinf(self._left)

    def _draw(self) -> float:
        return math.inf if math.isinf(self._mean) else self._chance.expovariate(1 / self._mean)

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """See trio."""
        if task.name.startswith(SERVER):
            self._left -= 1
            if self._left < 0 and self._crash(task):
                self._left = self._draw()

    def stop(self) -> None:
        """Crash nothing any more."""
        self._left = math.inf

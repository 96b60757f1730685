"""A loop without sockets, whose time is what it is told."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable


class Clock:
    """As `tools.loadgen.loop.Loop`, as far as that has to do with time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._count = itertools.count()

    @property
    def waiting(self) -> int:
        """Timers that are to come."""
        return len(self._due)

    def at(self, when: float, call: Callable[[], object]) -> None:
        heapq.heappush(self._due, (when, next(self._count), call))

    def after(self, seconds: float, call: Callable[[], object]) -> None:
        self.at(self.now + seconds, call)

    def run(self, until: float) -> None:
        """Everything that is due before."""
        while self._due and self._due[0][0] < until:
            self.now, _, call = heapq.heappop(self._due)
            call()
        self.now = until

"""One thread, many sockets: an epoll loop with timers.

Trio would cost a task and 40 us for each turn of each connection, and the generator would be the bottleneck long before
the server. So the generator has a loop of its own, which does nothing but wait for sockets and times.

Rules: nothing here waits but `run`; a callback that raises ends the run.
"""

from __future__ import annotations

import heapq
import itertools
import select
import time
from collections.abc import Callable
from typing import Protocol

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
ENDED = select.EPOLLERR | select.EPOLLHUP

POLL_SECONDS_MAX = 0.1


class Watched(Protocol):
    """A file descriptor that something happens to."""

    def fileno(self) -> int:
        """Its number."""

    def ready(self, events: int) -> None:
        """READ, WRITE, ENDED, or several of them, hold."""


class Loop:
    """Sockets and timers. `now` is when this turn began, in monotonic seconds."""

    def __init__(self) -> None:
        self.now = time.monotonic()
        self._epoll = select.epoll()
        self._watched: dict[int, Watched] = {}
        self._timers: list[tuple[float, int, Callable[[], object]]] = []
        self._count = itertools.count()

    def watch(self, watched: Watched, events: int) -> None:
        """Tell it when one of these events holds."""
        fd = watched.fileno()
        if fd in self._watched:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._watched[fd] = watched

    def forget(self, watched: Watched) -> None:
        """Before it is closed."""
        if self._watched.pop(watched.fileno(), None) is not None:
            self._epoll.unregister(watched.fileno())

    def at(self, when: float, call: Callable[[], object]) -> None:
        """Call at this time, or as soon after as possible."""
        heapq.heappush(self._timers, (when, next(self._count), call))

    def after(self, seconds: float, call: Callable[[], object]) -> None:
        """Call so much later."""
        self.at(self.now + seconds, call)

    def run(self, done: Callable[[], bool], until: float) -> bool:
        """Turn until `done()` or this time; whether it was done."""
        while not done():
            if self.now >= until:
                return False
            self._turn(until)
        return True

    def _turn(self, until: float) -> None:
        due = self._timers[0][0] if self._timers else until
        wait = min(due, until) - time.monotonic()
        happened = self._epoll.poll(max(0.0, min(wait, POLL_SECONDS_MAX)))
        self.now = time.monotonic()
        for fd, events in happened:
            watched = self._watched.get(fd)
            if watched is not None:  # else an earlier one of this turn closed it
                watched.ready(events)
        while self._timers and self._timers[0][0] <= self.now:
            heapq.heappop(self._timers)[2]()

    def close(self) -> None:
        """Forget everything."""
        self._epoll.close()
        self._watched.clear()
        self._timers.clear()

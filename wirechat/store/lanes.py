"""A lane runs blocking work in order: one long-lived thread, a queue in, the Trio thread out.

A thread for each call would cost 0.2 ms and finish out of order (P4).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import outcome
import trio

T = TypeVar("T")


class Lane(Protocol):
    """What the store needs; the simulator has its own."""

    def submit(self, work: Callable[[], T], done: Callable[[outcome.Outcome[T]], None]) -> None:
        """Run `work` after everything submitted before; call `done` in the Trio thread."""

    async def aclose(self) -> None:
        """Let everything submitted finish, then end."""


class ThreadLane:
    """The real one. Must be made inside trio.run."""

    def __init__(self, name: str) -> None:
        self._queue: queue.SimpleQueue[tuple[Callable[[], Any], Callable[[Any], None]] | None] = queue.SimpleQueue()
        self._soon = trio.lowlevel.current_trio_token().run_sync_soon
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[], T], done: Callable[[outcome.Outcome[T]], None]) -> None:
        """See `Lane`."""
        self._queue.put((work, done))

    async def aclose(self) -> None:
        """See `Lane`."""
        self._queue.put(None)
        await trio.to_thread.run_sync(self._thread.join)

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            work, done = job
            result = outcome.capture(work)
            try:
                self._soon(done, result)
            except trio.RunFinishedError:
                return


async def run_in(lane: Lane, work: Callable[[], T]) -> T:
    """Run `work` in a lane and wait for it. Once submitted it is done even if the waiting is cancelled."""
    task = trio.lowlevel.current_task()
    waiting = True

    def done(result: outcome.Outcome[T]) -> None:
        if waiting:
            trio.lowlevel.reschedule(task, result)

    def abort(_: Callable[[], None]) -> trio.lowlevel.Abort:
        nonlocal waiting
        waiting = False
        return trio.lowlevel.Abort.SUCCEEDED

    lane.submit(work, done)
    result: T = await trio.lowlevel.wait_task_rescheduled(abort)
    return result

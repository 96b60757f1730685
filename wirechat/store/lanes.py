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

from wirechat.store.errors import Unavailable

T = TypeVar("T")
Done = Callable[[outcome.Outcome[T]], None]


class Lane(Protocol):
    """What the store needs; the simulator has its own."""

    def submit(self, work: Callable[[], T], done: Done[T]) -> None:
        """Run `work` after everything submitted before; call `done` in the Trio thread. `done` must not raise."""

    async def aclose(self) -> None:
        """Let everything submitted finish, then end. Cannot be cancelled: the database is closed next."""


class ThreadLane:
    """The real one. Must be made inside trio.run."""

    def __init__(self, name: str) -> None:
        self._queue: queue.SimpleQueue[tuple[Callable[[], Any], Done[Any]] | None] = queue.SimpleQueue()
        self._soon = trio.lowlevel.current_trio_token().run_sync_soon
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[], T], done: Done[T]) -> None:
        """See `Lane`. After the end, `done` gets Unavailable."""
        if self._closed:
            self._soon(done, outcome.Error(Unavailable("the store is closed")))
        else:
            self._queue.put((work, done))

    async def aclose(self) -> None:
        """See `Lane`."""
        self._closed = True
        self._queue.put(None)
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._thread.join)

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            work, done = job
            result = outcome.capture(work)
            try:
                self._soon(done, result)
            except trio.RunFinishedError:
                return


async def finished(start: Callable[[Done[T]], None]) -> T:
    """Call `start(done)` and wait until `done` is called. What was started goes on even if the waiting is cancelled."""
    task = trio.lowlevel.current_task()
    waiting = True

    def done(result: outcome.Outcome[T]) -> None:
        if waiting:
            trio.lowlevel.reschedule(task, result)

    def abort(_: Callable[[], None]) -> trio.lowlevel.Abort:
        nonlocal waiting
        waiting = False
        return trio.lowlevel.Abort.SUCCEEDED

    start(done)
    result: T = await trio.lowlevel.wait_task_rescheduled(abort)
    return result

"""Takes time away from a task and everything below it, and gives it back: a process that is stopped and goes on.

Its sockets stay open, its timers ring and what it waits for comes; but none of its tasks takes a step before the thaw.
Trio has no such switch, so its queue of tasks that may run is replaced while something is frozen. That queue is private
to Trio, which is pinned for that reason (see `clock`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import trio
import trio._core._run as scheduler

Task = trio.lowlevel.Task


class Queue(deque[Task]):
    """Tasks that may run. Those below a frozen one are kept apart."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen: dict[Task, list[Task]] = {}
        """Each with the tasks below it that would run."""

    def append(self, task: Task) -> None:
        for above in _upwards(task):
            if above in self.frozen:
                self.frozen[above].append(task)
                return
        super().append(task)


def _upwards(task: Task) -> Iterator[Task]:
    """A task and those above it."""
    above: Task | None = task
    while above is not None:
        yield above
        above = above.parent_nursery.parent_task if above.parent_nursery else None


def is_below(task: Task, top: Task | None) -> bool:
    """It is `top`, or was started by it or by something below it."""
    return any(above is top for above in _upwards(task))


def freeze(top: Task) -> None:
    """From its next step on it gets no time."""
    runner = scheduler.GLOBAL_RUN_CONTEXT.runner
    waiting = list(runner.runq)
    if not isinstance(runner.runq, Queue):
        runner.runq = Queue()
    runner.runq.frozen[top] = []
    runner.runq.clear()
    for task in waiting:
        runner.runq.append(task)


def thaw(top: Task) -> None:
    """It goes on. Raises KeyError when it is not frozen."""
    runner = scheduler.GLOBAL_RUN_CONTEXT.runner
    assert isinstance(runner.runq, Queue)
    for task in runner.runq.frozen.pop(top):
        runner.runq.append(task)
    if not runner.runq.frozen:
        runner.runq = deque(runner.runq)

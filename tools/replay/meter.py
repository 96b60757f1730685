"""How far a replay has come, for people: bars in this process, or news for the bars of another."""

from multiprocessing.queues import Queue
from typing import Protocol

import attrs
from rich.progress import Progress, TaskID

News = tuple[str, int, int]  # what, how many more to expect, how many more are done


class Meter(Protocol):
    """Counts things by name."""

    def count(self, what: str, expected: int = 0, done: int = 0) -> None:
        """So many more to expect, so many more are done."""


@attrs.define
class Bars:
    """One bar for each kind of thing."""

    progress: Progress
    _tasks: dict[str, TaskID] = attrs.Factory(dict)

    def count(self, what: str, expected: int = 0, done: int = 0) -> None:
        if what not in self._tasks:
            self._tasks[what] = self.progress.add_task(what, total=0)
        task = self.progress.tasks[self._tasks[what]]
        self.progress.update(task.id, total=(task.total or 0) + expected, advance=done)


@attrs.define
class Reporter:
    """Sends news to the process that has the bars."""

    news: "Queue[News]"

    def count(self, what: str, expected: int = 0, done: int = 0) -> None:
        self.news.put((what, expected, done))

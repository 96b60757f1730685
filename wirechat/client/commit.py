"""When something becomes durable.

Rules: one transaction at a time; whoever waits is served by the next one, together with everybody else who waits. What
must not happen before a change is durable (a SEND, an event, waking the caller) is registered with `when_durable` and
runs after the transaction that covers everything changed until then. After a failed transaction memory is ahead of the
file: nothing is written any more, because it would stand behind a hole.
"""

from collections.abc import Callable

import trio

from wirechat.client.cache import Cache
from wirechat.client.errors import CacheError
from wirechat.world import World

__all__ = ["Committed", "Committer"]

Committed = Callable[[CacheError | None], None]
"""Told None when it is durable, or why it never will be. Must not wait or fail."""


class Committer:
    """Writes the changes of a cache, in a thread when it is a file."""

    def __init__(self, cache: Cache, world: World) -> None:
        self._cache = cache
        self._world = world
        self._lock = trio.Lock()
        self._waiting: list[Committed] = []
        self._error: CacheError | None = None

    @property
    def clean(self) -> bool:
        """Everything is durable and everybody was told."""
        return not self._cache.dirty and not self._waiting

    def when_durable(self, committed: Committed) -> None:
        """Calls back once every change made so far is durable."""
        self._waiting.append(committed)

    async def commit(self) -> None:
        """Returns when every change made before the call is durable. Raises CacheError.

        A cancelled caller's changes are written too: others may refer to them already.
        """
        with trio.CancelScope(shield=True):
            if self.clean and self._error is None:
                await trio.lowlevel.checkpoint()
                return
            async with self._lock:
                await self._write()

    async def _write(self) -> None:
        statements = self._cache.take() if self._error is None else []
        waiting, self._waiting = self._waiting, []
        try:
            if statements and self._cache.in_memory:
                self._cache.write(statements)
            elif statements:
                await self._world.run_blocking(self._cache.write, statements)
        except CacheError as error:
            self._error = error
        if self._error is None:
            self._cache.written()
        for committed in waiting:
            committed(self._error)
        if self._error is not None:
            raise self._error

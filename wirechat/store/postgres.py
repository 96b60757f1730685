"""The store of a cluster: PostgreSQL, shared by any number of nodes.

Several appends are in flight; those that share a conversation follow each other, so that `done` comes in the order of
the commits. What was begun is finished even if nobody waits for it any more.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, ParamSpec, TypeVar

import outcome
import trio

from wirechat.store import appending, opening, settling
from wirechat.store.crossing import Crossing, open_crossing
from wirechat.store.errors import Unavailable
from wirechat.store.features import journal
from wirechat.store.lanes import Done, finished
from wirechat.store.pools import Pools
from wirechat.store.records import Append, Commit
from wirechat.store.tx import Feature, Tx

P = ParamSpec("P")
T = TypeVar("T")


class PostgresStore:
    """See `database.Store`."""

    engine = "postgres"
    appends_at_once = 4
    """Half of the connections for writing. Two would do to pass by a lock that is held."""

    def __init__(self, cross: Crossing, pools: Pools, nursery: trio.Nursery, epoch: bytes, digest_key: bytes) -> None:
        self._cross = cross
        self._pools = pools
        self._nursery = nursery
        self._appends = Appends()
        self._closed = False
        self.epoch = epoch
        self.digest_key = digest_key

    def start_append(
        self, batch: Sequence[Append], now_ms: int, known: Mapping[int, int], done: Callable[[Commit], None]
    ) -> None:
        """See `Store`."""
        if self._closed:
            refused = Commit([Unavailable("the store is closed")] * len(batch), {})
            trio.lowlevel.current_trio_token().run_sync_soon(done, refused)
            return
        turn = self._appends.enter({item.conv for item in batch})
        self._nursery.start_soon(self._append, turn, partial(self._appending, turn, batch, now_ms, known), done)

    async def _append(
        self, turn: Turn, work: Callable[[], Coroutine[Any, Any, Commit]], done: Callable[[Commit], None]
    ) -> None:
        with trio.CancelScope(shield=True):
            await turn.come()
            try:
                done(await self._cross(work))
            finally:
                self._appends.leave(turn)

    async def _appending(self, turn: Turn, batch: Sequence[Append], now_ms: int, known: Mapping[int, int]) -> Commit:
        async def run(some: Sequence[Append], tx: Tx) -> Commit:
            commit = await journal.append(tx, some, now_ms, known)
            turn.visible = True
            return commit

        async def attempt(some: Sequence[Append]) -> Commit:
            return await settling.append(self._pools.write, partial(run, some))

        return await appending.append(attempt, batch)

    async def write(self, feature: Feature[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Store`."""
        return await self._finish(self._pools.write, lambda tx: feature(tx, *args, **kwargs))

    async def read(self, feature: Feature[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Store`."""
        return await self._finish(self._pools.read, lambda tx: feature(tx, *args, **kwargs))

    async def read_ordered(self, feature: Feature[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Store`. What it saw was committed by appends whose commit was begun before it ended; one that waits for
        a lock of another node is not waited for.
        """
        result = await self.read(feature, *args, **kwargs)
        await self._appends.visible_told()
        return result

    async def glance(self, feature: Feature[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Store`."""
        result = await self._finish(self._pools.glance, lambda tx: feature(tx, *args, **kwargs))
        await self._appends.visible_told()
        return result

    async def _finish(
        self, transaction: Callable[[Callable[[Tx], Coroutine[Any, Any, T]]], Coroutine[Any, Any, T]],
        run: Callable[[Tx], Coroutine[Any, Any, T]],
    ) -> T:  # fmt: skip
        if self._closed:
            raise Unavailable("the store is closed")
        return await finished(lambda done: self._nursery.start_soon(self._run, transaction, run, done))

    async def _run(self, transaction: Any, run: Any, done: Done[Any]) -> None:
        with trio.CancelScope(shield=True):
            done(await outcome.acapture(self._cross, transaction, run))

    def close(self) -> None:
        """Begin nothing more."""
        self._closed = True


class Turn:
    """An append, and those that it follows."""

    def __init__(self, convs: Iterable[int], before: Iterable[Turn]) -> None:
        self.convs = tuple(convs)
        self.told = trio.Event()
        """Its `done` was called."""
        self.visible = False
        """A commit of it was begun: from now on others may see some of it."""
        self._before = tuple(before)

    async def come(self) -> None:
        """Wait for those before."""
        for turn in self._before:
            await turn.told.wait()
        self._before = ()


class Appends:
    """The appends in flight: one at a time in each conversation, in the order in which they were started."""

    def __init__(self) -> None:
        self._last: dict[int, Turn] = {}
        """The one that was started last, by conversation."""
        self._all: set[Turn] = set()

    def enter(self, convs: Iterable[int]) -> Turn:
        """A new one, behind those that share a conversation with it."""
        turn = Turn(convs, {self._last[conv] for conv in convs if conv in self._last})
        self._last.update(dict.fromkeys(turn.convs, turn))
        self._all.add(turn)
        return turn

    def leave(self, turn: Turn) -> None:
        """It was told."""
        turn.told.set()
        self._all.remove(turn)
        for conv in turn.convs:
            if self._last[conv] is turn:
                del self._last[conv]

    async def visible_told(self) -> None:
        """Wait for those of which a read that has just ended may have seen something."""
        for turn in [turn for turn in self._all if turn.visible]:
            await turn.told.wait()


# opening


COMMAND = "wirechat-command"
"""What connections of a command that writes are called: it is no server."""


@asynccontextmanager
async def open_postgres(url: str, name: str | None = None) -> AsyncIterator[PostgresStore]:
    """Open the store in a database; migrate it; close the connections at the end. `name`: what PostgreSQL shows of
    them; None: that of a server, another one each time, so that servers can be counted. Raises DataError.
    """
    async with flat(), open_crossing() as cross:
        epoch, digest_key = await cross(opening.prepare, url)
        pools = await cross(opening.pools, url, epoch, name or f"wirechat {secrets.token_hex(4)}")
        try:
            async with trio.open_nursery() as nursery:
                store = PostgresStore(cross, pools, nursery, epoch, digest_key)
                try:
                    yield store
                finally:
                    store.close()
        finally:
            with trio.CancelScope(shield=True):
                await cross(pools.aclose)


async def look(url: str, feature: Feature[[], T]) -> T:
    """Run a feature in one snapshot of a database, changing nothing. Raises DataError."""
    async with flat(), open_crossing() as cross:
        return await cross(opening.look, url, feature)


async def epoch_of(tx: Tx) -> bytes:
    """The epoch as the servers of a database have it; see `Store.epoch`."""
    return await opening.epoch_of(tx)


async def renew_epoch(url: str) -> bytes:
    """Draw another epoch, so that every client starts anew. Returns what it comes to. Raises DataError."""
    async with flat(), open_crossing() as cross:
        return await cross(opening.renew_epoch, url)


@asynccontextmanager
async def flat() -> AsyncIterator[None]:
    """One error as it is, instead of in a group for each nursery on its way."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        raise error from None

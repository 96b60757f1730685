"""The store of a cluster: PostgreSQL, shared by any number of nodes.

Several appends are in flight; those that share a conversation follow each other, so that `done` comes in the order of
the commits. What was begun is finished even if nobody waits for it any more.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, ParamSpec, TypeVar

import outcome
import trio

from wirechat.store import appending, settling
from wirechat.store.crossing import Crossing, open_crossing
from wirechat.store.errors import DataError, StoreError, Unavailable
from wirechat.store.features import journal, meta, moving
from wirechat.store.lanes import Done, finished
from wirechat.store.migrations import Migration, pending
from wirechat.store.pools import EngineError, Pools, PostgresTx, connected, open_pools, read, write
from wirechat.store.records import Append, Commit
from wirechat.store.tx import Feature, Tx

P = ParamSpec("P")
T = TypeVar("T")

MIGRATING = 0x57435331
"""Advisory lock of the node that opens the database."""

SERVER_MIN = 130_000
"""PostgreSQL 13: the first with 64-bit transaction ids in SQL."""


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
        self._nursery.start_soon(self._append, turn, partial(self._appending, batch, now_ms, known), done)

    async def _append(
        self, turn: Turn, work: Callable[[], Coroutine[Any, Any, Commit]], done: Callable[[Commit], None]
    ) -> None:
        with trio.CancelScope(shield=True):
            await turn.come()
            try:
                done(await self._cross(work))
            finally:
                self._appends.leave(turn)

    async def _appending(self, batch: Sequence[Append], now_ms: int, known: Mapping[int, int]) -> Commit:
        async def attempt(some: Sequence[Append]) -> Commit:
            return await settling.append(self._pools.write, lambda tx: journal.append(tx, some, now_ms, known))

        return await appending.append(attempt, batch)

    async def write(self, feature: Feature[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Store`."""
        return await self._finish(self._pools.write, lambda tx: feature(tx, *args, **kwargs))

    async def read(self, feature: Feature[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Store`."""
        return await self._finish(self._pools.read, lambda tx: feature(tx, *args, **kwargs))

    async def read_ordered(self, feature: Feature[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Store`. What it saw was committed by appends that were begun before it ended."""
        result = await self.read(feature, *args, **kwargs)
        await self._appends.all_told()
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

    async def all_told(self) -> None:
        """Wait for those that are in flight now."""
        for turn in tuple(self._all):
            await turn.told.wait()


# opening


@asynccontextmanager
async def open_postgres(url: str) -> AsyncIterator[PostgresStore]:
    """Open the store in a database; migrate it; close the connections at the end. Raises DataError."""
    async with flat(), open_crossing() as cross:
        epoch, digest_key = await cross(_prepare, url)
        pools = await cross(_open, url, epoch)
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
        return await cross(_look, url, feature)


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


async def _look(url: str, feature: Feature[[], T]) -> T:
    with refusing():
        async with connected(url) as connection:
            if pending("postgres", await _applied(connection)):
                raise DataError("the database comes from an older wirechat; start a server once to bring it up to date")
            return await read(connection, feature)


async def _prepare(url: str) -> tuple[bytes, bytes]:
    """Check and migrate; (epoch, key of digests)."""
    with refusing():
        async with connected(url) as connection:
            await check_server(connection)
            return await write(connection, partial(_migrate, connection))


@contextmanager
def refusing() -> Iterator[None]:
    """What is wrong with a database is one line for the operator. Raises DataError."""
    try:
        yield
    except DataError:
        raise
    except (StoreError, EngineError) as error:
        raise DataError(f"cannot use the database: {str(error).splitlines()[0]}") from None


async def _open(url: str, epoch: bytes) -> Pools:
    async def check(connection: Any) -> None:
        if await _epoch(PostgresTx(connection)) != epoch:
            raise Unavailable("the database was restored or has failed over; restart this server")

    return await open_pools(url, check)


async def check_server(connection: Any) -> None:
    """Raises DataError for one that would not keep what it acknowledges, and for one that is too old."""
    version, standby, commit, fsync = await connection.fetchrow(
        "SELECT current_setting('server_version_num')::int, pg_is_in_recovery(),"
        " current_setting('synchronous_commit'), current_setting('fsync')"
    )
    if version < SERVER_MIN:
        raise DataError("this PostgreSQL is too old; wirechat needs 13 or newer")
    if standby:
        raise DataError("this PostgreSQL is a standby; give the address of the primary")
    if commit not in ("on", "remote_apply") or fsync != "on":
        raise DataError(
            f"this PostgreSQL would lose acknowledged messages: synchronous_commit is {commit}, fsync is {fsync};"
            " both must be on"
        )


async def _migrate(connection: Any, tx: Tx) -> tuple[bytes, bytes]:
    await connection.execute("SELECT pg_advisory_xact_lock($1)", MIGRATING)
    await apply(connection, pending("postgres", await _applied(connection)))
    await meta.identify(tx, secrets.token_bytes)
    await meta.settle(tx)
    return await _epoch(tx), (await meta.identity(tx))[1]


async def apply(connection: Any, missing: Iterable[Migration]) -> None:
    """Apply migrations in the transaction that is open."""
    for migration in missing:
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY, checksum TEXT NOT NULL)"
        )
        await connection.execute(migration.sql)
        await connection.execute("INSERT INTO migration VALUES ($1, $2)", migration.number, migration.checksum)


async def tables(connection: Any) -> set[str]:
    """The tables of the schema. Raises DataError when they are not ours."""
    names = {name for (name,) in await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')"
    )}  # fmt: skip
    if names and "migration" not in names:
        raise DataError("this schema has tables of another program; give wirechat a database of its own")
    return names


async def _applied(connection: Any) -> list[tuple[int, str]]:
    names = await tables(connection)
    if moving.STATE in names:
        raise DataError(
            "a move into this database is not finished: run wirechat store move again, or empty the database"
        )
    if not names:
        return []
    return [tuple(row) for row in await connection.fetch("SELECT number, checksum FROM migration ORDER BY number")]


async def _epoch(tx: Tx) -> bytes:
    """Another one whenever stamps could be used again: other random value, server, timeline, database or table. The one
    the data came with, as long as it is where it was moved to.
    """
    here = await whereabouts(tx)
    kept = await meta.kept_epoch(tx, here)
    return here[: meta.EPOCH_BYTES] if kept is None else kept


async def whereabouts(tx: Tx) -> bytes:
    """A hash of what the epoch depends on."""
    drawn, _ = await meta.identity(tx)
    return hashlib.sha256(drawn + (await meta.place(tx)).encode()).digest()

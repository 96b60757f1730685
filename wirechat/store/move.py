"""Moving an embedded store into PostgreSQL while its server runs; docs/design/move.md says why it is done so.

The bulk is copied in small pieces beside the server, then, again and again, what was stamped since. When the server is
stopped, the lock of the directory says so, and only what is left then has to wait. Everything is compared piece by
piece; until all of it agrees no server opens the target. The source is never changed, only marked at the very end.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import apsw
import attrs

from wirechat.store import directory, opening, pools, postgres, snapshot, sqlite
from wirechat.store.crossing import open_crossing
from wirechat.store.errors import DataError, InUse, StoreError
from wirechat.store.features import meta, moving, sync
from wirechat.store.features.moving import Part, Piece, Progress, Table, Tables
from wirechat.store.migrations import migrations, pending
from wirechat.store.tx import Feature, Tx

T = TypeVar("T")

GROUP = 500
"""Conversations after which it is noted how far the copy is."""
BITE = 2000
"""Rows that are written in one transaction, or a little more."""
PIECES = 20
"""Pieces that are compared at a time."""
WAIT_SECONDS = 1.0
"""Between two looks whether the server was stopped."""

ALONE = 0x57435332
"""Advisory lock of the one who moves."""

Tell = Callable[[str, int, int], None]
"""Is told (what is being done, how much of it is done, how much there is)."""
WAITING = "waiting"


class Differs(StoreError):
    """Something is not in the target as it is in the source."""


@attrs.frozen
class Moved:
    """What there is in the target now."""

    complete: bool
    """Servers may be started on it."""
    conversations: int
    entries: int
    """In account logs too."""
    stopped_seconds: float
    """How long it took since the server was known to be stopped."""


async def move(folder: Path, url: str, tell: Tell, *, wait: bool = True) -> Moved:
    """Copy everything in a directory into an empty database, or go on with that. Waits until no server runs on the
    directory, then finishes; unless `wait`, ends instead of waiting. Raises DataError, Differs, StoreError.
    """
    sqlite.refuse_missing(folder)
    async with postgres.flat(), open_crossing() as cross:
        return await cross(_move, folder, url, tell, wait)


async def _move(folder: Path, url: str, tell: Tell, wait: bool) -> Moved:
    with closing(sqlite.open_reading(str(folder / sqlite.FILE))) as db:
        source = await _Source(folder, db).known()
        async with AsyncExitStack() as stack:
            with opening.refusing():
                target = _Target(await stack.enter_async_context(pools.connected(url)))
                tables = await target.prepare(source)
            return await _Move(source, target, tables, tell).run(wait)


class _Source:
    """The embedded store: read in snapshots so short that the server's log can be emptied between them."""

    def __init__(self, folder: Path, db: apsw.Connection) -> None:
        self.folder = folder
        self._db = db
        self._tx = sqlite.SqliteTx(db)

    async def known(self) -> _Source:
        """Itself, having looked what it is."""
        self.tables: Tables = await self.read(moving.tables)
        self.epoch, key = await self.read(meta.identity)
        self.id = hashlib.sha256(self.epoch + key).digest()
        """Tells it from others, and from itself before a restore."""
        return self

    async def read(self, feature: Feature[..., T], *args: Any) -> T:
        """One snapshot."""
        return sqlite.read(self._db, feature(self._tx, *args))

    async def bites(self, convs: Sequence[int], heads: dict[int, int]) -> AsyncIterator[list[Piece]]:
        """What changed in conversations since their heads were these. The frame of each was read first and comes last:
        what is written after it was read will be seen as a change of the frame.
        """
        bite: list[Piece] = []
        for conv in convs:
            frame, parts = await self.read(moving.changed, self.tables, conv, heads.get(conv, 0))
            for part in parts:
                bite += await self.read(moving.read, self.tables, [part])
                if sum(piece.size for piece in bite) >= BITE:
                    yield bite
                    bite = []
            bite.append(frame)
        yield bite


class _Target:
    """The database."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def write(self, feature: Feature[..., T], *args: Any) -> T:
        """One transaction."""
        return await pools.write(self.connection, lambda tx: feature(tx, *args))

    async def read(self, feature: Feature[..., T], *args: Any) -> T:
        """One snapshot."""
        return await pools.read(self.connection, lambda tx: feature(tx, *args))

    async def prepare(self, source: _Source) -> Tables:
        """Make the schema, or find how far the move has come. Returns the tables. Raises DataError."""
        await opening.check_server(self.connection)
        if not await self.connection.fetchval("SELECT pg_try_advisory_lock($1)", ALONE):
            raise DataError("another wirechat store move is running on this database; let it finish")
        return await pools.write(self.connection, lambda tx: self._prepare(tx, source))

    async def _prepare(self, tx: Tx, source: _Source) -> Tables:
        names = await opening.tables(self.connection)
        if moving.STATE in names:
            await self._resume(tx, source)
        elif (where := directory.moved_to(source.folder)) is not None:
            raise DataError(f"the data of {source.folder} was moved to {where} already; start the servers there")
        elif names:
            raise DataError("the database is not empty: it has data of wirechat; give an empty one")
        else:
            await opening.apply(self.connection, migrations("postgres"))
            await moving.begin(tx, source.id)
        return await moving.with_flags(tx, source.tables)

    async def _resume(self, tx: Tx, source: _Source) -> None:
        begun = await moving.resume(tx)
        if begun != source.id:
            raise DataError("a move of other data into this database was begun; empty the database to begin anew")
        if pending("postgres", await meta.applied(tx)):
            raise DataError("an older wirechat has begun this move; empty the database to begin anew")

    async def analyze(self) -> None:
        """The first servers should not plan with what PostgreSQL knew of empty tables."""
        await self.connection.execute("ANALYZE")

    async def name(self) -> str:
        """What the database is called, without a password."""
        row = await self.connection.fetchrow("SELECT current_database(), current_schema()")
        return f"the PostgreSQL database {row[0]}, schema {row[1]}"


class _Move:
    """One run of it."""

    def __init__(self, source: _Source, target: _Target, tables: Tables, tell: Tell) -> None:
        self._source = source
        self._target = target
        self._tables = tables
        """As they are in the target."""
        self._tell = tell

    async def run(self, wait: bool) -> Moved:
        """See `move`."""
        await self._catch_up()
        await self._target.analyze()
        with ExitStack() as stack:
            while not self._alone(stack):
                if not wait:
                    return Moved(False, *await self._target.read(moving.count), 0.0)
                self._tell(WAITING, 0, 0)
                await asyncio.sleep(WAIT_SECONDS)
                await self._catch_up()
            return await self._finish()

    def _alone(self, stack: ExitStack) -> bool:
        """Hold the lock of the directory, if no server has it."""
        try:
            stack.enter_context(directory.locked(self._source.folder, moved=True))
        except InUse:
            return False
        return True

    async def _finish(self) -> Moved:
        began = time.monotonic()
        await self._catch_up()
        for table in moving.apart(self._tables):
            await self._copy_table(table)
            await self._compare_table(table)
        await self._compare_source()
        counted = await self._target.read(moving.count)
        self._mark(await self._target.name())
        await self._target.write(_complete, self._source.epoch, await self._source.read(moving.newest))
        return Moved(True, *counted, time.monotonic() - began)

    def _mark(self, where: str) -> None:
        """From here on no server opens the source. It comes before the end, so that never two can be started."""
        path = self._source.folder / directory.MOVED
        with open(path, "w") as file:
            os.fchmod(file.fileno(), 0o644)  # whoever runs the server has to read it
            file.write(f"{where}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC\n")
            file.flush()
            os.fsync(file.fileno())
        snapshot.flush_directory(self._source.folder)

    # conversations

    async def _catch_up(self) -> None:
        """Copy what was stamped since the last time, and compare it."""
        progress = await self._target.read(moving.progress)
        upto, found = await self._source.read(sync.changed, progress.since)
        convs = [conv for conv, *_ in found if conv > progress.after]
        progress = attrs.evolve(progress, upto=progress.upto if progress.after >= 0 else upto)
        for at in range(0, len(convs), GROUP):
            self._tell("copying", at, len(convs))
            await self._copy(convs[at : at + GROUP])
            progress = attrs.evolve(progress, after=convs[min(at + GROUP, len(convs)) - 1])
            await self._target.write(moving.proceed, progress)
        if found or progress.since != progress.upto:
            await self._target.write(moving.proceed, Progress(progress.upto, progress.upto, -1))
        await self._compare()

    async def _copy(self, convs: Sequence[int]) -> None:
        heads = await self._target.read(moving.heads, convs)
        async for bite in self._source.bites(convs, heads):
            await self._target.write(moving.put, self._tables, bite)

    async def _compare(self) -> None:
        of = await self._target.read(moving.count_unchecked)
        done = 0
        while some := await self._target.read(moving.unchecked, PIECES):
            self._tell("comparing", done, of)
            if (part := await self._target.write(moving.compare, self._tables, some)) is not None:
                raise _differs(part)
            done += len(some)

    async def _compare_source(self) -> None:
        """Read the source once more: that only stamped conversations changed, and which of their blocks, is believed to
        make the copy fast, and not to call it whole.
        """
        _, found = await self._source.read(sync.changed, 0)
        convs = [conv for conv, *_ in found]
        for at in range(0, len(convs), GROUP):
            self._tell("comparing with the source", at, len(convs))
            group = convs[at : at + GROUP]
            here = {piece.place: piece.digest async for bite in self._source.bites(group, {}) for piece in bite}
            there = await self._target.read(moving.digests, group)
            if different := here.items() ^ there.items():
                raise _differs(Part.of(*min(different)[0]))

    # the other tables

    async def _copy_table(self, table: Table) -> None:
        await self._target.write(moving.clear, table)
        after: Any = ()
        while True:
            rows, after = await self._source.read(moving.page, self._source.tables[table.name], after, BITE)
            if not rows:
                return
            await self._target.write(moving.insert, table, rows)

    async def _compare_table(self, table: Table) -> None:
        here = await _digest(self._source, self._source.tables[table.name])
        if here != await _digest(self._target, table):
            raise _differs(f"table {table.name}")


def _differs(what: object) -> Differs:
    return Differs(f"{what}: not the same in the target; empty the database and begin anew")


async def _digest(side: _Source | _Target, table: Table) -> int:
    digest, after = 0, ()
    while True:
        rows, after = await side.read(moving.page, table, after, BITE)
        if not rows:
            return digest
        digest = moving.total((digest, *(moving.row_digest(table.name, row) for row in rows)))


async def _complete(tx: Tx, epoch: bytes, stamp: int) -> None:
    """Tokens hold on: what they say of this epoch is true here, and stamps go on above all that were given there."""
    await meta.settle(tx)
    await moving.finish(tx, stamp)
    await meta.keep_epoch(tx, epoch, await opening.whereabouts(tx))

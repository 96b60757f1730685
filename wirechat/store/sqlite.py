"""The embedded store: SQLite through apsw, WAL with synchronous=FULL (NORMAL loses acknowledged rows in a power cut).

A writer connection on one lane, a reader connection on another. A reader begins its snapshot after whatever was
committed before, so it sees every append whose `done` was called. Features are driven by the lane's thread and never
suspend.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import apsw
import outcome

from wirechat.store import appending, directory, snapshot
from wirechat.store.errors import (
    Damaged,
    DataError,
    NoData,
    OutcomeUnknown,
    StorageFull,
    StoreError,
    Unavailable,
    Violated,
)
from wirechat.store.features import journal, meta
from wirechat.store.lanes import Lane, ThreadLane, finished
from wirechat.store.migrations import Migration, pending
from wirechat.store.records import Append, Commit
from wirechat.store.tx import Feature, Row

P = ParamSpec("P")
T = TypeVar("T")

FILE = "wirechat.db"
COPIES = f"{FILE}.before-*"
"""What the copies from before a migration are called, as a pattern."""

APPLICATION_ID = 0x57435331
"""Marks the file as ours ("WCS1"), so that a foreign database is refused."""

BUSY_MS = 5000
"""How long to wait for another process, such as a backup."""

CHECKPOINT_PAGES = 4000
"""WAL pages between checkpoints: 16 MiB, a fraction of a second of work."""

WAL_BYTES = 64 << 20
"""The log is cut to this when it has grown longer, because a backup held it, and is begun anew."""

CACHE_KIB = 65536

OLDEST = (3, 51, 3)
"""Earlier ones may lose commits of a write-ahead log that is reset while another connection writes."""

_ENVIRONMENT = (
    apsw.BusyError, apsw.LockedError, apsw.IOError, apsw.CantOpenError, apsw.ReadOnlyError, apsw.CorruptError,
    apsw.NotADBError, apsw.NoMemError, apsw.InterruptError, apsw.ProtocolError, apsw.PermissionsError,
    apsw.ConnectionClosedError,
)  # fmt: skip
"""The world failed, not the statement."""


_FORBIDDEN = (apsw.CantOpenError, apsw.ReadOnlyError, apsw.PermissionsError)
NOT_OURS = "run this as the user whose data it is: SQLite writes in its directory, also to read"


class SqliteTx:
    """One transaction as features see it."""

    engine = "sqlite"
    __slots__ = ("_db", "stamp")

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self.stamp: int | None = None

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        """See `Tx`."""
        return self._db.execute(sql, args).fetchall()

    async def fetchrow(self, sql: str, *args: Any) -> Row | None:
        """See `Tx`."""
        row: Row | None = self._db.execute(sql, args).fetchone()
        return row

    async def fetchmany(self, sql: str, rows: Iterable[Sequence[Any]]) -> list[Row]:
        """See `Tx`."""
        return self._db.executemany(sql, rows).fetchall()

    async def execute(self, sql: str, *args: Any) -> None:
        """See `Tx`."""
        self._db.execute(sql, args)

    async def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """See `Tx`."""
        self._db.executemany(sql, rows)


# connections and transactions


def connect(path: str, *, write: bool) -> apsw.Connection:
    """A connection with the pragmas of the house. Raises DataError for a database that is not ours."""
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE if write else apsw.SQLITE_OPEN_READONLY
    db = apsw.Connection(path, flags=flags, statementcachesize=256)
    db.set_busy_timeout(BUSY_MS)
    _check_ours(db)
    db.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)  # else SQLite prepares joins anew for every value that is bound
    db.pragma("cache_size", -CACHE_KIB)
    if write:
        if db.readonly("main"):
            raise DataError(f"cannot use {path}: it may not be written; {NOT_OURS}")
        if db.pragma("journal_mode", "wal") != "wal":
            raise DataError(f"cannot use {path}: its file system has no write-ahead log; use a local disk")
        db.pragma("synchronous", "full")
        db.pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        db.pragma("journal_size_limit", WAL_BYTES)
        db.pragma("secure_delete", True)  # P8: deleted text is overwritten; "fast" leaves overflow pages as they are
    return db


def _check_ours(db: apsw.Connection) -> None:
    mark = db.pragma("application_id")
    if mark != APPLICATION_ID and (mark != 0 or db.execute("SELECT count(*) FROM sqlite_schema").get != 0):
        raise DataError(f"{db.filename} belongs to another program")


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a feature to its end; it must not suspend."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value
    coroutine.close()
    raise RuntimeError("a store feature suspended on SQLite")


def write(db: apsw.Connection, coroutine: Coroutine[Any, Any, T]) -> T:
    """One durable transaction. Raises StoreError by what may be concluded, or what the feature raised."""
    with _told(), _closing(coroutine):
        db.execute("BEGIN IMMEDIATE")
        try:
            result = drive(coroutine)
        except BaseException:
            _rollback(db)
            raise
    _commit(db)
    return result


def read(db: apsw.Connection, coroutine: Coroutine[Any, Any, T]) -> T:
    """One snapshot."""
    with _told(), _closing(coroutine):
        db.execute("BEGIN")
        try:
            return drive(coroutine)
        finally:
            _rollback(db)


@contextmanager
def _told() -> Iterator[None]:
    """What may be concluded from an error before the commit."""
    try:
        yield
    except apsw.FullError as error:
        raise StorageFull(str(error)) from error
    except apsw.ConstraintError as error:
        raise Violated(str(error)) from error
    except _ENVIRONMENT as error:
        raise Unavailable(f"{type(error).__name__}: {error}") from error


@contextmanager
def _closing(coroutine: Coroutine[Any, Any, Any]) -> Iterator[None]:
    """So that one that was never begun leaves no warning."""
    try:
        yield
    finally:
        coroutine.close()


def _commit(db: apsw.Connection) -> None:
    try:
        db.execute("COMMIT")
    except apsw.FullError as error:
        _rollback(db)
        raise StorageFull(str(error)) from error
    except apsw.BusyError as error:
        _rollback(db)
        raise Unavailable(str(error)) from error
    except apsw.Error as error:
        _rollback(db)
        raise OutcomeUnknown(f"{type(error).__name__}: {error}") from error


def _rollback(db: apsw.Connection) -> None:
    if not db.get_autocommit():
        try:
            db.execute("ROLLBACK")
        except apsw.Error:
            pass


# the store


class SqliteStore:
    """See `database.Store`. Appends and writes are committed in the order in which they were started."""

    engine = "sqlite"
    appends_at_once = 1
    """There is one writer, and the more it gets at once the better."""

    def __init__(self, writer: apsw.Connection, reader: apsw.Connection, lanes: tuple[Lane, Lane]) -> None:
        self._writer = writer
        self._reader = reader
        self._write_lane, self._read_lane = lanes
        self.epoch, self.digest_key = read(writer, meta.identity(SqliteTx(writer)))

    def start_append(
        self, batch: Sequence[Append], now_ms: int, known: Mapping[int, int], done: Callable[[Commit], None]
    ) -> None:
        """See `Store`."""

        def tell(result: outcome.Outcome[Commit]) -> None:
            done(result.value if isinstance(result, outcome.Value) else _failed(result, len(batch)))

        self._write_lane.submit(lambda: self._append(batch, now_ms, known), tell)

    def _append(self, batch: Sequence[Append], now_ms: int, known: Mapping[int, int]) -> Commit:
        async def attempt(some: Sequence[Append]) -> Commit:
            return write(self._writer, journal.append(SqliteTx(self._writer), some, now_ms, known))

        return drive(appending.append(attempt, batch))

    async def write(self, feature: Feature[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Store`."""
        return await _on(
            self._write_lane, lambda: write(self._writer, feature(SqliteTx(self._writer), *args, **kwargs))
        )

    async def read(self, feature: Feature[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Store`."""
        return await _on(self._read_lane, lambda: read(self._reader, feature(SqliteTx(self._reader), *args, **kwargs)))

    async def read_ordered(self, feature: Feature[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Store`."""
        return await _on(self._write_lane, lambda: read(self._writer, feature(SqliteTx(self._writer), *args, **kwargs)))

    async def glance(self, feature: Feature[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Store`. Here nothing is saved by it."""
        return await self.read_ordered(feature, *args, **kwargs)


async def _on(lane: Lane, work: Callable[[], T]) -> T:
    return await finished(lambda done: lane.submit(work, done))


def _failed(result: outcome.Outcome[Commit], size: int) -> Commit:
    """Everything that can go wrong with an entry is in a Commit already; this is a closed store, or a bug."""
    assert isinstance(result, outcome.Error)
    error = result.error
    return Commit([error if isinstance(error, StoreError) else Unavailable(repr(error))] * size, {})


# opening


@asynccontextmanager
async def open_sqlite(
    folder: Path | str,
    *,
    lane: Callable[[str], Lane] = ThreadLane,
    connect: Callable[..., apsw.Connection] = connect,
    locked: bool = True,
    copy: bool = True,
    tell: Callable[[str], None] = lambda line: None,
) -> AsyncIterator[SqliteStore]:
    """Open the store in a directory, made if missing; migrate it; close it at the end. Raises DataError.

    `copy`: keep a copy of what is there before a migration; `tell` is given one line when that happens.
    """
    folder = Path(folder)
    with directory.locked(folder) if locked else nullcontext():
        writer, reader = _open(str(folder / FILE), connect, tell if copy else None)
        lanes = (lane("wirechat-writer"), lane("wirechat-reader"))
        try:
            yield SqliteStore(writer, reader, lanes)
        finally:
            for each in lanes:
                await each.aclose()
            reader.close()
            writer.close()


def library() -> tuple[str, list[str]]:
    """SQLite's version, and what it lacks of what the store needs."""
    version = apsw.sqlite_lib_version()
    lacking = [option for option in ("THREADSAFE=1",) if option not in apsw.compile_options]
    if tuple(map(int, version.split("."))) < OLDEST:
        lacking.append(".".join(map(str, OLDEST)))
    return version, lacking


def has_wal(folder: Path) -> bool:
    """Whether a database in this directory can have a write-ahead log; one is really made there, and removed."""
    try:
        probing = tempfile.TemporaryDirectory(dir=folder, prefix=".wirechat-")
        with probing as probe, closing(apsw.Connection(str(Path(probe) / FILE))) as db:
            return bool(db.pragma("journal_mode", "wal") == "wal")
    except (OSError, apsw.Error):
        return False


def exists(folder: Path) -> bool:
    """Whether there is a database in this directory, or something that cannot be looked at."""
    try:
        return (folder / FILE).exists()
    except OSError:
        return True


def refuse_missing(folder: Path) -> None:
    """So that nothing is made where something should be looked at or tended. Raises NoData."""
    if not exists(folder):
        raise NoData(f"cannot find a server's data in {folder}; give the directory of `wirechat serve --data`")


def look(folder: Path | str, feature: Feature[[], T]) -> T:
    """Run a feature in one snapshot of a directory, changing nothing, also while a server runs on it. Raises
    DataError.
    """
    refuse_missing(Path(folder))
    path = str(Path(folder) / FILE)
    with refusing(path), closing(open_reading(path)) as db:
        return read(db, feature(SqliteTx(db)))


def open_reading(path: str) -> apsw.Connection:
    """A connection that changes nothing, to data with the newest schema. Raises DataError."""
    with refusing(path):
        db = connect(path, write=False)
        try:
            have = applied(db)
            if not have:
                raise NoData(f"{path} is empty; correct the directory, or start a server on it")
            if pending("sqlite", have):
                raise DataError(f"{path} comes from an older wirechat; start the server once to bring it up to date")
        except BaseException:
            db.close()
            raise
        return db


def _open(
    path: str, connect: Callable[..., apsw.Connection], copying: Callable[[str], None] | None
) -> tuple[apsw.Connection, apsw.Connection]:
    with refusing(path):
        writer = connect(path, write=True)
        try:
            missing = pending("sqlite", applied(writer))
            if copying and missing and _used(writer):
                _keep_copy(writer, Path(path).with_name(COPIES.replace("*", f"{missing[0].number:04}")), copying)
            _migrate(writer, missing)
            write(writer, meta.identify(SqliteTx(writer), secrets.token_bytes))
            return writer, connect(path, write=False)
        except BaseException:
            writer.close()
            raise


@contextmanager
def refusing(path: str) -> Iterator[None]:
    """What is wrong with a database is one line for the operator. Raises DataError."""
    try:
        yield
    except apsw.NotADBError:
        raise DataError(f"{path} is not a database of wirechat") from None
    except (apsw.Error, Unavailable, OutcomeUnknown) as error:
        cause = error.__cause__ or error
        if isinstance(cause, apsw.CorruptError):
            raise Damaged(f"{path} is damaged: {error}") from None
        advice = f"; {NOT_OURS}" if isinstance(cause, _FORBIDDEN) else ""
        raise DataError(f"cannot use {path}: {error}{advice}") from None


def _keep_copy(db: apsw.Connection, target: Path, tell: Callable[[str], None]) -> None:
    """The way back: an older wirechat refuses what this one has migrated."""
    pages, page = db.pragma("page_count"), db.pragma("page_size")
    free = shutil.disk_usage(target.parent).free
    if free < pages * page:
        raise DataError(
            f"no room for {target}, a copy before the migration: {pages * page >> 20} MiB needed, {free >> 20} free;"
            " make room, or see wirechat store migrate --help"
        )
    tell(f"the data comes from an older wirechat; it is copied to {target}, then migrated")
    with snapshot.part_of(target) as part:
        with snapshot.writing(target):
            taken_ms = snapshot.copy(db, part)
        snapshot.seal(part, target, taken_ms, replace=True)


def _migrate(db: apsw.Connection, missing: Sequence[Migration]) -> None:
    for migration in missing:
        with db:
            db.execute("CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY, checksum TEXT NOT NULL)")
            db.pragma("application_id", APPLICATION_ID)
            db.execute(migration.sql)
            db.execute("INSERT INTO migration VALUES (?, ?)", (migration.number, migration.checksum))


def known(db: apsw.Connection, where: Path) -> None:
    """Raises DataError when there is no data, or when it was migrated otherwise than we would."""
    if not _used(db):
        raise DataError(f"there is no data of wirechat in {where}")
    pending("sqlite", applied(db))


def _used(db: apsw.Connection) -> bool:
    """Whether it was ever opened to the end: a first start that is interrupted leaves migrations without an epoch."""
    return bool(applied(db)) and db.execute("SELECT count(*) FROM meta WHERE name = 'epoch'").get == 1


def applied(db: apsw.Connection) -> list[tuple[int, str]]:
    """(number, checksum) of the migrations that were applied."""
    if db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'migration'").get == 0:
        return []
    applied: list[tuple[Any, ...]] = db.execute("SELECT number, checksum FROM migration ORDER BY number").fetchall()
    return [(number, checksum) for number, checksum in applied]

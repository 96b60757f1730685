"""An open store: the one face of both engines.

`start_append` is the journal's; `write`, `read` and `read_ordered` run a feature in a transaction.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import apsw
import outcome

from wirechat.store import sqlite
from wirechat.store.errors import DataError, StoreError, Unavailable
from wirechat.store.features import journal, meta
from wirechat.store.lanes import Lane, ThreadLane, run_in
from wirechat.store.migrations import pending
from wirechat.store.records import Append, Commit
from wirechat.store.tx import Tx

P = ParamSpec("P")
T = TypeVar("T")
Feature = Callable[Concatenate[Tx, P], Awaitable[T]]

FILE = "wirechat.db"
APPLICATION_ID = 0x57435331
"""Marks the file as ours ("WCS1"), so that a foreign database is refused."""
MEMBERS_MAX = 1000


class Store(Protocol):
    """What the server sees."""

    epoch: bytes
    """Four bytes; another after a restore."""
    digest_key: bytes

    def start_append(
        self, batch: Sequence[Append], now_ms: int, known: Mapping[int, int], done: Callable[[Commit], None]
    ) -> None:
        """Append in one transaction; `done` is called in the Trio thread, in commit order."""

    async def write(self, feature: Feature[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """One durable transaction, in order with the appends."""

    async def read(self, feature: Feature[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """One snapshot; sees every append whose `done` was called."""

    async def read_ordered(self, feature: Feature[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A read whose result arrives after the `done` of every commit it saw."""


class SqliteStore:
    """SQLite: a writer on one lane, a reader on another."""

    engine = "sqlite"

    def __init__(self, writer: apsw.Connection, reader: apsw.Connection, lanes: tuple[Lane, Lane]) -> None:
        self._writer = writer
        self._reader = reader
        self._write_lane, self._read_lane = lanes
        self._write_tx = sqlite.SqliteTx(writer)
        self._read_tx = sqlite.SqliteTx(reader)
        self.epoch = b""
        self.digest_key = b""

    def start_append(
        self, batch: Sequence[Append], now_ms: int, known: Mapping[int, int], done: Callable[[Commit], None]
    ) -> None:
        """See `Store`."""
        self._write_lane.submit(
            lambda: self._append(batch, now_ms, known), lambda result: done(_commit_of(result, len(batch)))
        )

    def _append(self, batch: Sequence[Append], now_ms: int, known: Mapping[int, int]) -> Commit:
        """One transaction; a batch that fails for no known reason is split, so that one bad entry costs only itself."""
        for careful in (False, True):
            run = journal.append(self._write_tx, batch, now_ms, known, MEMBERS_MAX, careful)
            try:
                return sqlite.write(self._writer, run)
            except (journal.SeenBefore, apsw.ConstraintError):
                continue
            except StoreError:
                raise
            except Exception:  # noqa: BLE001  whatever it is, it must cost one entry only
                break
        if len(batch) == 1:
            raise Unavailable("this entry cannot be stored")
        half = len(batch) // 2
        first = _commit_of(outcome.capture(self._append, batch[:half], now_ms, known), half)
        second = _commit_of(outcome.capture(self._append, batch[half:], now_ms, known), len(batch) - half)
        return Commit(first.results + second.results, {**first.members, **second.members})

    async def write(self, feature: Feature[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Store`."""
        return await run_in(
            self._write_lane, lambda: sqlite.write(self._writer, _coroutine(feature, self._write_tx, *args, **kwargs))
        )

    async def read(self, feature: Feature[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Store`."""
        return await run_in(
            self._read_lane, lambda: sqlite.read(self._reader, _coroutine(feature, self._read_tx, *args, **kwargs))
        )

    async def read_ordered(self, feature: Feature[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Store`."""
        return await run_in(
            self._write_lane, lambda: sqlite.read(self._writer, _coroutine(feature, self._write_tx, *args, **kwargs))
        )


def _coroutine(feature: Any, *args: Any, **kwargs: Any) -> Any:
    return feature(*args, **kwargs)


def _commit_of(result: outcome.Outcome[Commit], size: int) -> Commit:
    if isinstance(result, outcome.Value):
        return result.value
    assert isinstance(result, outcome.Error)
    error = result.error
    failed = error if isinstance(error, StoreError) else Unavailable(f"{type(error).__name__}: {error}")
    return Commit([failed] * size, {})


@asynccontextmanager
async def open_sqlite(
    directory: Path | str,
    *,
    lane: Callable[[str], Lane] = ThreadLane,
    connect: Callable[..., apsw.Connection] = sqlite.connect,
    locked: bool = True,
) -> AsyncIterator[SqliteStore]:
    """Open the store in a directory, made if missing; migrate it; close it at the end. Raises DataError."""
    directory = Path(directory)
    with _lock(directory) if locked else _no_lock():
        path = str(directory / FILE)
        writer, reader = _open(path, connect)
        lanes = (lane("wirechat-writer"), lane("wirechat-reader"))
        store = SqliteStore(writer, reader, lanes)
        try:
            store.epoch = await store.write(meta.ensure, "epoch", secrets.token_bytes(4))
            store.digest_key = await store.write(meta.ensure, "digest_key", secrets.token_bytes(32))
            yield store
        finally:
            for each in lanes:
                await each.aclose()
            reader.close()
            writer.close()


def _open(path: str, connect: Callable[..., apsw.Connection]) -> tuple[apsw.Connection, apsw.Connection]:
    try:
        writer = connect(path, write=True)
        _migrate(writer)
        return writer, connect(path, write=False)
    except apsw.NotADBError:
        raise DataError(f"{path} is not a database of wirechat") from None
    except apsw.Error as error:
        raise DataError(f"cannot use {path}: {error}") from None


def _migrate(db: apsw.Connection) -> None:
    mark = db.pragma("application_id")
    if mark == 0 and db.execute("SELECT count(*) FROM sqlite_schema").get == 0:
        db.pragma("application_id", APPLICATION_ID)
    elif mark != APPLICATION_ID:
        raise DataError("this database belongs to another program")
    db.execute("CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY, checksum TEXT NOT NULL)")
    applied = db.execute("SELECT number, checksum FROM migration ORDER BY number").fetchall()
    for migration in pending("sqlite", applied):
        with db:
            db.execute(migration.sql)
            db.execute("INSERT INTO migration VALUES (?, ?)", (migration.number, migration.checksum))


@contextmanager
def _lock(directory: Path) -> Iterator[None]:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise DataError(f"cannot use {directory}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.read(descriptor, 20).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise DataError(f"{directory} is in use by process {holder}; stop it first") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _no_lock() -> Iterator[None]:
    yield

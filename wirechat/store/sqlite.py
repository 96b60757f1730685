"""SQLite through apsw: WAL, synchronous=FULL (NORMAL loses acknowledged rows in a power cut), one writer and one
reader connection.

`Transaction` drives feature coroutines, which must never suspend here.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

import apsw

from wirechat.store.errors import OutcomeUnknown, StorageFull, Unavailable

T = TypeVar("T")
Row = tuple[Any, ...]

BUSY_MS = 5000
"""How long to wait for another process, such as `wirechat user`."""

CHECKPOINT_PAGES = 4000
"""WAL pages between checkpoints: 16 MiB, a fraction of a second of work."""


def connect(path: str, *, write: bool, vfs: str | None = None) -> apsw.Connection:
    """A connection with the pragmas of the house."""
    flags = apsw.SQLITE_OPEN_URI | (
        apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE if write else apsw.SQLITE_OPEN_READONLY
    )
    connection = apsw.Connection(path, flags=flags, vfs=vfs, statementcachesize=256)
    connection.set_busy_timeout(BUSY_MS)
    if write:
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "full")
        connection.pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        connection.pragma("foreign_keys", True)
    connection.pragma("cache_size", -65536)
    return connection


class SqliteTx:
    """One transaction as features see it."""

    engine = "sqlite"
    __slots__ = ("_db",)

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        """All rows."""
        return self._db.execute(sql, args).fetchall()

    async def fetchrow(self, sql: str, *args: Any) -> Row | None:
        """The first row."""
        row: Row | None = self._db.execute(sql, args).fetchone()
        return row

    async def execute(self, sql: str, *args: Any) -> None:
        """No rows."""
        self._db.execute(sql, args)

    async def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Once for each row."""
        self._db.executemany(sql, rows)


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
    try:
        db.execute("BEGIN IMMEDIATE")
        try:
            result = drive(coroutine)
        except BaseException:
            if not db.get_autocommit():
                db.execute("ROLLBACK")
            raise
    except apsw.FullError as error:
        raise StorageFull(str(error)) from error
    except apsw.ConstraintError:
        raise
    except apsw.Error as error:
        raise Unavailable(f"{type(error).__name__}: {error}") from error
    finally:
        coroutine.close()
    _commit(db)
    return result


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


def read(db: apsw.Connection, coroutine: Coroutine[Any, Any, T]) -> T:
    """One snapshot."""
    try:
        db.execute("BEGIN")
        try:
            return drive(coroutine)
        finally:
            _rollback(db)
    except apsw.Error as error:
        raise Unavailable(f"{type(error).__name__}: {error}") from error
    finally:
        coroutine.close()

"""Databases in memory that outlive their connections, as a disk outlives a process.

SQLite's memdb shares a named database between connections of one process. There is no WAL in it: every job of a
lane is one whole transaction that runs inline, so that readers and writer never meet in the middle of one.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import apsw
import attrs

_numbers = itertools.count()
_FLAGS = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI


@contextlib.contextmanager
def files_in_memory() -> Iterator[None]:
    """Within, whoever opens a file with SQLite gets a database in memory that has its path as its name."""
    before = apsw.vfs_names()[0]
    apsw.set_default_vfs("memdb")
    try:
        yield
    finally:
        apsw.set_default_vfs(before)


def copy_file(old: Path, new: Path) -> apsw.Connection:
    """The new file is what is committed in the old one. It lives for as long as the connection, or another to it."""
    target = apsw.Connection(str(new))
    with contextlib.closing(apsw.Connection(str(old))) as source, target.backup("main", source, "main") as backup:
        backup.step(-1)
    return target


@attrs.define
class Trouble:
    """What is wrong with a disk. `rate`: probability that a transaction fails at its begin, and at its commit."""

    rate: float = 0.0
    chance: Random = attrs.field(factory=Random)

    def strikes(self) -> bool:
        return bool(self.rate) and self.chance.random() < self.rate


class TroubledConnection(apsw.Connection):
    """A connection to a disk that may be full, or may fail so that nobody knows what it has written."""

    trouble: Trouble

    def execute(self, statements: str, *args: Any, **kwargs: Any) -> apsw.Cursor:
        if statements in FAILING and self.trouble.strikes():
            FAILING[statements](self)
        return super().execute(statements, *args, **kwargs)

    def fail_to_begin(self) -> None:
        raise self.trouble.chance.choice([apsw.IOError, apsw.BusyError, apsw.FullError])("simulated: cannot begin")

    def fail_to_commit(self) -> None:
        """Full: surely undone. An I/O error: perhaps it was written, perhaps not."""
        error = self.trouble.chance.choice([apsw.FullError, apsw.IOError])
        written = error is apsw.IOError and self.trouble.chance.random() < 0.5
        super().execute("COMMIT" if written else "ROLLBACK")
        raise error("simulated: cannot commit")


FAILING = {
    "BEGIN": TroubledConnection.fail_to_begin,
    "BEGIN IMMEDIATE": TroubledConnection.fail_to_begin,
    "COMMIT": TroubledConnection.fail_to_commit,
}


class MemoryDisk:
    """One database; it lives until `close`."""

    def __init__(self) -> None:
        self.trouble = Trouble()
        self._name = f"file:/simulation-{next(_numbers)}?vfs=memdb"
        self.holder = self.connect()

    def connect(self, path: str = "", *, write: bool = True) -> apsw.Connection:
        """A connection, whatever path is asked for."""
        connection = TroubledConnection(self._name, flags=_FLAGS, statementcachesize=256)
        connection.trouble = self.trouble
        connection.pragma("foreign_keys", True)
        return connection

    def copy(self) -> MemoryDisk:
        """What is committed right now, on a disk of its own."""
        other = MemoryDisk()
        with other.holder.backup("main", self.holder, "main") as backup:
            backup.step(-1)
        return other

    def close(self) -> None:
        self.holder.close()

    def __enter__(self) -> MemoryDisk:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

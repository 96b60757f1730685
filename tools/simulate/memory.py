"""Databases in memory that outlive their connections, as a disk outlives a process.

SQLite's memdb shares a named database between connections of one process. There is no WAL in it: every job of a
lane is one whole transaction that runs inline, so that readers and writer never meet in the middle of one.
"""

from __future__ import annotations

import itertools
from typing import Any

import apsw

_numbers = itertools.count()
_FLAGS = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI


class MemoryDisk:
    """One database; it lives until `close`."""

    def __init__(self) -> None:
        self._name = f"file:/simulation-{next(_numbers)}?vfs=memdb"
        self.holder = self.connect()

    def connect(self, path: str = "", *, write: bool = True) -> apsw.Connection:
        """A connection, whatever path is asked for."""
        connection = apsw.Connection(self._name, flags=_FLAGS)
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

"""Databases in memory that outlive their connections, as a disk outlives a process.

SQLite's memdb shares a named database between connections of one process. There is no WAL in it: every job of a
lane is one whole transaction that runs inline, so that readers and writers, also those of several nodes, never meet in
the middle of one.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, NoReturn

import apsw
import attrs
import trio

from tools.simulate.file import DeviceFile
from wirechat.store.features import sync

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


class MemoryFile:
    """The file of one device at one of those paths; it lives until `close`."""

    def __init__(self, path: Path, old: Path | None = None) -> None:
        """Empty, or what is committed in the old one."""
        self._alive = apsw.Connection(str(path))
        if old is not None:
            with (
                contextlib.closing(apsw.Connection(str(old))) as source,
                self._alive.backup("main", source, "main") as b,
            ):
                b.step(-1)
        self.content = DeviceFile(path)
        """What is in it; of use once a client has made its tables."""

    def close(self) -> None:
        self.content.close()
        self._alive.close()


@attrs.define
class Trouble:
    """What is wrong between one process and its database."""

    rate: float = 0.0
    """Probability that a transaction fails at its begin, and at its commit."""
    chance: Random = attrs.field(factory=Random)
    away_until: float = 0.0
    """Until then no transaction begins: the database is out of reach."""

    def strikes(self) -> bool:
        return self._is_away() or (bool(self.rate) and self.chance.random() < self.rate)

    def _is_away(self) -> bool:
        return bool(self.away_until) and trio.current_time() < self.away_until


@attrs.define
class Room:
    """Whether what is written finds room on a disk."""

    full_until: float = 0.0
    refused: int = 0
    """Transactions for which there was none."""

    def is_full(self) -> bool:
        return bool(self.full_until) and trio.current_time() < self.full_until


OVERLAP_SECONDS = 2.0
"""How long a transaction that has begun may take at most until it commits, or is given up."""


@attrs.define
class Overlap:
    """Stamps as PostgreSQL gives them: a transaction has its stamp from its beginning, and others that began after it
    may commit before it. `rate`: probability that some have begun and not committed when another begins.

    Those of nodes that share the database begin when a lane takes them up, and end when it has run them. Others that
    have begun are stamps put by: a later transaction takes one of them, or it was given up.
    """

    rate: float = 0.0
    chance: Random = attrs.field(factory=Random)
    matters: bool = False
    """SQLite's own counter does not do."""
    begun: dict[int, float] = attrs.field(factory=dict)
    """Stamps put by -> when each is given up."""
    running: set[int] = attrs.field(factory=set)
    """Stamps of what the lanes have begun."""
    current: int | None = None
    """The one of these that a lane is just running."""
    highest: int = 0
    late: int = 0
    """Transactions that took a stamp below one that was given before."""

    def begin(self) -> int:
        """A transaction begins in a lane."""
        stamp = self._draw()
        self.running.add(stamp)
        return stamp

    def end(self, stamp: int) -> None:
        """It has committed, or never will."""
        self.running.discard(stamp)

    def stamp(self, given: int) -> int:
        """The stamp of a transaction; `given`: the highest of those that have committed."""
        self.highest = max(self.highest, given)
        if self.current is None:
            return self._draw()
        stamp, self.current = self.current, None
        self.late += stamp < self.highest
        return stamp

    def _draw(self) -> int:
        self._give_up()
        if self.begun and self.chance.random() < 0.5:
            self.late += 1
            stamp = self.chance.choice(sorted(self.begun))
            del self.begun[stamp]
            return stamp
        if self.chance.random() < self.rate:
            for _ in range(self.chance.randint(1, 3)):
                self.highest += 1
                self.begun[self.highest] = trio.current_time() + self.chance.uniform(0, OVERLAP_SECONDS)
        self.highest += 1
        return self.highest

    def horizon(self, given: int) -> int:
        """The oldest that has begun and not ended, or the next. Who asks has no stamp yet."""
        self._give_up()
        self.highest = max(self.highest, given)
        others = self.running - {self.current}
        return min([*self.begun, *others, self.highest + 1])

    def _give_up(self) -> None:
        now = trio.current_time()
        self.begun = {stamp: end for stamp, end in self.begun.items() if end > now}


class TroubledConnection(apsw.Connection):
    """A connection to a disk that may be full, or may fail so that nobody knows what it has written."""

    trouble: Trouble
    room: Room
    overlap: Overlap

    def execute(self, statements: str, *args: Any, **kwargs: Any) -> apsw.Cursor:
        if statements in FAILING and self.trouble.strikes():
            FAILING[statements](self)
        if statements == "COMMIT" and self.room.is_full():
            self.fill_up()
        if self.overlap.matters and statements in OVERLAPPING:
            return OVERLAPPING[statements](self)
        return super().execute(statements, *args, **kwargs)

    def fill_up(self) -> NoReturn:
        """What was to be committed finds no room."""
        self.room.refused += 1
        super().execute("ROLLBACK")
        raise apsw.FullError("simulated: the disk is full")

    def stamp(self) -> apsw.Cursor:
        stamp = self.overlap.stamp(self._given())
        super().execute("UPDATE stamp SET value = max(value, ?)", (stamp,))
        return super().execute("SELECT ?", (stamp,))

    def horizon(self) -> apsw.Cursor:
        return super().execute("SELECT ?", (self.overlap.horizon(self._given()),))

    def _given(self) -> int:
        return int(super().execute("SELECT value FROM stamp").get)

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


OVERLAPPING = {
    sync._STAMP["sqlite"]: TroubledConnection.stamp,
    sync._HORIZON["sqlite"]: TroubledConnection.horizon,
}


class MemoryDisk:
    """One database; it lives until `close`."""

    def __init__(self) -> None:
        self.room = Room()
        self.overlap = Overlap()
        self._name = f"file:/simulation-{next(_numbers)}?vfs=memdb"
        self.holder = self.connect()

    def connect(self, path: str = "", *, write: bool = True, trouble: Trouble | None = None) -> apsw.Connection:
        """A connection, whatever path is asked for. `trouble`: of the process that it belongs to."""
        connection = TroubledConnection(self._name, flags=_FLAGS, statementcachesize=256)
        connection.trouble = trouble or Trouble()
        connection.room = self.room
        connection.overlap = self.overlap
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

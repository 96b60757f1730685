"""Every state the store may be in, as databases that never lose power.

A transaction that was answered is done in each of them, and those that answer otherwise are none. One whose outcome
is unknown doubles them. After a cut the store must be in one of them, row by row, perhaps with the first few of the
transactions that nobody heard of. Those it is without may still come: what they left in the log may be completed by
the first bytes of a later transaction, and is found if the power goes just then. A commit ends that.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import apsw
import attrs

from tools.simulate.memory import MemoryDisk
from wirechat.store import migrations, sqlite
from wirechat.store.errors import Violated
from wirechat.store.records import Append
from wirechat.store.sqlite import SqliteTx
from wirechat.store.tx import Row, Tx

State = dict[str, list[Row]]
"""Every table of ours and its rows."""


@attrs.frozen
class Transaction:
    """A feature and its arguments; of an append, also its batch."""

    feature: Callable[..., Coroutine[Any, Any, Any]]
    args: tuple[Any, ...]
    batch: tuple[Append, ...] = ()

    def run(self, db: apsw.Connection) -> Any:
        """In a database that is sound."""
        return sqlite.write(db, self.feature(SqliteTx(db), *self.args))

    def __str__(self) -> str:
        if self.batch:
            return "append " + ", ".join(f"{item.kind}:{item.cid.hex()}@{item.conv}" for item in self.batch)
        return self.feature.__module__.rpartition(".")[2] + "." + self.feature.__name__


class Worlds:
    """What is possible; nothing before the first opening."""

    def __init__(self) -> None:
        self._possible: list[MemoryDisk] = []
        self._ghosts: list[tuple[Transaction, ...]] = []
        """What nobody heard of in earlier lives and was not found, each in its order."""

    @property
    def begun(self) -> bool:
        """Whether the store was ever open."""
        return bool(self._possible)

    def begin(self, state: State) -> None:
        """The first is an empty store that is called as the one that opened."""
        world = MemoryDisk()
        for migration in migrations.migrations("sqlite"):
            world.holder.execute(migration.sql)
        world.holder.executemany("INSERT INTO meta (name, value) VALUES (?, ?)", state["meta"])
        self._possible.append(world)

    def answered(self, transaction: Transaction, result: Any) -> str | None:
        """It is done; what is wrong with this answer, if anything is."""
        before = self._changes()
        expected = [(world, transaction.run(world.holder)) for world in self._possible]
        if self._changes() != before:
            self._ghosts.clear()
        kept = [world for world, would in expected if would == result]
        if not kept:
            return f"P2 {transaction} was answered {SHORT.repr(result)}, should be {SHORT.repr(expected[0][1])}"
        self._keep(kept)
        return None

    def unknown(self, transaction: Transaction) -> None:
        """It is done or it is not."""
        self._ghosts.append((transaction,))
        copies = [world.copy() for world in self._possible]
        for world in copies:
            transaction.run(world.holder)
        self._possible += copies

    def failed(self, transaction: Transaction) -> None:
        """It was surely not executed. But one that only counts a commit, since everything in it is refused or known
        already, leaves one frame in the log, and the next transaction begins with the same bytes: if the power goes
        just then, it is counted after all. Whatever says anything takes more frames, which nobody writes a second time.
        """
        if all(_only_counts(transaction, world) for world in self._possible):
            self._ghosts.append((transaction,))

    def _changes(self) -> list[int]:
        """How many rows were ever changed in each world."""
        return [world.holder.total_changes() for world in self._possible]

    def find(self, state: State, unanswered: Sequence[Transaction]) -> str | None:
        """The store is in this state; what is wrong with it, if anything is. `unanswered`: in their order."""
        paths = [tuple(path) for path in (*self._ghosts, unanswered) if path]
        differences = []
        for path in ((), *paths):
            for world in self._possible:
                later = world.copy()
                for done in range(bool(path), len(path) + 1):
                    if done and not _come(path[done - 1], later):
                        break
                    difference = _difference(world_state(later), state)
                    if difference is None:
                        self._keep([later])
                        self._ghosts = [path[done:]] if done else paths
                        return None
                    differences.append(difference)
                later.close()
        return f"P1 the store is in none of {len(differences)} possible states: {differences}"

    def _keep(self, worlds: Sequence[MemoryDisk]) -> None:
        for world in self._possible:
            if world not in worlds:
                world.close()
        self._possible = list(worlds)

    def close(self) -> None:
        """Forget all."""
        self._keep([])


def _come(transaction: Transaction, world: MemoryDisk) -> bool:
    """Do it. It cannot come to a world in which it is done already and that has no room for it twice."""
    try:
        transaction.run(world.holder)
    except Violated:
        return False
    return True


def _only_counts(transaction: Transaction, world: MemoryDisk) -> bool:
    later = world.copy()
    before = world_state(later)
    after = world_state(later) if _come(transaction, later) else before
    later.close()
    return before | {"stamp": []} == after | {"stamp": []}


TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('migration', 'upgraded') ORDER BY name"


async def state(tx: Tx) -> State:
    """All there is, but for what migrations leave."""
    return {name: await tx.fetch(f"SELECT * FROM {name}") for (name,) in await tx.fetch(TABLES)}


def world_state(world: MemoryDisk) -> State:
    """The same of a world."""
    return sqlite.read(world.holder, state(SqliteTx(world.holder)))


SHORT = reprlib.Repr()
SHORT.maxlist, SHORT.maxtuple = 2, 15


def _difference(expected: State, found: State) -> str | None:
    for table in sorted(expected.keys() | found.keys()):
        should, rows = expected.get(table, []), found.get(table, [])
        if should != rows:
            missing = [row for row in should if row not in rows]
            extra = [row for row in rows if row not in should]
            return f"{table} lacks {SHORT.repr(missing)} and has {SHORT.repr(extra)}"
    return None

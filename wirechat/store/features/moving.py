"""A store in pieces, each small enough to be read in one go, written into another store, and compared there.

A conversation is a frame (its row, its members, its watermarks) and blocks of a thousand entries with what hangs on
them. What belongs to no conversation is moved table by table, in pages. Columns are those that the tables have, so that
no migration has to think of this. A digest does not depend on the order of the rows, which engines sort differently.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import attrs

from wirechat.store.records import ACCOUNT
from wirechat.store.tx import Row, Tx

STATE = "moving"
"""The table that says how far a move into this database has come; gone when it is over."""

BLOCK = 1000
"""Entries of a block, by seq."""
FRAME = -1
"""In the place of the number of a block."""

_FRAME = ("conv", "conv_rc", "member", "past_period", "mark")
_BLOCK = ("entry", "reaction", "mention")
_OTHERWISE = ("migration", "stamp")
"""What each engine has for itself."""

_STATE = f"""
    CREATE TABLE {STATE} (
        one BIGINT PRIMARY KEY CHECK (one = 1),
        source BYTEA NOT NULL,
        since BIGINT NOT NULL,
        upto BIGINT NOT NULL,
        after BIGINT NOT NULL
    );
    CREATE TABLE moved (
        conv BIGINT NOT NULL, block BIGINT NOT NULL, digest BYTEA NOT NULL, checked BOOLEAN NOT NULL,
        PRIMARY KEY (conv, block)
    );
    CREATE INDEX moved_unchecked ON moved (conv, block) WHERE NOT checked;
"""


@attrs.frozen
class Table:
    """What is known of one."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    flags: frozenset[str] = frozenset()
    """Columns that are booleans on PostgreSQL; elsewhere, and here, they are 0 and 1."""

    def select(self, where: str = "") -> str:
        """Its rows, alike on both engines."""
        columns = ", ".join(f"{name}::int" if name in self.flags else name for name in self.columns)
        return f"SELECT {columns} FROM {self.name} {where}"

    @property
    def insert(self) -> str:
        """A row as it was selected."""
        places = [
            f"${number}::int::boolean" if name in self.flags else f"${number}"
            for number, name in enumerate(self.columns, 1)
        ]
        return f"INSERT INTO {self.name} ({', '.join(self.columns)}) VALUES ({', '.join(places)})"

    def piece(self, row: Row) -> tuple[int, int]:
        """(conv, block) of the piece a row belongs to."""
        conv = row[self.columns.index("conv")]
        return conv, (row[self.columns.index("seq")] - 1) // BLOCK if self.name in _BLOCK else FRAME


Tables = Mapping[str, Table]

_COLUMNS = """
    SELECT t.name, c.name, c.pk FROM sqlite_schema t, pragma_table_info(t.name) c
    WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' ORDER BY t.name, c.cid
"""
_FLAGS = (
    "SELECT table_name, column_name FROM information_schema.columns"
    " WHERE table_schema = current_schema() AND data_type = 'boolean'"
)


async def tables(tx: Tx) -> Tables:
    """Those of an embedded store."""
    columns: dict[str, dict[str, int]] = {}
    for table, column, key in await tx.fetch(_COLUMNS):
        columns.setdefault(table, {})[column] = key
    return {
        name: Table(name, tuple(keys), tuple(sorted(filter(keys.get, keys), key=keys.__getitem__)))
        for name, keys in columns.items()
        if name not in _OTHERWISE
    }


async def with_flags(tx: Tx, known: Tables) -> Tables:
    """The same tables in this PostgreSQL."""
    flags = {tuple(row) for row in await tx.fetch(_FLAGS)}
    return {
        name: attrs.evolve(table, flags=frozenset(column for column in table.columns if (name, column) in flags))
        for name, table in known.items()
    }


def apart(known: Tables) -> list[Table]:
    """Those whose rows belong to no conversation."""
    return [table for name, table in sorted(known.items()) if name not in _FRAME + _BLOCK]


# pieces


@attrs.frozen
class Part:
    """Where a piece is in its store."""

    conv: int
    block: int
    hi: int
    """The highest seq that belongs to it."""

    @classmethod
    def of(cls, conv: int, block: int, head: int | None = None) -> Part:
        """A whole one, or up to a head."""
        last = (block + 1) * BLOCK
        return cls(conv, block, last if head is None else min(last, head))

    @property
    def tables(self) -> Sequence[str]:
        """Where its rows are."""
        return _FRAME if self.block == FRAME else _BLOCK

    @property
    def where(self) -> str:
        """Which rows they are there."""
        return "WHERE conv = $1" if self.block == FRAME else "WHERE conv = $1 AND seq > $2 AND seq <= $3"

    @property
    def parameters(self) -> tuple[int, ...]:
        """Of `where`."""
        return (self.conv,) if self.block == FRAME else (self.conv, self.block * BLOCK, self.hi)

    def __str__(self) -> str:
        if self.block == FRAME:
            return f"conversation {self.conv}, its members and watermarks"
        return f"conversation {self.conv}, entries {self.block * BLOCK + 1} to {self.hi}"


@attrs.frozen
class Piece:
    """What is there."""

    part: Part
    rows: Mapping[str, list[Row]]
    """By table."""

    @property
    def place(self) -> tuple[int, int]:
        """(conv, block)."""
        return self.part.conv, self.part.block

    @property
    def size(self) -> int:
        """How many rows."""
        return sum(map(len, self.rows.values()))

    @property
    def digest(self) -> bytes:
        """Of all its rows."""
        return total(row_digest(table, row) for table, rows in self.rows.items() for row in rows).to_bytes(16)


def row_digest(table: str, row: Row) -> int:
    """One row."""
    return int.from_bytes(hashlib.blake2b(f"{table} {row!r}".encode(), digest_size=16).digest())


def total(digests: Iterable[int]) -> int:
    """Many rows, in any order."""
    return sum(digests) % (1 << 128)


async def read(tx: Tx, known: Tables, parts: Sequence[Part]) -> list[Piece]:
    """Pieces as they are now. One round trip a table."""
    found = [Piece(part, {name: [] for name in part.tables}) for part in parts]
    places = {piece.place: piece for piece in found}
    for name in (*_FRAME, *_BLOCK):
        table, here = known[name], [part for part in parts if name in part.tables]
        where = here[0].where if here else ""
        for row in await tx.fetchmany(table.select(where), [part.parameters for part in here]):
            places[table.piece(row)].rows[name].append(row)
    return found


async def changed(tx: Tx, known: Tables, conv: int, before: int) -> tuple[Piece, list[Part]]:
    """The frame of a conversation, and the blocks that are not as they were when its head was `before`.

    An entry changes the rows of what it is about, and when it deletes a message those of its edits; with them what
    hangs on them.
    """
    (frame,) = await read(tx, known, [Part.of(conv, FRAME)])
    row = await tx.fetchrow("SELECT head FROM conv WHERE conv = $1", conv)
    assert row is not None
    targets = await tx.fetch(
        "SELECT DISTINCT target FROM entry WHERE conv = $1 AND seq > $2 AND target <= $2", conv, before
    )
    edits = await tx.fetchmany(
        "SELECT seq FROM entry WHERE conv = $1 AND ref = $2 AND kind = 2 AND seq <= $3",
        [(conv, target, before) for (target,) in targets],
    )
    blocks = {(seq - 1) // BLOCK for (seq,) in (*targets, *edits)}
    if row[0] > before:
        blocks.update(range(before // BLOCK, (row[0] - 1) // BLOCK + 1))
    return frame, [Part.of(conv, block, row[0]) for block in sorted(blocks)]


async def heads(tx: Tx, convs: Sequence[int]) -> dict[int, int]:
    """conv -> head, of those that are there."""
    return dict(await tx.fetchmany("SELECT conv, head FROM conv WHERE conv = $1", [(conv,) for conv in convs]))


async def put(tx: Tx, known: Tables, pieces: Sequence[Piece]) -> None:
    """Write them in the place of what was there, and note what was written."""
    for name in (*_FRAME, *_BLOCK):
        here = [piece for piece in pieces if name in piece.rows]
        if here:
            where = here[0].part.where
            whole = [Part.of(piece.part.conv, piece.part.block).parameters for piece in here]
            await tx.executemany(f"DELETE FROM {name} {where}", whole)
            await tx.executemany(known[name].insert, [row for piece in here for row in piece.rows[name]])
    await tx.executemany(
        "INSERT INTO moved (conv, block, digest, checked) VALUES ($1, $2, $3, FALSE)"
        " ON CONFLICT (conv, block) DO UPDATE SET digest = excluded.digest, checked = FALSE",
        [(*piece.place, piece.digest) for piece in pieces],
    )


# comparing


async def unchecked(tx: Tx, limit: int) -> list[tuple[Part, bytes]]:
    """Pieces not yet compared, and their digests where they came from."""
    rows = await tx.fetch(
        "SELECT conv, block, digest FROM moved WHERE NOT checked ORDER BY conv, block LIMIT $1", limit
    )
    return [(Part.of(conv, block), digest) for conv, block, digest in rows]


async def count_unchecked(tx: Tx) -> int:
    """How many."""
    row = await tx.fetchrow("SELECT count(*) FROM moved WHERE NOT checked")
    assert row is not None
    return int(row[0])


async def compare(tx: Tx, known: Tables, some: Sequence[tuple[Part, bytes]]) -> Part | None:
    """The first that is not what it was where it came from; without one they are noted as checked."""
    pieces = await read(tx, known, [part for part, _ in some])
    for piece, (part, digest) in zip(pieces, some, strict=True):
        if piece.digest != digest:
            return part
    await tx.executemany(
        "UPDATE moved SET checked = TRUE WHERE conv = $1 AND block = $2", [(part.conv, part.block) for part, _ in some]
    )
    return None


async def digests(tx: Tx, convs: Sequence[int]) -> dict[tuple[int, int], bytes]:
    """(conv, block) -> digest, of all pieces of these conversations."""
    rows = await tx.fetchmany("SELECT conv, block, digest FROM moved WHERE conv = $1", [(conv,) for conv in convs])
    return {(conv, block): digest for conv, block, digest in rows}


async def count(tx: Tx) -> tuple[int, int]:
    """(conversations without account logs, entries of all logs): as `verify` and `backup` count."""
    row = await tx.fetchrow(f"SELECT count(CASE WHEN kind <> {ACCOUNT} THEN 1 END), coalesce(sum(head), 0) FROM conv")
    assert row is not None
    return int(row[0]), int(row[1])


# tables


async def page(tx: Tx, table: Table, after: Row, limit: int) -> tuple[list[Row], Row]:
    """(rows in the order of their key, the key of the last): those after a key, () = from the first."""
    key = ", ".join(table.key)
    places = ", ".join(f"${number}" for number in range(1, len(after) + 1))
    where = f"WHERE ({key}) > ({places})" if after else ""
    rows = await tx.fetch(table.select(f"{where} ORDER BY {key} LIMIT ${len(after) + 1}"), *after, limit)
    at = [table.columns.index(name) for name in table.key]
    return rows, tuple(rows[-1][index] for index in at) if rows else ()


async def clear(tx: Tx, table: Table) -> None:
    """No rows."""
    await tx.execute(f"DELETE FROM {table.name}")


async def insert(tx: Tx, table: Table, rows: Sequence[Row]) -> None:
    """More rows."""
    await tx.executemany(table.insert, rows)


# how far it is


@attrs.frozen
class Progress:
    """What was stamped before `since` is copied; a pass over what was stamped since has come to `after`, and when it is
    through, so is what was stamped before `upto`.
    """

    since: int
    upto: int
    after: int


async def begin(tx: Tx, source: bytes) -> None:
    """A move begins; `source` tells where from."""
    for statement in _STATE.split(";")[:-1]:
        await tx.execute(statement)
    await tx.execute(f"INSERT INTO {STATE} (one, source, since, upto, after) VALUES (1, $1, 0, 0, -1)", source)


async def resume(tx: Tx) -> bytes:
    """It goes on, and everything is compared once more. Returns its source."""
    await tx.execute("UPDATE moved SET checked = FALSE WHERE checked")
    row = await tx.fetchrow(f"SELECT source FROM {STATE}")
    assert row is not None
    return bytes(row[0])


async def progress(tx: Tx) -> Progress:
    """How far it is."""
    row = await tx.fetchrow(f"SELECT since, upto, after FROM {STATE}")
    assert row is not None
    return Progress(*row)


async def proceed(tx: Tx, to: Progress) -> None:
    """So far it is now."""
    await tx.execute(f"UPDATE {STATE} SET since = $1, upto = $2, after = $3", to.since, to.upto, to.after)


async def newest(tx: Tx) -> int:
    """The newest stamp of an embedded store."""
    row = await tx.fetchrow("SELECT value FROM stamp")
    assert row is not None
    return int(row[0])


async def finish(tx: Tx, stamp: int) -> None:
    """All is there: stamps go on above this one, and servers may open it."""
    await tx.execute("UPDATE stamp SET value = $1", stamp)
    await tx.execute(f"DROP TABLE moved, {STATE}")

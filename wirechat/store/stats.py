"""What is in a store, in numbers: no text, no names. For operators, beside a running server, on both engines."""

from __future__ import annotations

import shutil
from pathlib import Path

import attrs

from wirechat.store import sqlite
from wirechat.store.records import ACCOUNT, DIRECT, GROUP, Kind
from wirechat.store.tx import Tx

LARGEST = 10

_COUNTS = """
    SELECT (SELECT max(number) FROM migration), (SELECT count(*) FROM account), (SELECT count(*) FROM device),
           (SELECT count(*) FROM conv WHERE kind <> $1), (SELECT count(*) FROM conv WHERE kind = $1),
           (SELECT count(*) FROM conv WHERE kind = $2), (SELECT count(*) FROM conv WHERE kind = $3),
           (SELECT count(*) FROM reaction)
"""
_LARGEST = """
    SELECT c.conv, c.kind, c.head, (SELECT count(*) FROM member m WHERE m.conv = c.conv AND m.until IS NULL)
    FROM conv c ORDER BY c.head DESC, c.conv LIMIT $1
"""
_TABLES = {
    "sqlite": "SELECT coalesce(s.tbl_name, d.name), sum(d.pgsize) FROM dbstat d LEFT JOIN sqlite_schema s"
    " ON s.name = d.name WHERE d.aggregate = TRUE GROUP BY 1 ORDER BY 2 DESC, 1",
    "postgres": "SELECT t.relname, sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c"
    " JOIN pg_class t ON t.oid = coalesce(pg_partition_root(c.oid), c.oid)"
    " WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' GROUP BY 1 ORDER BY 2 DESC, 1",
}


@attrs.frozen
class Table:
    """A table with its indexes and partitions."""

    name: str
    bytes: int


@attrs.frozen
class Conversation:
    """One of the largest."""

    conv: int
    kind: int
    """As in the protocol: 1 direct, 2 group, 6 account log."""
    entries: int
    members: int


@attrs.frozen
class Stats:
    """What is in a store."""

    engine: str
    schema: int
    """The number of the last migration."""
    accounts: int
    devices: int
    conversations: int
    """Of all kinds, without account logs; as `verify` and `backup` count."""
    account_logs: int
    direct: int
    groups: int
    entries: int
    """In all logs, account logs too: messages, edits, deletes, reactions, membership."""
    messages: int
    """Deleted ones too."""
    deleted: int
    edits: int
    reactions: int
    """Those that stand."""
    bytes: int
    """Of the database, its free pages too."""
    free_bytes: int
    """In pages of the file that hold nothing now, which `wirechat store vacuum` gives back. 0 on PostgreSQL."""
    tables: tuple[Table, ...]
    """The largest first."""
    largest: tuple[Conversation, ...]
    wal_bytes: int = 0
    """Of SQLite's log."""
    disk_free: int = 0
    """Bytes free where the data lies. 0 on PostgreSQL."""


def of_directory(folder: Path) -> Stats:
    """Of an embedded store, also while a server runs on it. Reads the whole file. Raises DataError."""
    found = sqlite.look(folder, stats)
    log = folder / (sqlite.FILE + "-wal")
    wal_bytes = log.stat().st_size if log.exists() else 0
    return attrs.evolve(found, wal_bytes=wal_bytes, disk_free=shutil.disk_usage(folder).free)


async def stats(tx: Tx) -> Stats:
    """Count everything in one snapshot."""
    counts = await tx.fetchrow(_COUNTS, ACCOUNT, DIRECT, GROUP)
    assert counts is not None
    schema, accounts, devices, conversations, account_logs, direct, groups, reactions = counts
    kinds = {kind: (count, whole) for kind, count, whole in await tx.fetch(_KINDS)}
    messages, whole = kinds.get(Kind.MSG, (0, 0))
    tables = tuple(Table(str(name), int(size)) for name, size in await tx.fetch(_TABLES[tx.engine]))
    size, free = await _size(tx, tables)
    largest = await tx.fetch(_LARGEST, LARGEST)
    return Stats(
        engine=tx.engine, schema=schema, accounts=accounts, devices=devices, conversations=conversations,
        account_logs=account_logs, direct=direct, groups=groups, entries=sum(count for count, _ in kinds.values()),
        messages=messages, deleted=messages - whole, edits=kinds.get(Kind.EDIT, (0, 0))[0], reactions=reactions,
        bytes=size, free_bytes=free, tables=tables,
        largest=tuple(Conversation(conv, kind, head, members) for conv, kind, head, members in largest),
    )  # fmt: skip


_KINDS = "SELECT kind, count(*), count(content) FROM entry GROUP BY kind"


async def _size(tx: Tx, tables: tuple[Table, ...]) -> tuple[int, int]:
    """(bytes, of these free)."""
    if tx.engine != "sqlite":
        return sum(table.bytes for table in tables), 0
    pages, free, page = [
        row[0] for name in ("page_count", "freelist_count", "page_size") for row in await tx.fetch(f"PRAGMA {name}")
    ]
    return pages * page, free * page

"""What the store knows of itself: its epoch, the key of its digests, and on PostgreSQL where it lives."""

from __future__ import annotations

from collections.abc import Callable

from wirechat.store.tx import Tx

EPOCH_BYTES, KEY_BYTES = 4, 32


async def identify(tx: Tx, draw: Callable[[int], bytes]) -> None:
    """Draw what is not there yet."""
    for name, size in (("epoch", EPOCH_BYTES), ("digest_key", KEY_BYTES)):
        await tx.execute("INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING", name, draw(size))


async def identity(tx: Tx) -> tuple[bytes, bytes]:
    """(epoch, key of digests)."""
    epoch, key = await tx.fetchmany("SELECT value FROM meta WHERE name = $1", [("epoch",), ("digest_key",)])
    return epoch[0], key[0]


async def newest(tx: Tx) -> int:
    """The time of the newest entry in ms, or 0."""
    row = await tx.fetchrow("SELECT coalesce(max(last_ts), 0) FROM conv")
    assert row is not None
    return int(row[0])


async def applied(tx: Tx) -> list[tuple[int, str]]:
    """(number, checksum) of the migrations the data has seen."""
    return [tuple(row) for row in await tx.fetch("SELECT number, checksum FROM migration ORDER BY number")]


_SIZE = {
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
    "postgres": "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class"
    " WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'm')",
}


async def size(tx: Tx) -> int:
    """Bytes of the data on disk, indexes included, the write-ahead log not."""
    row = await tx.fetchrow(_SIZE[tx.engine])
    assert row is not None
    return int(row[0])


async def renew_epoch(tx: Tx, draw: Callable[[int], bytes]) -> bytes:
    """Draw another epoch: what clients know of the logs proves nothing any more. Returns it."""
    before, _ = await identity(tx)
    while (epoch := draw(EPOCH_BYTES)) == before:
        pass
    await tx.execute("UPDATE meta SET value = $1 WHERE name = $2", epoch, "epoch")
    return epoch


async def keep_epoch(tx: Tx, epoch: bytes, here: bytes) -> None:
    """PostgreSQL: tokens of the place the data came from hold, as long as it is `here`."""
    await tx.execute(
        "INSERT INTO meta (name, value) VALUES ('kept_epoch', $1)"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        epoch + here,
    )


async def kept_epoch(tx: Tx, here: bytes) -> bytes | None:
    """The epoch the data came with, if it is still where it was moved to."""
    row = await tx.fetchrow("SELECT value FROM meta WHERE name = 'kept_epoch'")
    return row[0][:EPOCH_BYTES] if row is not None and row[0][EPOCH_BYTES:] == here else None


async def place(tx: Tx) -> str:
    """PostgreSQL: server, timeline, database and table; another one after a restore, a failover or a move."""
    row = await tx.fetchrow(
        "SELECT concat_ws(' ', system_identifier, left(pg_walfile_name(pg_current_wal_lsn()), 8),"
        " (SELECT oid FROM pg_database WHERE datname = current_database()), 'entry'::regclass::oid)"
        " FROM pg_control_system()"
    )
    assert row is not None
    return str(row[0])


async def settle(tx: Tx) -> None:
    """PostgreSQL: when the data came from another server, go on above the stamps that were given there."""
    server = await tx.fetchrow("SELECT system_identifier FROM pg_control_system()")
    known = await tx.fetchrow("SELECT system FROM stamp")
    assert server is not None
    if known is None:
        await tx.execute("INSERT INTO stamp (one, value, system) VALUES (1, 0, $1)", server[0])
    elif known != server:
        await tx.execute(
            "UPDATE stamp SET system = $1, value = greatest(value, (SELECT max(stamp) FROM conv),"
            " (SELECT max(rstamp) FROM conv_rc), (SELECT max(stamp) FROM member),"
            " (SELECT max(greatest(stamp, entered_stamp)) FROM device))",
            server[0],
        )

"""Before a PostgreSQL database is used: whether it can be reached and is fit, whether the schema is ours, and bringing
it up to date. What is wrong is one line for the operator that says what to do, never with a password in it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from wirechat.store.errors import DataError, NoData, StoreError, Unavailable
from wirechat.store.features import activity, meta, moving
from wirechat.store.migrations import Migration, pending
from wirechat.store.pools import (
    CONNECTIONS,
    EngineError,
    Pools,
    PostgresTx,
    connected,
    open_pools,
    read,
    write,
)
from wirechat.store.tx import Feature, Tx

T = TypeVar("T")

MIGRATING = 0x57435331
"""Advisory lock of the node that opens the database."""

SERVER_MIN = 130_000
"""PostgreSQL 13: the first with 64-bit transaction ids in SQL."""

LOCK_SECONDS = 5
"""How long a migration waits for a table. Whoever comes later waits behind it: the other nodes stand still so long."""

ADVICE = {
    "28000": "check user, host and TLS against the server's pg_hba.conf",
    "28P01": "check the user and the password: it stands in the address, in PGPASSWORD or in ~/.pgpass",
    "3D000": "make it with CREATE DATABASE, or correct the address",
    "3F000": "make the schema that search_path names, or give the role the right to use it",
    "42501": "give the role the database, or the rights to make, read and write tables in this schema",
    "53300": f"each server needs {2 * CONNECTIONS} connections; raise max_connections of the database",
    "55P03": "a long transaction holds a table that has to be changed; end it, then start this server again",
}
"""What to do about what the database says, by its code."""


async def prepare(url: str) -> tuple[bytes, bytes]:
    """Check and migrate; (epoch, key of digests). Raises DataError."""
    with refusing():
        async with connected(url) as connection:
            await check_server(connection)
            return await write(connection, partial(_migrate, connection))


async def pools(url: str, epoch: bytes, name: str) -> Pools:
    """Connections called `name` to the database that has this epoch."""

    async def check(connection: Any) -> None:
        if await epoch_of(PostgresTx(connection)) != epoch:
            raise Unavailable("the database was restored or has failed over; restart this server")

    return await open_pools(url, check, name)


async def look(url: str, feature: Feature[[], T]) -> T:
    """Run a feature in one snapshot, changing nothing. Raises DataError."""
    with refusing():
        async with connected(url) as connection:
            applied = await _applied(connection)
            if not applied:
                raise NoData(
                    "there is no data of wirechat in this database; correct the address, or start a server on it"
                )
            if pending("postgres", applied):
                raise DataError("the database comes from an older wirechat; start a server once to bring it up to date")
            return await read(connection, feature)


async def renew_epoch(url: str) -> bytes:
    """Draw another epoch; returns what it comes to. Raises DataError, also while servers are connected."""

    async def renew(tx: Tx) -> bytes:
        before = await epoch_of(tx)
        while True:
            await meta.renew_epoch(tx, secrets.token_bytes)
            if (epoch := await epoch_of(tx)) != before:
                return epoch

    with refusing():
        async with connected(url) as connection:
            if not await _applied(connection):
                raise DataError("there is no data of wirechat in this database")
            if count := await activity.servers(PostgresTx(connection)):
                raise DataError(f"servers are connected to it ({count}); stop all servers first")
            return await write(connection, renew)


@contextmanager
def refusing() -> Iterator[None]:
    """What is wrong with a database is one line for the operator. Raises DataError."""
    try:
        yield
    except DataError:
        raise
    except (StoreError, EngineError) as error:
        cause = error.__cause__ if isinstance(error, StoreError) and error.__cause__ is not None else error
        said = str(cause).splitlines()[0] if isinstance(cause, EngineError) else str(error).splitlines()[0]
        advice = ADVICE.get(getattr(cause, "sqlstate", None) or "")
        raise DataError(f"cannot use the database: {said}" + (f"; {advice}" if advice else "")) from None


# whether the server is fit


async def check_server(connection: Any) -> None:
    """Raises DataError for one that would not keep what it acknowledges, or cannot be used for another reason."""
    version, standby, commit, fsync, read_only, process = await connection.fetchrow(
        "SELECT current_setting('server_version_num')::int, pg_is_in_recovery(),"
        " current_setting('synchronous_commit'), current_setting('fsync'),"
        " current_setting('default_transaction_read_only'), pg_backend_pid()"
    )
    if process != connection.get_server_pid():
        raise DataError(
            "a pooler such as PgBouncer stands before this PostgreSQL, and wirechat has a pool of its own"
            f" ({2 * CONNECTIONS} connections for each server): give the address of the PostgreSQL server"
        )
    if version < SERVER_MIN:
        raise DataError(f"this PostgreSQL ({version // 10_000}) is too old; wirechat needs 13 or newer")
    if standby:
        raise DataError("this PostgreSQL is a standby; give the address of the primary")
    if read_only != "off":
        raise DataError(
            "this PostgreSQL is set to read only (default_transaction_read_only); find out why, a full disk perhaps,"
            " and set it to off"
        )
    if commit not in ("on", "remote_apply") or fsync != "on":
        raise DataError(
            f"this PostgreSQL would lose acknowledged messages: synchronous_commit is {commit}, fsync is {fsync};"
            " both must be on"
        )


# whether the schema is ours, and up to date


async def _migrate(connection: Any, tx: Tx) -> tuple[bytes, bytes]:
    await connection.execute("SELECT pg_advisory_xact_lock($1)", MIGRATING)
    applied = await _applied(connection)
    missing = pending("postgres", applied)
    if applied and missing:
        await _check_alone(connection, missing)
        before = await epoch_of(tx)
        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
        await apply(connection, missing)
        if await epoch_of(tx) != before:
            await meta.keep_epoch(tx, before, await whereabouts(tx))
    else:
        await apply(connection, missing)
    await _check_rights(connection)
    await meta.identify(tx, secrets.token_bytes)
    await meta.settle(tx)
    return await epoch_of(tx), (await meta.identity(tx))[1]


async def apply(connection: Any, missing: Iterable[Migration]) -> None:
    """Apply migrations in the transaction that is open."""
    for migration in missing:
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY, checksum TEXT NOT NULL)"
        )
        await connection.execute(migration.sql)
        await connection.execute("INSERT INTO migration VALUES ($1, $2)", migration.number, migration.checksum)


async def _check_alone(connection: Any, missing: Sequence[Migration]) -> None:
    """Servers of the version before go on beside most migrations. Raises DataError where they cannot."""
    if not any(migration.alone for migration in missing):
        return
    if count := await activity.servers(PostgresTx(connection)):
        raise DataError(
            "this version changes the database so that older servers cannot go on, and servers are connected to it"
            f" ({count}): stop all servers, then start this one (docs/operations/upgrade.md)"
        )


async def _check_rights(connection: Any) -> None:
    """On each table: a dump may have been restored by somebody else."""
    table = await connection.fetchval(
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')"
        " AND NOT relispartition AND NOT (has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')"
        " AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE')) LIMIT 1"
    )
    if table is not None:
        raise DataError(f"cannot use the database: the role may not read and write table {table}; {ADVICE['42501']}")


async def tables(connection: Any) -> set[str]:
    """The tables of the schema. Raises DataError when they are not ours."""
    names = {name for (name,) in await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')"
    )}  # fmt: skip
    if names and "migration" not in names:
        raise DataError("this schema has tables of another program; give wirechat a database of its own")
    return names


async def _applied(connection: Any) -> list[tuple[int, str]]:
    names = await tables(connection)
    if moving.STATE in names:
        raise DataError(
            "a move into this database is not finished: run wirechat store move again, or empty the database"
        )
    if not names:
        return []
    return [tuple(row) for row in await connection.fetch("SELECT number, checksum FROM migration ORDER BY number")]


async def epoch_of(tx: Tx) -> bytes:
    """Another one whenever stamps could be used again: other random value, server, timeline, database or table. The one
    the data came with, as long as it is where it was moved to.
    """
    here = await whereabouts(tx)
    kept = await meta.kept_epoch(tx, here)
    return here[: meta.EPOCH_BYTES] if kept is None else kept


async def whereabouts(tx: Tx) -> bytes:
    """A hash of what the epoch depends on."""
    drawn, _ = await meta.identity(tx)
    return hashlib.sha256(drawn + (await meta.place(tx)).encode()).digest()

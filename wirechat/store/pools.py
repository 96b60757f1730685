"""Transactions on PostgreSQL, through asyncpg: everything here runs in asyncio. The only file that knows asyncpg, which
is untyped.

Writes run READ COMMITTED and lock what they change in a fixed order; reads are one REPEATABLE READ snapshot.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import asyncpg

from wirechat.store.errors import DataError, OutcomeUnknown, StorageFull, StoreError, Unavailable, Violated
from wirechat.store.tx import Row

T = TypeVar("T")

warnings.filterwarnings("ignore", "password file", module="asyncpg")  # whoever opens a database says it in his line

CONNECTIONS = 8
"""For writing, and as many for reading, so that neither waits for the other."""

ATTEMPTS = 5
"""How often a transaction is tried that the server undid for the sake of others (deadlock, serialization)."""

CONNECT_SECONDS = 10.0
COMMAND_SECONDS = 10.0
"""How long a statement may take before the connection counts as lost; the server gives up earlier."""

GIVE_UP_SECONDS = 2.0
"""How long it is tried to leave a connection in order; then it is cut."""

ADDRESS = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"

TLS = "sslrootcert in the address is the certificate of the authority that signed that of PostgreSQL; look at it"

ONCE = {"application_name": "wirechat-once"}
"""A connection that is no server's: of a command, or of a server that looks before it opens."""

SETTINGS = {
    "statement_timeout": "5000",
    "idle_in_transaction_session_timeout": "2000",
}
"""In ms. A node that dies or stands still in the middle of a transaction must not hold its locks, for which the others
wait, nor the horizon, for long.
"""

TRANSACTION_SECONDS = 10
"""The longest transaction, where the server knows such a limit (17); else only statements and pauses have one."""

WRITING = {"plan_cache_mode": "force_generic_plan"}
"""Whoever writes looks rows up by their keys, where one plan is as good as another; else PostgreSQL would plan each
look into a partitioned table anew.
"""

_WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED"
_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

_BROKEN = (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""What asyncpg says when its connection is gone, or is just being ended by the server."""

_WORLD = {"08", "25", "53", "55", "57", "58"}
"""Classes of errors in which the server or the connection failed, not the statement."""

_UNDONE = {"23", "40", "53"}
"""Classes with which the server answers COMMIT when it has undone the transaction; with others nobody knows."""


EngineError = asyncpg.PostgresError
"""What the server says when it refuses a statement."""


class PostgresTx:
    """One transaction as features see it."""

    engine = "postgres"
    __slots__ = ("_connection", "stamp")

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.stamp: int | None = None

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        """See `Tx`."""
        return [tuple(row) for row in await self._connection.fetch(sql, *args)]

    async def fetchrow(self, sql: str, *args: Any) -> Row | None:
        """See `Tx`."""
        row = await self._connection.fetchrow(sql, *args)
        return None if row is None else tuple(row)

    async def fetchmany(self, sql: str, rows: Iterable[Sequence[Any]]) -> list[Row]:
        """See `Tx`."""
        rows = list(rows)
        return [tuple(row) for row in await self._connection.fetchmany(sql, rows)] if rows else []

    async def execute(self, sql: str, *args: Any) -> None:
        """See `Tx`."""
        await self._connection.execute(sql, *args)

    async def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """See `Tx`."""
        rows = list(rows)
        if rows:
            await self._connection.executemany(sql, rows)


Run = Callable[[PostgresTx], Coroutine[Any, Any, T]]
"""What is run in a transaction; again from the beginning when it is retried."""


class Pools:
    """Connections, and transactions on them."""

    def __init__(self, writers: Any, readers: Any) -> None:
        self._writers = writers
        self._readers = readers

    async def write(self, run: Run[T]) -> T:
        """One durable transaction. Raises StoreError by what may be concluded, or what `run` raised."""
        for _ in range(ATTEMPTS - 1):
            try:
                return await self._write(run)
            except _Undone:
                pass
        return await self._write(run)

    async def _write(self, run: Run[T]) -> T:
        async with _acquired(self._writers) as connection:
            return await write(connection, run)

    async def read(self, run: Run[T]) -> T:
        """One snapshot."""
        async with _acquired(self._readers) as connection:
            return await read(connection, run)

    async def glance(self, run: Run[T]) -> T:
        """Statements in no transaction: each sees its own moment."""
        async with _acquired(self._readers) as connection:
            with told():
                return await run(PostgresTx(connection))

    async def aclose(self) -> None:
        """Close every connection; those in use are waited for."""
        await self._writers.close()
        await self._readers.close()


async def open_pools(url: str, check: Check, name: str) -> Pools:
    """Pools whose every new connection has passed `check`. `name`: what PostgreSQL shows of them."""
    settings = {**SETTINGS, "application_name": name}
    writers = await _open_pool(url, check, {**settings, **WRITING})
    try:
        return Pools(writers, await _open_pool(url, check, settings))
    except BaseException:
        await writers.close()
        raise


Check = Callable[[Any], Coroutine[Any, Any, None]]


async def _open_pool(url: str, check: Check, settings: Mapping[str, str]) -> Any:
    """With one connection from the start, which tells others that a server is here; its passes keep it open."""
    pool = await asyncpg.create_pool(
        url, min_size=0, max_size=CONNECTIONS, max_queries=10**9, init=partial(_begin, check), reset=_as_it_is,
        timeout=CONNECT_SECONDS, command_timeout=COMMAND_SECONDS, server_settings=settings,
    )  # fmt: skip
    async with pool.acquire():
        return pool


async def _begin(check: Check, connection: Any) -> None:
    if connection.get_server_version().major >= 17:
        await connection.execute(f"SET transaction_timeout = '{TRANSACTION_SECONDS}s'")
    await check(connection)


async def _as_it_is(connection: Any) -> None:
    """Nothing is set on a connection, so nothing has to be reset: a round trip less for each transaction."""


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    """One connection of its own, without time limits. Raises Unavailable or DataError, also for an address that is
    none, and never says what is in it.
    """
    try:
        with _heeding():
            connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS, server_settings=ONCE)
    except TimeoutError as error:
        raise Unavailable(
            f"no answer within {CONNECT_SECONDS:g} s; check host and port, and what filters on the way"
        ) from error
    except ValueError as error:
        if "root certificate file" in str(error):
            raise Unavailable(f"no certificate to check its own against; {TLS}") from error
        raise Unavailable(f"its address cannot be read; it is {ADDRESS}, special characters as %XX") from error
    except OSError as error:
        raise Unavailable(_unreached(url, error)) from error
    except (asyncpg.PostgresError, *_BROKEN) as error:
        raise Unavailable(f"no connection: {error}") from error
    try:
        yield connection
    finally:
        await connection.close(timeout=CONNECT_SECONDS)


@contextmanager
def _heeding() -> Iterator[None]:
    """What asyncpg only warns of is often why it fails: a file with passwords that it does not read."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.filterwarnings("always", "password file", module="asyncpg")
        try:
            yield
        except asyncpg.PostgresError as error:
            if not heard:
                raise
            said = re.sub(r"PosixPath\('(.*?)'\)", r"\1", str(heard[0].message)).partition(";")[0]
            line = f"{error}; the {said}, so it was not read: chmod 600"
            raise DataError(f"cannot use the database: {line}") from error


def _unreached(url: str, error: OSError) -> str:
    """Which host, and what to do; without anything else of the address."""
    parts = urlsplit(url)
    named = parts.netloc.rpartition("@")[2] or ",".join(parse_qs(parts.query).get("host", ()))
    place = named or os.environ.get("PGHOST") or "this machine"
    if isinstance(error, socket.gaierror):
        return f"{place}: there is no such host; correct the address, or look at the name service"
    if isinstance(error, ssl.SSLError):
        return f"{place}: TLS failed: {getattr(error, 'verify_message', None) or error.strerror or error}; {TLS}"
    if isinstance(error, FileNotFoundError) and parts.hostname:
        return f"a file for TLS is not there; {TLS}"
    number = error.errno or next((int(each) for each in re.findall(r"\[Errno (\d+)\]", str(error))), None)
    reason = os.strerror(number) if number else str(error)
    return f"{place}: {reason}; look whether PostgreSQL runs there, and on which port and addresses"


async def write(connection: Any, run: Run[T]) -> T:
    """One durable transaction on a connection."""
    with told():
        try:
            await connection.execute(_WRITE)
            result = await run(PostgresTx(connection))
        except BaseException:
            await _rollback(connection)
            raise
        await _commit(connection)
    return result


async def read(connection: Any, run: Run[T]) -> T:
    """One snapshot on a connection."""
    with told():
        try:
            await connection.execute(_READ)
            return await run(PostgresTx(connection))
        finally:
            await _rollback(connection)


@asynccontextmanager
async def _acquired(pool: Any) -> AsyncIterator[Any]:
    try:
        connection = await pool.acquire(timeout=CONNECT_SECONDS)
    except Exception as error:
        raise Unavailable(f"no connection to the database: {str(error) or type(error).__name__}") from error
    try:
        yield connection
    finally:
        await _release(pool, connection)


async def _release(pool: Any, connection: Any) -> None:
    try:
        await pool.release(connection, timeout=GIVE_UP_SECONDS)
    except (asyncpg.PostgresError, *_BROKEN):
        pass  # it was broken, and the pool has dropped it


async def _commit(connection: Any) -> None:
    try:
        answer = await connection.execute("COMMIT")
    except Exception as error:
        if isinstance(error, asyncpg.PostgresError) and error.sqlstate[:2] in _UNDONE:
            raise
        _cut(connection)
        raise OutcomeUnknown(f"the commit was interrupted: {error!r}") from error
    if answer != "COMMIT":
        raise Unavailable(f"the transaction was undone: {answer}")


async def _rollback(connection: Any) -> None:
    try:
        async with asyncio.timeout(GIVE_UP_SECONDS):  # asyncpg would wait for a lost answer without end
            await connection.execute("ROLLBACK")
    except Exception:  # noqa: BLE001  the connection is not to be trusted, if there still is one
        _cut(connection)


def _cut(connection: Any) -> None:
    with suppress(asyncpg.InterfaceError):  # it is gone already
        connection.terminate()


# what may be concluded from an error before the commit


class _Undone(Unavailable):
    """The server chose this transaction to be undone, so that others can go on."""


@contextmanager
def told() -> Iterator[None]:
    """Turn an error of the engine into what may be concluded; bad statements come through as they are."""
    try:
        yield
    except StoreError:
        raise
    except (asyncpg.PostgresError, *_BROKEN) as error:
        concluded = _concluded(error)
        if concluded is None:
            raise
        raise concluded from error


def _concluded(error: Exception) -> StoreError | None:
    text = f"{type(error).__name__}: {error}"
    if not isinstance(error, asyncpg.PostgresError):
        return None if isinstance(error, ValueError) else Unavailable(text)  # ValueError: an argument of a wrong type
    if error.sqlstate == asyncpg.DiskFullError.sqlstate:
        return StorageFull(text)
    kind = error.sqlstate[:2]
    if kind == "23":
        return Violated(text)
    if kind == "40":
        return _Undone(text)
    return Unavailable(text) if kind in _WORLD else None

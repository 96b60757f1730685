"""The face of a transaction, the same for both engines, and what runs in one."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
Row = tuple[Any, ...]


class Tx(Protocol):
    """Parameters are $1, $2 … in the order in which they first appear, because SQLite numbers them that way."""

    @property
    def engine(self) -> str:
        """ "sqlite" or "postgres"."""

    stamp: int | None
    """What `sync.stamp` has drawn for it, if anything was stamped yet."""

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        """All rows."""

    async def fetchrow(self, sql: str, *args: Any) -> Row | None:
        """The first row."""

    async def fetchmany(self, sql: str, rows: Iterable[Sequence[Any]]) -> list[Row]:
        """All rows, asked once for each of these parameters, in their order. One round trip."""

    async def execute(self, sql: str, *args: Any) -> None:
        """No rows."""

    async def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """No rows, once for each of these parameters. One round trip."""


Feature = Callable[Concatenate[Tx, P], Coroutine[Any, Any, T]]
"""`async def f(tx, …)`: everything it reads and writes is one transaction."""

FOR_UPDATE = {"sqlite": "", "postgres": " FOR UPDATE"}
"""SQLite has one writer at a time anyway."""

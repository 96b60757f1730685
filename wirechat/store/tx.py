"""The face of a transaction, the same for both engines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol


class Tx(Protocol):
    """Parameters are $1, $2 … in the order in which they first appear."""

    @property
    def engine(self) -> str:
        """ "sqlite" or "postgres"."""

    async def fetch(self, sql: str, *args: Any) -> list[tuple[Any, ...]]:
        """All rows."""

    async def fetchrow(self, sql: str, *args: Any) -> tuple[Any, ...] | None:
        """The first row."""

    async def execute(self, sql: str, *args: Any) -> None:
        """No rows."""

    async def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Once for each row."""

"""An open store: the one face of both engines, `sqlite.open_sqlite` and `postgres.open_postgres`.

The latter is imported by those who use it: asyncpg takes a fifth of a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ParamSpec, Protocol, TypeVar

from wirechat.store.records import Append, Commit
from wirechat.store.sqlite import open_sqlite
from wirechat.store.tx import Feature

__all__ = ["Store", "open_sqlite"]

P = ParamSpec("P")
T = TypeVar("T")


class Store(Protocol):
    """What the server sees."""

    engine: str
    """ "sqlite" or "postgres"."""
    epoch: bytes
    """Four bytes; another after a restore."""
    digest_key: bytes
    """For keyed digests; secret, and the same for ever."""
    appends_at_once: int
    """Appends that may be in flight; more would only wait."""

    def start_append(
        self, batch: Sequence[Append], now_ms: int, known: Mapping[int, int], done: Callable[[Commit], None]
    ) -> None:
        """Append a batch durably. Never raises and never waits; `done` is called in the Trio thread, in commit order
        for each conversation, and must not raise. `known`: version of the member list the caller has of each
        conversation.
        """

    async def write(self, feature: Feature[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """One durable transaction. Once begun it is finished even if the waiting is cancelled. Raises StoreError."""

    async def read(self, feature: Feature[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """One snapshot; sees every append whose `done` was called. Raises StoreError."""

    async def read_ordered(self, feature: Feature[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A read whose result arrives after the `done` of every append it saw. Raises StoreError."""

    async def glance(self, feature: Feature[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same, but each statement may see a moment of its own: later ones no earlier moment. On PostgreSQL that is
        two round trips less. Raises StoreError.
        """

"""Message type -> handler, with what it needs. A feature introduces itself; a duplicate is refused.

Three ways to run, each with its colour:
* inline: a plain function, run in the reader's turn; it must not wait. Writes into the log are inline, hence executed
  in arrival order.
* exclusive: a coroutine the reader waits for: logging in and SYNC, after which other frames have another meaning.
* beside: a coroutine in the connection's nursery; its reply may overtake others.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import attrs

from wirechat import wire

if TYPE_CHECKING:
    from wirechat.server.connection import Connection


class Run(enum.Enum):
    """See the module."""

    INLINE = "inline"
    EXCLUSIVE = "exclusive"
    BESIDE = "beside"


@attrs.define
class Handler:
    """One row of the table."""

    run: Run
    call: Callable[[Connection, Any], Any]
    calls: int = 0
    """How many frames came for it."""


class Dispatcher:
    """The table."""

    def __init__(self) -> None:
        self.table: dict[type[wire.Message], Handler] = {}
        self.errors: Counter[int] = Counter()
        """How many requests and connections failed, by code; entries that the store refused are the journal's."""

    def inline(self, kind: type[wire.Message], call: Callable[[Connection, Any], None]) -> None:
        """`call` handles `kind` in the reader's turn. A request replies later, or raises RequestError."""
        self._add(kind, Handler(Run.INLINE, call))

    def exclusive(
        self, kind: type[wire.Message], call: Callable[[Connection, Any], Awaitable[wire.Message | None]]
    ) -> None:
        """The reader waits for `call`; it returns the reply."""
        self._add(kind, Handler(Run.EXCLUSIVE, call))

    def beside(
        self, kind: type[wire.Message], call: Callable[[Connection, Any], Awaitable[wire.Message | None]]
    ) -> None:
        """`call` runs beside the reader; it returns the reply."""
        self._add(kind, Handler(Run.BESIDE, call))

    def _add(self, kind: type[wire.Message], handler: Handler) -> None:
        if kind in self.table:
            raise ValueError(f"{kind.__name__} has a handler already")
        self.table[kind] = handler

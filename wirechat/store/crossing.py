"""The way from Trio to asyncio and back, for asyncpg. One crossing an operation, because each costs 0.2 ms.

The only file of the store that knows trio-asyncio, which is untyped.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, ParamSpec, TypeVar

import trio_asyncio

P = ParamSpec("P")
T = TypeVar("T")


class Crossing:
    """Calls asyncio functions from Trio."""

    def __init__(self, loop: Any) -> None:
        self._loop = loop

    async def __call__(self, function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it as an asyncio task and wait for its end."""
        result: T = await trio_asyncio.aio_as_trio(function, loop=self._loop)(*args, **kwargs)
        return result


@asynccontextmanager
async def open_crossing() -> AsyncIterator[Crossing]:
    """An asyncio loop inside Trio, until the end of the block."""
    async with trio_asyncio.open_loop() as loop:
        yield Crossing(loop)

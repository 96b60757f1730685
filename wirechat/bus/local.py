"""The bus of a server that is alone: nobody listens."""

from __future__ import annotations

from collections.abc import Callable

import trio


class Alone:
    """See `base.Bus`."""

    node = 0
    trouble = None

    def send(self, node: int | None, data: bytes) -> None:
        """There is nobody."""

    async def run(self, receive: Callable[[bytes], None]) -> None:
        """Nobody sends anything."""
        await trio.sleep_forever()

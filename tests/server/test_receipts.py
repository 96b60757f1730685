"""How delivered watermarks are written behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from wirechat.server import limits
from wirechat.server.features.receipts import Receipts
from wirechat.server.hub import Hub
from wirechat.store.database import Store
from wirechat.store.features.receipts import Item


class Disk:
    """A store that notes what is written in one transaction."""

    def __init__(self) -> None:
        self.bites: list[list[Item]] = []

    async def write(self, _: Callable[..., Any], items: Sequence[Item], *__: object) -> tuple[list[Any], list[Any]]:
        self.bites.append(list(items))
        return [(seq, 0) for _, _, seq, _ in items], []


async def test_delivered_watermarks_are_written_in_bites_that_a_message_can_wait_for() -> None:
    """All of them, each once, with the highest position that was reached."""
    disk = Disk()
    receipts = Receipts(cast(Store, disk), Hub())
    convs = range(1, 2 * limits.DELIVERED_AT_ONCE + 51)
    for conv in convs:
        for seq in (2, 3, 1):
            receipts.reached(7, conv, seq)
    await receipts.flush()
    assert [len(bite) for bite in disk.bites] == [limits.DELIVERED_AT_ONCE, limits.DELIVERED_AT_ONCE, 50]
    assert sorted(item for bite in disk.bites for item in bite) == [(conv, 7, 3, 0) for conv in convs]
    assert not receipts.waiting

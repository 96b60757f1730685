"""What befalls writes that share a transaction befalls each of them."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from wirechat.server.sharing import SharedWrites
from wirechat.store.errors import OutcomeUnknown, StorageFull, StoreError


class Failing:
    """A store whose transactions fail."""

    def __init__(self, error: StoreError) -> None:
        self._error = error

    async def write(self, *_: object) -> Any:
        raise self._error


@pytest.mark.parametrize("error", [OutcomeUnknown("lost"), StorageFull("full")])
async def test_p12_everybody_is_told_what_has_happened_to_all(error: StoreError) -> None:
    """The second of them was told that something was wrong with the server (seed 802 of the simulation)."""
    store: Any = Failing(error)
    writes, told = SharedWrites(store), []

    async def one() -> None:
        try:
            await writes.write(nothing)
        except StoreError as failure:
            told.append(failure)

    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as both:
            both.start_soon(one)
            both.start_soon(one)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(writes.run)
        nursery.cancel_scope.cancel()
    assert told == [error, error]


async def nothing(tx: Any) -> None: ...

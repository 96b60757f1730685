"""What befalls writes that share a transaction befalls each of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from wirechat import wire
from wirechat.server.errors import RequestError
from wirechat.server.features.accounts import FirstDevice, create_account
from wirechat.server.sharing import SharedWrites
from wirechat.store.database import open_sqlite
from wirechat.store.errors import OutcomeUnknown, StorageFull, StoreError
from wirechat.store.features import devices
from wirechat.world import REAL


class Failing:
    """A store whose transactions fail."""

    def __init__(self, error: StoreError) -> None:
        self._error = error

    async def write(self, *_: object) -> Any:
        raise self._error


class Counted:
    """A store, and how many transactions it had to write."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.transactions = 0

    async def write(self, *arguments: Any) -> Any:
        self.transactions += 1
        return await self._store.write(*arguments)


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


async def test_accounts_that_come_together_share_a_commit_and_each_is_whole(tmp_path: Path) -> None:
    """An account whose first device would lack holds a handle that nobody can use. Numbers that are taken are drawn
    again, and a taken handle is refused alone.
    """
    numbers = iter([70_001, 70_002, 70_001, 70_003, 70_002, 70_004, 70_005])
    world = attrs.evolve(REAL, random_bytes=lambda size: next(numbers).to_bytes(size, "big"))
    made: dict[str, tuple[int, int | None] | int] = {}
    async with open_sqlite(tmp_path) as store:
        counted: Any = Counted(store)
        writes = SharedWrites(counted)

        async def join(who: str) -> None:
            first = FirstDevice(bytes(32), "")
            try:
                made[who] = await create_account(writes, world, who.split()[0], None, None, first)
            except RequestError as error:
                made[who] = error.code

        async with trio.open_nursery() as nursery:
            async with trio.open_nursery() as together:
                for handle in ("ann", "bob", "ann again"):
                    together.start_soon(join, handle)
                    await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(writes.run)
            nursery.cancel_scope.cancel()
        devices_of = [(await store.read(devices.get, number)) for number in (70_002, 70_004)]
    assert made == {"ann": (70_001, 70_002), "bob": (70_003, 70_004), "ann again": wire.errors.CONFLICT}
    assert counted.transactions == 1
    assert [device.user for device in devices_of if device is not None] == [70_001, 70_003]

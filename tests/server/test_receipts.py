"""How delivered watermarks are written behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from operator import itemgetter
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
import trio.testing

from wirechat import wire
from wirechat.server import limits
from wirechat.server.connection import Connection
from wirechat.server.features.receipts import Receipts
from wirechat.server.hub import Hub
from wirechat.store.database import Store
from wirechat.store.errors import Unavailable
from wirechat.store.features.receipts import Item


class Asking:
    """A connection of user 8, as far as read marks know one."""

    def __init__(self) -> None:
        self.replies: list[wire.Message] = []
        self.send = self.replies.append

    def require_session(self) -> Any:
        return SimpleNamespace(user=8)

    def answered(self) -> None: ...


class Disk:
    """A store that notes what is written in one transaction, and when."""

    def __init__(self) -> None:
        self.bites: list[list[Item]] = []
        self.times: list[float] = []
        self.failing = False

    async def write(self, _: Callable[..., Any], items: Sequence[Item], *__: object) -> tuple[list[Any], list[Any]]:
        if self.failing:
            raise Unavailable("simulated")
        self.bites.append(list(items))
        self.times.append(trio.current_time())
        return [(delivered, read) for _, _, delivered, read in items], []


async def test_a_round_of_delivered_watermarks_is_spread_over_a_second(autojump_clock: trio.testing.MockClock) -> None:
    """In bites that a message can wait for, each watermark once, with the highest position that was reached; what is
    reached meanwhile is for the next round.
    """
    disk = Disk()
    receipts = Receipts(cast(Store, disk), Hub())
    convs = range(2 * limits.DELIVERED_AT_ONCE + 50)
    for conv in convs:
        for seq in (2, 3, 1):
            receipts.reached(7, conv, seq)
    began_at = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(receipts.run)
        await trio.sleep(0.1)
        for conv in convs:
            receipts.reached(7, conv, 4)
        await trio.sleep(limits.FLUSH_SECONDS)
        nursery.cancel_scope.cancel()
    first, second = disk.bites[:3], disk.bites[3:]
    assert [len(bite) for bite in first] == [limits.DELIVERED_AT_ONCE, limits.DELIVERED_AT_ONCE, 50]
    assert [at - began_at for at in disk.times[:4]] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    held = [conv for conv in convs if conv >= limits.DELIVERED_AT_ONCE]
    expected = [(conv, 7, 3, 0) for conv in convs if conv not in held] + [(conv, 7, 4, 0) for conv in held]
    assert [item for bite in first for item in bite] == expected
    assert second == [[(conv, 7, 4, 0) for conv in convs if conv not in held]]
    assert not receipts.waiting


async def test_what_members_of_a_conversation_have_got_is_written_together() -> None:
    """However it came."""
    disk = Disk()
    receipts = Receipts(cast(Store, disk), Hub())
    for user in range(5):
        for conv in range(100):
            receipts.reached(user, conv, 1)
    await receipts.flush()
    items = [item for bite in disk.bites for item in bite]
    assert len(items) == 500
    assert [conv for conv, _ in groupby(items, key=itemgetter(0))] == list(range(100))


async def test_what_could_not_be_written_waits_and_is_not_lowered(autojump_clock: trio.testing.MockClock) -> None:
    """And how long it has been waiting can be seen."""
    disk = Disk()
    receipts = Receipts(cast(Store, disk), Hub())
    disk.failing = True
    receipts.reached(7, 1, 5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(receipts.run)
        await trio.sleep(3.05)
        receipts.reached(7, 1, 4)
        assert receipts.waiting == 1
        assert 3.0 < receipts.waiting_seconds < 3.1
        disk.failing = False
        await trio.sleep(limits.FLUSH_SECONDS)
        nursery.cancel_scope.cancel()
    assert disk.bites == [[(1, 7, 5, 0)]]
    assert receipts.waiting_seconds == 0


async def test_a_read_mark_does_not_wait_for_the_round(autojump_clock: trio.testing.MockClock) -> None:
    """It is written when it is asked for; what was delivered meanwhile waits for its turn."""
    disk = Disk()
    receipts = Receipts(cast(Store, disk), Hub())
    asking = cast(Connection, Asking())
    began_at = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(receipts.run)
        await trio.sleep(0.25)
        receipts.reached(7, 1, 5)
        receipts.mark(asking, wire.Mark(9, 2, 3))
        await trio.sleep(limits.FLUSH_SECONDS)
        nursery.cancel_scope.cancel()
    assert disk.bites == [[(2, 8, 0, 3)], [(1, 7, 5, 0)]]
    assert [at - began_at for at in disk.times] == pytest.approx([0.25, 1.0])
    assert cast(Asking, asking).replies == [wire.MarkOk(9, 3)]

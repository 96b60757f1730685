"""What waits for a slow reader."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import trio

from wirechat import wire
from wirechat.server.outbox import Outbox, Push


class Slow:
    """An endpoint that takes nothing before there is room."""

    def __init__(self) -> None:
        self.room = trio.Event()
        self.sent: list[bytes] = []
        self._rest: list[bytes] = []

    def try_send(self, frames: Sequence[bytes]) -> bool:
        self._rest += frames
        self._pass_on()
        return not self._rest

    async def wait_sent(self) -> None:
        await self.room.wait()
        self._pass_on()

    def _pass_on(self) -> None:
        if self.room.is_set():
            self.sent, self._rest = self.sent + self._rest, []


async def lookup(user: int, pushes: Sequence[Push]) -> list[bytes]:
    return [b"entry %d" % push.seq for push in pushes]


async def test_p7_entries_and_other_frames_go_out_in_the_order_in_which_they_began_to_wait() -> None:
    """12-2: an ACK counts pushes, so both sides must number them alike."""
    endpoint: Any = Slow()
    async with trio.open_nursery() as nursery:
        outbox = Outbox(endpoint, nursery, lookup, [])
        outbox.put(b"first")
        outbox.flush()
        for number in (1, 2):
            outbox.push(Push(wire.Event(5, number, 0, 1, 1)))
            outbox.put(b"receipt %d" % number)
        endpoint.room.set()
        await outbox.wait_empty()
    assert endpoint.sent == [b"first", b"entry 1", b"receipt 1", b"entry 2", b"receipt 2"]


async def test_what_comes_after_the_last_frame_goes_nowhere() -> None:
    """Whoever delivers does not ask whether a connection is ending; after an ERROR no client expects an entry."""
    endpoint: Any = Slow()
    endpoint.room.set()
    async with trio.open_nursery() as nursery:
        outbox = Outbox(endpoint, nursery, lookup, [])
        outbox.end(b"last")
        outbox.push(Push(wire.Event(5, 1, 0, 1, 1)))
        outbox.flush()
    assert endpoint.sent == [b"last"]

"""The moment in which a connection has ended and its owner does not know it yet."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import trio
import trio.testing

from tests.server.rig import PATIENCE, serving
from wirechat import wire
from wirechat.server.config import Limits
from wirechat.server.connection import Connection
from wirechat.server.endpoint import Peer
from wirechat.server.turns import Turns

ROUNDS = 20
"""Which of two tasks runs first is Trio's choice."""


class Gone:
    """An endpoint whose client has left, and whose last task ends with the event."""

    def __init__(self, ended: trio.Event) -> None:
        self.peer = Peer("10.0.0.1", "tcp", loopback=True)
        self.opened_at = self.sent_at = trio.current_time()
        self.blocked = False
        self._ended = ended

    async def handshake(self, nursery: trio.Nursery) -> None:
        async def last() -> None:
            with trio.CancelScope(shield=True):
                await self._ended.wait()

        nursery.start_soon(last)

    async def recv(self) -> bytes:
        return b""

    def try_send(self, frames: Sequence[bytes]) -> bool:
        return True

    def gone(self) -> bool:
        return True

    def abort(self) -> None: ...


async def test_p10_a_login_that_replaces_a_connection_in_its_last_moment_is_not_refused_for_that() -> None:
    """Its nursery takes no task any more then: the login of the same device elsewhere failed with an internal error
    (seed 9 of the simulation, with a login that arrived late).
    """
    for _ in range(ROUNDS):
        ended = trio.Event()
        unused: Any = SimpleNamespace(touched=[])
        endpoint: Any = Gone(ended)
        connection = Connection(endpoint, unused, unused, Turns(lambda: None), Limits())

        async def replace(ended: trio.Event, connection: Connection) -> None:
            await ended.wait()
            connection.close(wire.errors.REPLACED)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.run, unused)
            nursery.start_soon(replace, ended, connection)
            await trio.testing.wait_all_tasks_blocked()
            ended.set()


async def test_p6_who_has_left_is_forgotten_without_the_collector(tmp_path: Path) -> None:
    """A cycle stays until a full collection, and a storm of reconnects needs all its memory a second time."""
    async with serving(tmp_path) as rig:
        phone = await rig.person("ada")
        with without_collector():
            for _ in range(3):
                phone = await rig.again(phone)
            with trio.fail_after(PATIENCE):
                while connections() > 1:  # noqa: ASYNC110
                    await trio.sleep(0.05)


@contextmanager
def without_collector() -> Iterator[None]:
    """Only what nobody refers to is freed."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def connections() -> int:
    """How many there are, open or not."""
    return sum(type(each) is Connection for each in gc.get_objects())

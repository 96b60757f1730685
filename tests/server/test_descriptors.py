"""No descriptor is left, not even the reserve: whoever is in is served, and whoever knocks is let in later."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trio

from tests.server.rig import PATIENCE, Client, serving
from wirechat import wire

NOTHING = 3  # below all that are open


@contextmanager
def nothing_can_be_opened() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (NOTHING, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_p10_a_machine_without_descriptors_does_not_end_the_server(tmp_path: Path) -> None:
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        knocking = socket.socket()
        with nothing_can_be_opened():
            knocking.connect(("127.0.0.1", rig.listeners["tcp"].port))
            await trio.sleep(0.5)
            await alice.ask(wire.Account(0), wire.AccountOk)
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(knocking))
        late = Client(stream)
        await late.send(wire.Hello("WC", 1, 1, (), "test", 64))
        with trio.fail_after(PATIENCE):
            await late.expect(wire.Welcome)

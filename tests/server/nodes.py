"""Several nodes over one PostgreSQL, and a bus between them that a test can hurt."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import msgpack
import trio

from tests.server.rig import Rig
from wirechat.server.app import Server
from wirechat.server.cluster import Kind
from wirechat.server.config import Config
from wirechat.server.listeners import Address, Listener
from wirechat.store.postgres import open_postgres
from wirechat.world import REAL, World


class Web:
    """What connects the nodes of a test. `passes` says whether a message (kind, from, to) gets through."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.passes: Callable[[Kind, int, int], bool] = lambda kind, sender, receiver: True
        self.sent: list[tuple[Kind, int, int]] = []
        """(kind, from, to) of what got through."""

    def cut(self, *kinds: Kind) -> None:
        """These get lost from now on; without any all do."""
        self.passes = lambda kind, sender, receiver: bool(kinds) and kind not in kinds

    def mend(self) -> None:
        """Nothing gets lost any more."""
        self.passes = lambda kind, sender, receiver: True

    def line(self) -> Line:
        """The bus of one more node."""
        made = Line(self, len(self.lines) + 1)
        self.lines.append(made)
        return made


class Line:
    """See `wirechat.bus.base.Bus`."""

    def __init__(self, web: Web, node: int) -> None:
        self.node = node
        self.trouble: str | None = None
        self._web = web
        self._out, self._in = trio.open_memory_channel[bytes](10_000)

    def send(self, node: int | None, data: bytes) -> None:
        """Into the channels of the others."""
        kind = Kind(msgpack.unpackb(data)[0])
        for other in self._web.lines:
            if other is not self and node in (None, other.node) and self._web.passes(kind, self.node, other.node):
                self._web.sent.append((kind, self.node, other.node))
                other.hear(data)

    def hear(self, data: bytes) -> None:
        """As if it came over the bus."""
        self._out.send_nowait(data)

    async def run(self, receive: Callable[[bytes], None]) -> None:
        """From the channel."""
        async for data in self._in:
            receive(data)


@asynccontextmanager
async def node(url: str, web: Web, world: World = REAL) -> AsyncIterator[Rig]:
    """One more node, on a free loopback port."""
    async with open_postgres(url) as store, trio.open_nursery() as nursery:
        listener = Listener("tcp", Address("127.0.0.1", 0))
        server = Server(Config(grease=0), world, store, web.line())
        stop = trio.Event()
        nursery.start_soon(server.run, [listener], stop)
        try:
            yield Rig(server, {"tcp": listener}, nursery, stop)
        finally:
            nursery.cancel_scope.cancel()
            listener.close()


@asynccontextmanager
async def two_nodes(url: str) -> AsyncIterator[tuple[Rig, Rig, Web]]:
    """Two nodes that have heard of each other."""
    web = Web()
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(node(url, web))
        other = await stack.enter_async_context(node(url, web))
        await until(lambda: known(one) == {2} and known(other) == {1})
        yield one, other, web


def known(rig: Rig) -> set[int]:
    """The nodes this one knows of, all of whose users it has."""
    assert rig.server.cluster is not None
    return {each.number for each in rig.server.cluster.directory.nodes if each.told >= 0}


def users(rig: Rig) -> int:
    """How many users are elsewhere, as far as this node knows."""
    assert rig.server.cluster is not None
    return rig.server.cluster.directory.users


async def until(holds: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until it holds."""
    with trio.fail_after(seconds):
        while not holds():  # noqa: ASYNC110
            await trio.sleep(0.01)

"""A server that says exactly what a test wants, in memory.

`Stage.connect` is the client's network; `await stage.connection()` is the server's end of the next connection. What a
test does not care about (CONV_GET) is answered by itself.
"""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

import attrs
import trio

from wirechat import wire
from wirechat.client import Client
from wirechat.client.events import Feed
from wirechat.world import World

M = TypeVar("M", bound=wire.Message)
E = TypeVar("E")

ME, OTHER, DEVICE = 7, 8, 70
LIMITS = wire.Limits(65536, 16384, 64, 30000, 1024, 1000, 200, 64)
NONCE = bytes(range(32))


async def _inline(fn: Callable[..., Any], *args: Any) -> Any:
    await trio.lowlevel.checkpoint()
    return fn(*args)


def make_world(seed: int = 1, run_blocking: Callable[..., Awaitable[Any]] = _inline) -> World:
    """A world that replays: its entropy comes from the seed, nothing runs in threads."""
    rng = random.Random(seed)
    return World(now_ms=lambda: 0, random_bytes=rng.randbytes, uniform=rng.uniform, run_blocking=run_blocking)


class Peer:
    """The server's end of one connection, and the client's transport. `said`: every message of the client so far.

    `deaf`: it takes nothing more from the client, which can still read.
    """

    def __init__(self, digest: bytes | None) -> None:
        self.certificate_digest = digest
        self.said: list[wire.Message] = []
        self.refused: list[str] = []
        self.members = 2
        self.describe = True
        self.deaf = False
        self._over = False
        self._connection = wire.Connection(wire.SERVER)
        self._to_client, self._client_reads = trio.open_memory_channel[bytes](10000)
        self._to_test, self._test_reads = trio.open_memory_channel[wire.Message](10000)

    # --- the client's side

    async def send(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        if self._over or self.deaf:
            raise trio.BrokenResourceError
        self._connection.feed(data)
        self._hear()

    async def recv(self) -> bytes:
        try:
            return await self._client_reads.receive()
        except trio.EndOfChannel:
            return b""

    async def aclose(self) -> None:
        self.abort()

    def abort(self) -> None:
        self._over = True
        self._to_client.close()
        self._to_test.close()

    # --- the test's side

    def say(self, *messages: wire.Message) -> None:
        """One chunk of frames."""
        for message in messages:
            if not isinstance(message, wire.Event | wire.Receipt | wire.Rows):
                self._connection.sent(message)
        self.raw(b"".join(message.encode() for message in messages))
        self._hear()

    def raw(self, data: bytes) -> None:
        self._to_client.send_nowait(data)

    def _hear(self) -> None:
        while (message := self._next()) is not None:
            self.said.append(message)
            if isinstance(message, wire.ConvGet) and self.describe:
                infos = tuple(wire.Info(conv, 2, 1, self.members, f"conv {conv}") for conv in message.convs)
                self.say(wire.ConvGetOk(message.rid, infos))
            else:
                self._to_test.send_nowait(message)

    def _next(self) -> wire.Message | None:
        while True:
            try:
                return self._connection.next_message()
            except wire.ProtocolViolation as violation:
                if violation.rid is None:
                    raise
                self.refused.append(violation.message)
                self.say(wire.Error(violation.rid, code=violation.code))

    async def next(self) -> wire.Message:
        """The next message of the client. Raises trio.EndOfChannel when the connection is over."""
        return await self._test_reads.receive()

    async def expect(self, kind: type[M]) -> M:
        """The next message of the client, which must be of this kind."""
        message = await self.next()
        assert isinstance(message, kind), f"expected {kind.__name__}, got {message}"
        return message

    async def next_of(self, kind: type[M]) -> M:
        """The next message of this kind; others are passed over."""
        while not isinstance(message := await self.next(), kind):
            pass
        return message

    def heard(self, kind: type[M]) -> list[M]:
        """Everything of this kind the client has said."""
        return [message for message in self.said if isinstance(message, kind)]

    async def greet(self, **changes: Any) -> wire.Hello:
        hello = await self.expect(wire.Hello)
        welcome = wire.Welcome(1, (), "stage", 0, NONCE, LIMITS, (1, 3, 4), (0, 1))
        self.say(attrs.evolve(welcome, **changes))
        return hello

    async def login(self, resume: bytes = b"resume-1", **changes: Any) -> wire.Auth:
        """From HELLO to AUTH_OK."""
        await self.greet(**changes)
        auth = await self.expect(wire.Auth)
        self.say(wire.AuthOk(auth.rid, ME, DEVICE, resume, 1000))
        return auth

    async def synced(self, *rows: wire.Row, token: bytes = b"H1", mode: int = 1, **changes: Any) -> wire.Sync:
        """From HELLO to the end of the digest."""
        await self.login(**changes)
        sync = await self.expect(wire.Sync)
        self.say(wire.SyncOk(sync.rid, mode, rows, None, token))
        return sync


class Stage:
    """The network and the server behind it."""

    def __init__(self) -> None:
        self.attempts: list[float] = []
        self.refuse = 0
        """How many further connections fail at once."""
        self.digest: bytes | None = None
        self._send, self._receive = trio.open_memory_channel[Peer](100)

    async def connect(self, url: str) -> Peer:
        await trio.lowlevel.checkpoint()
        self.attempts.append(trio.current_time())
        if self.refuse:
            self.refuse -= 1
            raise OSError("connection refused")
        peer = Peer(self.digest)
        self._send.send_nowait(peer)
        return peer

    async def connection(self) -> Peer:
        return await self._receive.receive()


def text(content: str) -> wire.Content:
    return wire.Content(1, content)


def entry(conv: int, seq: int, content: str | None = None, **changes: Any) -> wire.Event:
    """A message of the other user."""
    made = wire.Event(conv, seq, 1000 + seq, OTHER, 1, text(content or f"m{seq}"))
    return attrs.evolve(made, **changes)


def edit(conv: int, seq: int, ref: int, content: str) -> wire.Event:
    return entry(conv, seq, content, kind=2, ref=ref)


def record(seq: int, rev: int | None = None, content: str | None = None) -> wire.Record:
    return wire.Record(seq, rev or seq, 1000 + seq, OTHER, 1, text(content or f"m{seq}"))


def row(conv: int, head: int, rrev: int = 0, delivered: int = 0, read: int = 0, state: int = 0) -> wire.Row:
    return wire.Row(conv, head, rrev, delivered, read, state)


@asynccontextmanager
async def meet(
    stage: Stage, opening: AbstractAsyncContextManager[Client], *rows: wire.Row, **changes: Any
) -> AsyncIterator[tuple[Client, Peer]]:
    """An open client and its server's end, in sync about these rows."""
    peers: list[Peer] = []
    ready = trio.Event()

    async def serve() -> None:
        peers.append(await stage.connection())
        await peers[0].synced(*rows, **changes)
        ready.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        async with opening as client:
            await ready.wait()
            while not client._state.sync.complete:  # noqa: ASYNC110  programs wait for synced(), which needs answers
                await trio.sleep(0.001)
            yield client, peers[0]


async def first(feed: Feed, kind: type[E]) -> E:
    """The next event of this kind."""
    async for event in feed:
        if isinstance(event, kind):
            return event
    raise EOFError


async def nothing_unsent(client: Client) -> None:
    """Waits until the outbox is empty."""
    while client.messages.unsent():  # noqa: ASYNC110  there is no event for it, on purpose
        await trio.sleep(1)

"""A real server on loopback and a client that shows every frame. Used by the tests of the server."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wirechat import wire
from wirechat.server.app import Server
from wirechat.server.config import Config
from wirechat.server.listeners import Address, Listener, Tls
from wirechat.store.database import open_sqlite
from wirechat.world import REAL, World

M = TypeVar("M", bound=wire.Message)
PATIENCE = 10.0
"""Seconds a test waits for what must come."""


class Rig:
    """A running server, and who connects to it."""

    def __init__(self, server: Server, listeners: dict[str, Listener], nursery: trio.Nursery, stop: trio.Event) -> None:
        self.server = server
        self.listeners = listeners
        self.nursery = nursery
        self.stop = stop

    async def stream(self, transport: str = "tcp") -> trio.SocketStream:
        """A bare socket."""
        return await trio.open_tcp_stream("127.0.0.1", self.listeners[transport].port)

    async def greeted(self, window: int = 64, caps: tuple[int, ...] = ()) -> Client:
        """A client that has said HELLO."""
        client = Client(await self.stream())
        await client.send(wire.Hello("WC", 1, 1, caps, "test", window))
        client.welcome = await client.expect(wire.Welcome)
        return client

    async def person(self, handle: str, window: int = 64, *, sync: bool = True, caps: tuple[int, ...] = ()) -> Client:
        """A client with a new account, logged in, and live unless told otherwise."""
        client = await self.greeted(window, caps)
        key = Ed25519PrivateKey.generate()
        made = await client.ask(wire.Register(0, handle, 3, key.public_key().public_bytes_raw()), wire.RegisterOk)
        client.key, client.device, client.user = key, made.device or 0, made.user
        await client.login()
        if sync:
            await client.sync()
        return client

    async def again(self, client: Client, window: int = 64, *, caps: tuple[int, ...] = ()) -> Client:
        """Another connection of the same device, logged in."""
        other = await self.greeted(window, caps)
        other.key, other.device, other.user = client.key, client.device, client.user
        await other.login()
        return other

    async def group(self, owner: Client, *others: Client) -> int:
        """A group of these; its CREATE was seen by everyone."""
        members = tuple(other.user for other in others)
        made = await owner.ask(wire.ConvNew(0, os.urandom(8), 2, members, "group"), wire.ConvNewOk)
        for other in others:
            await other.expect(wire.Event)
        return made.conv


class Client:
    """One connection, frame by frame."""

    key: Ed25519PrivateKey
    welcome: wire.Welcome

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.user = self.device = 0
        self._buffer = bytearray()
        self._rids = itertools.count(1)
        self.seen: list[wire.Message] = []
        """Messages passed over while waiting for others."""

    async def send(self, *messages: wire.Message) -> None:
        """Send frames in one go."""
        await self.stream.send_all(b"".join([message.encode() for message in messages]))

    async def recv(self) -> wire.Message | None:
        """The next frame; None when the server closed."""
        with trio.fail_after(PATIENCE):
            while True:
                size = int.from_bytes(self._buffer[:4], "big")
                if len(self._buffer) >= 4 + size > 4:
                    body = bytes(self._buffer[4 : 4 + size])
                    del self._buffer[: 4 + size]
                    return wire.decode(body, side="server")
                try:
                    data = await self.stream.receive_some(65536)
                except trio.BrokenResourceError:
                    return None
                if not data:
                    return None
                self._buffer += data

    async def expect(self, kind: type[M], where: Callable[[M], bool] = lambda message: True) -> M:
        """The next frame of this kind; others are kept in `seen`."""
        for index, message in enumerate(self.seen):
            if isinstance(message, kind) and where(message):
                return self.seen.pop(index)  # type: ignore[return-value]
        while True:
            message = await self.recv()
            assert message is not None, f"the server closed while {kind.__name__} was awaited; seen {self.seen[-3:]}"
            if isinstance(message, kind) and where(message):
                return message
            self.seen.append(message)

    async def ask(self, request: Any, kind: Any) -> Any:
        """Send a request and wait for its answer, which must be of this kind."""
        request.rid = next(self._rids)
        await self.send(request)

        def answers(message: Any) -> bool:
            return getattr(message, "rid", None) == request.rid

        answer = await self.expect(wire.Message, answers)
        assert isinstance(answer, kind), answer
        return answer

    async def refused(self, request: Any) -> int:
        """The error code a request is answered with."""
        return (await self.ask(request, wire.Error)).code

    async def login(self) -> wire.AuthOk:
        """Log in with the device key."""
        proof = self.key.sign(wire.auth.signed_bytes(self.welcome.nonce, self.device, 0, b""))
        return await self.ask(wire.Auth(0, 3, proof=proof, device=self.device), wire.AuthOk)

    async def sync(self, token: bytes | None = None) -> list[wire.SyncOk]:
        """All pages of the digest."""
        pages = [await self.ask(wire.Sync(0, token), wire.SyncOk)]
        while pages[-1].cursor is not None:
            pages.append(await self.ask(wire.Sync(0, None, None, pages[-1].cursor), wire.SyncOk))
        return pages

    async def say(self, conv: int, text: str, cid: bytes | None = None) -> wire.SendOk:
        """Send a text."""
        content = wire.Content(1, text)
        return await self.ask(wire.Send(0, conv, cid or os.urandom(8), 1, content), wire.SendOk)

    async def silence(self, seconds: float = 0.2) -> None:
        """Nothing comes for a while."""
        with trio.move_on_after(seconds):
            message = await self.recv()
            raise AssertionError(f"unexpected {message}")

    async def closed(self) -> int | None:
        """Read until the server closes; the code of its last ERROR without rid."""
        code = None
        while (message := await self.recv()) is not None:
            if isinstance(message, wire.Error) and message.rid is None:
                code = message.code
        return code


@asynccontextmanager
async def serving(
    directory: Path,
    config: Config | None = None,
    world: World = REAL,
    tls: Tls | None = None,
    store: Any = None,
    trusted: frozenset[str] = frozenset(),
) -> AsyncIterator[Rig]:
    """A server on free loopback ports over a store in `directory`, stopped by its own handle."""
    config = config or Config(grease=0)
    async with open_sqlite(directory) as opened, trio.open_nursery() as nursery:
        kinds = ("tcp", "ws", "tls", "wss") if tls else ("tcp", "ws")
        listeners = {
            kind: Listener(
                kind, Address("127.0.0.1", 0), tls=tls if kind in ("tls", "wss") else None, trusted_proxies=trusted
            )
            for kind in kinds
        }
        server = Server(config, world, store(opened) if store else opened)
        stop = trio.Event()
        nursery.start_soon(server.run, list(listeners.values()), stop)
        try:
            yield Rig(server, listeners, nursery, stop)
        finally:
            nursery.cancel_scope.cancel()
            for listener in listeners.values():
                listener.close()

"""What stands between a store and its database, and cuts the line at the worst moment."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import trio

CHUNK = 65536
COMMIT = b"COMMIT\0"
"""The question in the protocol, and the end of its answer."""


KEY = re.compile(rb"(K\0\0\0\x0c)....", re.DOTALL)
"""What a server tells of itself: the number of its process, and a secret."""
QUESTION = b"Q" + (len(COMMIT) + 4).to_bytes(4, "big") + COMMIT


class Line:
    """One connection, in the middle of its commit: what happens to it next."""

    def __init__(self, client: trio.SocketStream, server: trio.SocketStream) -> None:
        self._client = client
        self._server = server

    async def lose_the_answer(self) -> None:
        """It is committed; the client does not hear of it."""
        await self._server.send_all(QUESTION)
        told = b""
        while COMMIT not in told:
            told += await self._server.receive_some(CHUNK)

    async def lose_the_question(self) -> None:
        """It is not committed: the server hears nothing but the end of the connection."""

    async def leave_at_once(self) -> None:
        """The server is asked, and has not finished when the client is gone."""
        await self._server.send_all(QUESTION)

    async def say_nothing(self) -> None:
        """It is committed; the connection stays, and no answer ever comes."""
        await self._server.send_all(QUESTION)
        await trio.sleep_forever()


Moment = Callable[[Line], Awaitable[None]]


class Proxy:
    """Passes everything on, except that each of the next commits has a moment of its own, at whose end it is cut."""

    def __init__(self, url: str, port: int) -> None:
        target = urlsplit(url)
        assert target.hostname is not None
        assert target.port is not None
        self._target = target.hostname, target.port
        self.url = url.replace(f":{target.port}/", f":{port}/")
        self.moments: list[Moment] = []
        self.pooling = False
        """It tells a process number of its own, as a pooler does."""
        self.open = trio.Event()
        """Nobody gets through before."""
        self.open.set()

    async def serve(self, client: trio.SocketStream) -> None:
        """One connection."""
        await self.open.wait()
        async with client, await trio.open_tcp_stream(*self._target) as server:
            moment = await self._pass_on(client, server)
            if moment is not None:
                await moment(Line(client, server))

    async def _pass_on(self, client: trio.SocketStream, server: trio.SocketStream) -> Moment | None:
        """Until one of the two ends, or to a commit that has a moment."""
        moment = None
        async with trio.open_nursery() as nursery:

            async def answer() -> None:
                while data := await _received(server):
                    await _send(client, KEY.sub(rb"\1none", data) if self.pooling else data)
                nursery.cancel_scope.cancel()

            nursery.start_soon(answer)
            while data := await _received(client):
                if COMMIT in data and self.moments:
                    moment = self.moments.pop(0)
                    break
                await _send(server, data)
            nursery.cancel_scope.cancel()
        return moment


async def _received(stream: trio.SocketStream) -> bytes:
    try:
        return bytes(await stream.receive_some(CHUNK))
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return b""


async def _send(stream: trio.SocketStream, data: bytes) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        await stream.send_all(data)


@asynccontextmanager
async def between(url: str) -> AsyncIterator[Proxy]:
    """One, until the end of the block."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    proxy = Proxy(url, listeners[0].socket.getsockname()[1])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, proxy.serve, listeners)
        yield proxy
        nursery.cancel_scope.cancel()

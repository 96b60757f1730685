"""The side door: HTTP beside the protocol, on ports of its own or on those of WebSocket.

Whoever comes to a port of the side door is looked at first, in `hello_ms` and HTTP_HEAD_BYTES: `Upgrade: websocket` on
a port that also speaks the protocol makes an endpoint for the server, everything else is handed to hypercorn at the
other end of a pair of sockets. It listens nowhere, so a server that is killed leaves nothing behind, and knows neither
our ports nor our certificates.

Rules:
* One request a connection, and of it the head alone: nothing here takes a body. A reverse proxy keeps connections open
  and would send an upgrade after another request, where nobody looks any more; and hypercorn fails on two at once.
* HTTP/1 alone: HTTP/2 would bring hundreds of requests over one connection. Who asks to change to it is answered as if
  he had not; who begins with it has no answer.
* A port bounds who is in it and how long, apart from the other ports and from the server: who is slow here is slow
  alone (P10).
* It outlives the drain: /readyz has to say that the server stops. WebSockets that come then are closed at once.
* Nothing that happens here ends the server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import attrs
import h11
import hypercorn.config
import hypercorn.logging
import structlog
import trio
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import Framework
from hypercorn.utils import wrap_app
from starlette.types import ASGIApp

from wirechat.server import limits
from wirechat.server.endpoint import DirectStream, Endpoint, StreamEndpoint, WebSocketEndpoint
from wirechat.server.listeners import Listener
from wirechat.server.proxy import NotProxied
from wirechat.wire.limits import HELLO_MS

log = structlog.get_logger(__name__)

BROKEN = (OSError, trio.BrokenResourceError, trio.ClosedResourceError, NotProxied)
"""What a peer can do to its connection."""


@attrs.define
class _Port:
    """A listening socket of the side door, and who is in it."""

    listener: Listener
    newcomers: int = 0
    requests: int = 0

    @property
    def chats(self) -> bool:
        return self.listener.transport in ("ws", "wss")


class SideDoor:
    """Serves HTTP on listeners of the kinds "http", "ws" and "wss"; iterating gives the WebSockets that came in, as a
    listener does.
    """

    def __init__(self, listeners: Sequence[Listener], application: ASGIApp) -> None:
        self._ports = [_Port(listener) for listener in listeners]
        self._found, self._endpoints = trio.open_memory_channel[Endpoint](0)
        self._inside = _Inside(application)

    async def __aiter__(self) -> AsyncIterator[Endpoint]:
        async with self._endpoints:  # once the server accepts no more, sending fails at once
            async for endpoint in self._endpoints:
                yield endpoint

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        async with trio.open_nursery() as nursery:
            for port in self._ports:
                nursery.start_soon(self._accept, port, nursery)
            task_status.started()

    async def _accept(self, port: _Port, nursery: trio.Nursery) -> None:
        async for stream in port.listener.streams():
            if port.newcomers >= limits.HTTP_NEWCOMERS_MAX:
                stream.abort()
            else:
                nursery.start_soon(self._receive, port, stream, nursery)

    async def _receive(self, port: _Port, stream: StreamEndpoint, nursery: trio.Nursery) -> None:
        """The exception barrier of one connection, which ends here unless the server has it."""
        given = False
        try:
            given = await self._sort(port, stream, nursery)
        except* BROKEN as group:
            log.debug("an HTTP connection broke", peer=stream.peer.address, reason=str(group.exceptions[0]))
        except* Exception:
            log.exception("an HTTP connection failed", peer=stream.peer.address)
        finally:
            if not given:
                stream.abort()

    async def _sort(self, port: _Port, stream: StreamEndpoint, nursery: trio.Nursery) -> bool:
        """Serve a newcomer; whether it was given to the server instead."""
        head, upgrades = b"", False
        port.newcomers += 1
        try:
            with trio.move_on_after(HELLO_MS / 1000) as patience:
                await stream.handshake(nursery)
                head, upgrades = await _read_head(stream, port.chats)
        finally:
            port.newcomers -= 1
        if patience.cancelled_caught or not head:
            return False
        if upgrades:
            await self._found.send(WebSocketEndpoint(stream, head, port.listener.origins))
            return True
        if port.requests < limits.HTTP_REQUESTS_MAX:
            port.requests += 1
            try:
                await self._exchange(stream, head)
            finally:
                port.requests -= 1
        return False

    async def _exchange(self, stream: StreamEndpoint, head: bytes) -> None:
        """One request and its answer."""
        with trio.move_on_after(limits.HTTP_SECONDS):
            ours, theirs = map(trio.SocketStream, trio.socket.socketpair())
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._inside.serve, theirs)
                async with ours:  # closed first when the time is over: hypercorn shields what it sends
                    await ours.send_all(head)
                    await _splice(ours, DirectStream(stream))
            await stream.aclose(0)


async def _read_head(stream: StreamEndpoint, chats: bool) -> tuple[bytes, bool]:
    """The request as far as it was read, and whether it wants a WebSocket where the port has them; b"" when the peer
    left before or begins with HTTP/2. What is no HTTP, or too long, counts as a request too: hypercorn will say so.
    """
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.HTTP_HEAD_BYTES)
    head = b""
    while data := await stream.recv():
        head += data
        parser.receive_data(data)
        try:
            event = parser.next_event()
        except h11.RemoteProtocolError:
            return head, False
        if isinstance(event, h11.Request):
            wanted = [value.lower() for name, value in event.headers if name == b"upgrade"]
            if event.method == b"PRI":
                return b"", False
            if chats and b"websocket" in wanted:
                return head, True
            if {*wanted} - {b"websocket"}:
                return _without_upgrade(event), False
            return head.removesuffix(parser.trailing_data[0]), False
    return b"", False


def _without_upgrade(request: h11.Request) -> bytes:
    """The same request, which does not ask to go on with another protocol."""
    kept = [header for header in request.headers if header[0] not in (b"upgrade", b"connection", b"http2-settings")]
    lines = [b"%b %b HTTP/%b" % (request.method, request.target, request.http_version)]
    return b"\r\n".join([*lines, *(b"%b: %b" % header for header in kept), b"", b""])


async def _splice(source: trio.abc.ReceiveStream, target: trio.abc.SendStream) -> None:
    """Carry bytes until one side ends."""
    try:
        while data := await source.receive_some(65536):
            await target.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass


# hypercorn


class _Inside:
    """Hypercorn as it serves one connection, and an application."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = wrap_app(cast(Framework, application), 0, "asgi")
        self._config = _config()

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection, until its end; it is closed then."""
        await TCPServer(self._application, self._config, WorkerContext(None), {}, cast(Any, stream))


class _Log(hypercorn.logging.Logger):
    """What hypercorn has to say goes where everything goes."""

    async def access(self, request: Any, response: Any, request_time: float) -> None:
        status = response["status"] if response else None
        log.debug("http", method=request.get("method"), path=request["path"], status=status, seconds=request_time)

    async def exception(self, message: str, *args: Any, **kwargs: Any) -> None:
        log.exception("a request of the side door failed", reason=message % args if args else message.strip())


def _config() -> hypercorn.config.Config:
    config = hypercorn.config.Config()
    config.logger_class = _Log
    config.errorlog = None
    config.include_server_header = False
    config.keep_alive_max_requests = 0  # answers say `connection: close`
    config.h11_max_incomplete_size = limits.HTTP_HEAD_BYTES
    config.read_timeout = int(limits.HTTP_SECONDS)
    return config

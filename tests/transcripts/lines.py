"""Connections that carry frame bodies, over TCP and over WebSocket. A body that is None says that the server closed."""

from typing import Protocol

import trio
import trio_websocket


class Line(Protocol):
    """One connection, seen by the client."""

    async def send(self, *bodies: bytes) -> None:
        """Frames, all at once where the transport can."""

    async def send_raw(self, data: bytes) -> None:
        """Bytes as they are; on WebSocket they are one frame, whose length prefix is taken off."""

    async def recv(self) -> bytes | None:
        """The next body; None when the server closed."""

    async def drop(self) -> None:
        """Ends the connection without a word."""


class TcpLine:
    """Bodies behind lengths of four bytes."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._received = bytearray()

    async def send(self, *bodies: bytes) -> None:
        await self.send_raw(b"".join(len(body).to_bytes(4, "big") + body for body in bodies))

    async def send_raw(self, data: bytes) -> None:
        await self._stream.send_all(data)

    async def recv(self) -> bytes | None:
        while len(self._received) < 4 or len(self._received) < 4 + self._size:
            try:
                data = await self._stream.receive_some(65536)
            except trio.BrokenResourceError:
                return None
            if not data:
                return None
            self._received += data
        body = bytes(self._received[4 : 4 + self._size])
        del self._received[: 4 + len(body)]
        return body

    @property
    def _size(self) -> int:
        return int.from_bytes(self._received[:4], "big")

    async def drop(self) -> None:
        await trio.aclose_forcefully(self._stream)


class WebSocketLine:
    """One body in one binary message. `close_code` is the status the server closed with."""

    def __init__(self, websocket: trio_websocket.WebSocketConnection, stream: trio.abc.Stream) -> None:
        self._websocket = websocket
        self._stream = stream
        self.close_code: int | None = None

    async def send(self, *bodies: bytes) -> None:
        for body in bodies:
            await self._websocket.send_message(body)

    async def send_raw(self, data: bytes) -> None:
        assert len(data) == 4 + int.from_bytes(data[:4], "big"), "on WebSocket raw bytes are one frame"
        await self.send(data[4:])

    async def recv(self) -> bytes | None:
        try:
            message = await self._websocket.get_message()
        except trio_websocket.ConnectionClosed as closed:
            self.close_code = closed.reason.code if closed.reason else None
            return None
        assert isinstance(message, bytes)
        return message

    async def drop(self) -> None:
        await trio.aclose_forcefully(self._stream)


async def connect_tcp(port: int) -> TcpLine:
    """A connection to this machine."""
    return TcpLine(await trio.open_tcp_stream("127.0.0.1", port))


async def connect_websocket(port: int, nursery: trio.Nursery) -> WebSocketLine:
    """A connection to this machine; its reader lives in `nursery`."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    websocket = await trio_websocket.wrap_client_stream(
        nursery, stream, f"127.0.0.1:{port}", "/", subprotocols=["wirechat.v1"]
    )
    return WebSocketLine(websocket, stream)

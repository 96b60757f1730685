"""A WebSocket that behaves like the socket below it: frames with their length prefix go in and come out."""

from __future__ import annotations

import wsproto
from wsproto.events import AcceptConnection, BytesMessage, Event, Request

from bench.frames import PREFIX, Stream

SUBPROTOCOL = "wirechat.v1"
RECV_BYTES = 65_536


class WebSocket:
    """One connection, opened at once. Blocking."""

    def __init__(self, sock: Stream) -> None:
        """Raises OSError when the other side speaks no WebSocket."""
        self._sock = sock
        self._protocol = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self._parts: list[bytes] = []
        sock.sendall(self._protocol.send(Request(host="127.0.0.1", target="/", subprotocols=[SUBPROTOCOL])))
        if not isinstance(next(iter(self._read()), None), AcceptConnection):
            raise OSError("the server did not accept a WebSocket")

    def fileno(self) -> int:
        """Of the socket."""
        return self._sock.fileno()

    def close(self) -> None:
        """Without a goodbye."""
        self._sock.close()

    def setblocking(self, blocking: bool, /) -> None:
        """As of a socket."""
        self._sock.setblocking(blocking)

    def send(self, data: bytes, /) -> int:
        """All of it."""
        self.sendall(data)
        return len(data)

    def sendall(self, data: bytes, /) -> None:
        """Each frame is a message."""
        at, messages = 0, []
        while at < len(data):
            body_at = at + PREFIX.size
            at = body_at + PREFIX.unpack_from(data, at)[0]
            messages.append(self._protocol.send(BytesMessage(data[body_at:at])))
        self._sock.sendall(b"".join(messages))

    def recv(self, size: int, /) -> bytes:
        """Whole frames, however many arrived; b"" at the end."""
        while True:
            frames = [frame for event in self._read() for frame in self._frames(event)]
            if frames or self._protocol.state is not wsproto.connection.ConnectionState.OPEN:
                return b"".join(frames)

    def _read(self) -> list[Event]:
        data = self._sock.recv(RECV_BYTES)
        self._protocol.receive_data(data or None)
        return list(self._protocol.events())

    def _frames(self, event: Event) -> list[bytes]:
        if not isinstance(event, BytesMessage):
            return []
        self._parts.append(bytes(event.data))
        if not event.message_finished:
            return []
        body = b"".join(self._parts)
        self._parts = []
        return [PREFIX.pack(len(body)) + body]

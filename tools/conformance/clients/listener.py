"""Where the client under test connects: a listening socket, and the server's end of TCP and WebSocket.

Reading never waits: `receive` takes what has come and gives the bodies that are complete.
"""

from __future__ import annotations

import base64
import hashlib
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from ..sockets import BINARY, CLOSE, CONTINUATION, HEAD_BYTES_MAX, PING, PONG, WEBSOCKET_KEY_SUFFIX

RECEIVE_BYTES = 65536
FRAME_BYTES_MAX = 1 << 20
SCHEMES = ("wirechat", "ws")
FATAL = 1000
STATUS_NORMAL, STATUS_FATAL = 1000, 4000


class Ended(ConnectionError):
    """The client has closed the connection."""


class Broken(ValueError):
    """Bytes that are no frames; the message says why."""


@dataclass(frozen=True)
class Address:
    """Where to listen. `port` 0: any free one."""

    scheme: str
    host: str
    port: int

    def url(self, port: int) -> str:
        """What the client is given."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{port}" + ("/" if self.scheme == "ws" else "")


def parse_address(text: str) -> Address:
    """HOST:PORT, wirechat://HOST:PORT or ws://HOST:PORT. Raises ValueError with one line that says what is wrong."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "wirechat", text
    host, colon, port = rest.rstrip("/").rpartition(":")
    if scheme not in SCHEMES:
        raise ValueError(f"{text!r} must begin with wirechat:// or ws://, or be HOST:PORT")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:0")
    return Address(scheme, host.strip("[]"), int(port))


def listen(address: Address) -> socket.socket:
    """A listening socket. Raises OSError."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    return socket.create_server((address.host, address.port), family=family, backlog=64)


class Incoming(Protocol):
    """The server's end of one connection."""

    raw: socket.socket

    def receive(self) -> Iterator[bytes]: ...
    def send(self, *bodies: bytes) -> None: ...
    def finish(self, error: int) -> None: ...
    def close(self) -> None: ...


class StreamServer:
    """Bodies behind lengths of four bytes."""

    def __init__(self, raw: socket.socket) -> None:
        self.raw = raw
        self._received = bytearray()

    def receive(self) -> Iterator[bytes]:
        """The bodies that are complete now. Raises Ended, Broken, OSError."""
        self._received += _chunk(self.raw)
        while len(self._received) >= 4:
            (length,) = struct.unpack(">I", self._received[:4])
            if not 0 < length <= FRAME_BYTES_MAX:
                raise Broken(f"a frame of {length} bytes")
            if len(self._received) < 4 + length:
                return
            body = bytes(self._received[4 : 4 + length])
            del self._received[: 4 + length]
            yield body

    def send(self, *bodies: bytes) -> None:
        """Frames, all in one go."""
        self.raw.sendall(b"".join(struct.pack(">I", len(body)) + body for body in bodies))

    def finish(self, error: int) -> None:
        """No more bytes will be sent. The client's are still read, so that none of ours is lost by a reset."""
        self.raw.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.raw.close()


class WebSocketServer:
    """One body in one binary message: RFC 6455 without extensions. `offered`: the lines of the client's request."""

    def __init__(self, raw: socket.socket) -> None:
        self.raw = raw
        self.offered: dict[str, str] = {}
        self.pongs: list[bytes] = []
        self._received = bytearray()
        self._body = b""

    def receive(self) -> Iterator[bytes]:
        """The bodies that are complete now. Raises Ended, Broken, OSError."""
        self._received += _chunk(self.raw)
        if not self.offered and not self._upgrade():
            return
        while (part := self._part()) is not None:
            final, code, payload = part
            if code == PING:
                self.raw.sendall(unmasked(PONG, payload))
            elif code == CLOSE:
                raise Ended("the client closed the WebSocket")
            elif code in (BINARY, CONTINUATION):
                self._body += payload
                if final:
                    body, self._body = self._body, b""
                    yield body
            elif code == PONG:
                self.pongs.append(payload)
            else:
                raise Broken(f"a WebSocket message of type {code}")

    def send(self, *bodies: bytes) -> None:
        """Frames, all in one go."""
        self.raw.sendall(b"".join(unmasked(BINARY, body) for body in bodies))

    def finish(self, error: int) -> None:
        """Closes with the status that goes with an ERROR without rid [2-12]; the client's answer is still read."""
        status = STATUS_FATAL + error - FATAL if FATAL <= error < 2 * FATAL else STATUS_NORMAL
        self.raw.sendall(unmasked(CLOSE, struct.pack(">H", status)))

    def close(self) -> None:
        self.raw.close()

    def _upgrade(self) -> bool:
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            if len(self._received) > HEAD_BYTES_MAX:
                raise Broken("an endless request for a WebSocket")
            return False
        first, *lines = bytes(self._received[:end]).decode("latin-1").split("\r\n")
        del self._received[: end + 4]
        pairs = (line.partition(":") for line in lines)
        self.offered = {name.strip().lower(): value.strip() for name, _, value in pairs}
        if not first.startswith("GET ") or "sec-websocket-key" not in self.offered:
            raise Broken(f"no request for a WebSocket: {first!r}")
        digest = hashlib.sha1(self.offered["sec-websocket-key"].encode() + WEBSOCKET_KEY_SUFFIX).digest()
        answer = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}",
            "Sec-WebSocket-Protocol: wirechat.v1",
        ]
        self.raw.sendall("\r\n".join([*answer, "", ""]).encode())
        return True

    def _part(self) -> tuple[bool, int, bytes] | None:
        data = self._received
        if len(data) < 2:
            return None
        length, head = data[1] & 0x7F, 2
        if length > 125:
            head = 4 if length == 126 else 10
            if len(data) < head:
                return None
            length = int.from_bytes(data[2:head], "big")
        if not data[1] & 0x80:
            raise Broken("a WebSocket frame without mask")
        if length > FRAME_BYTES_MAX:
            raise Broken(f"a WebSocket message of {length} bytes")
        if len(data) < head + 4 + length:
            return None
        mask, payload = bytes(data[head : head + 4]), bytes(data[head + 4 : head + 4 + length])
        first = data[0]
        del data[: head + 4 + length]
        plain = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        return bool(first & 0x80), first & 0x0F, plain


def unmasked(code: int, payload: bytes, *, final: bool = True) -> bytes:
    """One WebSocket frame of a server."""
    first, length = (0x80 if final else 0) | code, len(payload)
    if length < 126:
        return struct.pack(">BB", first, length) + payload
    if length < 1 << 16:
        return struct.pack(">BBH", first, 126, length) + payload
    return struct.pack(">BBQ", first, 127, length) + payload


def _chunk(raw: socket.socket) -> bytes:
    chunk = raw.recv(RECEIVE_BYTES)
    if not chunk:
        raise Ended("the client closed the connection")
    return chunk

"""One connection to a server, over TCP, TLS or WebSocket: frames out, bodies in, and nothing ever waits.

What the socket does not take at once is kept and sent when it can; a server that does not read shows as `unsent` bytes.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import Iterable
from typing import Protocol

import attrs

from tools.loadgen.loop import ENDED, READ, WRITE, Loop
from tools.loadgen.websocket import Ended, WebSocket
from wirechat.client.transport import untrusted
from wirechat.wire import limits

RECV_BYTES = 262_144
ALPN = "wirechat/1"
SUBPROTOCOL = "wirechat.v1"
CONNECT_SECONDS = 30.0
FRAME_BYTES_MAX = limits.SERVER_FRAME_BYTES + 4


@attrs.frozen
class Place:
    """Where a server listens, and how it is spoken to.

    tls         None without
    websocket   path and host header; None without
    framed      frames of our own protocol; else bytes are passed on as they come
    """

    address: tuple[str, int]
    family: socket.AddressFamily
    host: str
    tls: ssl.SSLContext | None = None
    websocket: tuple[str, str] | None = None
    framed: bool = True


class Owner(Protocol):
    """Whose line it is."""

    def opened(self) -> None:
        """Frames can be sent."""

    def received(self, bodies: list[bytes]) -> None:
        """Bodies of frames arrived, in order; or, where there are no frames, bytes."""

    def ended(self, why: str) -> None:
        """The line is gone, for a reason that fits on a line. Not called after `close`."""


class Line:
    """One connection. It begins to connect when it is made."""

    __slots__ = (
        "_handshaking", "_loop", "_out", "_owner", "_place", "_socket", "_tail", "_websocket", "closed",
        "received_bytes", "sent_bytes",
    )  # fmt: skip

    def __init__(self, loop: Loop, place: Place, owner: Owner) -> None:
        self._loop = loop
        self._place = place
        self._owner = owner
        self._out = b""
        self._tail = b""
        self._websocket: WebSocket | None = None
        self.closed = False
        self.sent_bytes = 0
        self.received_bytes = 0
        self._handshaking = True
        self._socket = socket.socket(place.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(BlockingIOError):
            self._socket.connect(place.address)
        loop.watch(self, READ | WRITE)
        loop.after(CONNECT_SECONDS, self._patience)

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def unsent(self) -> int:
        """Bytes that the socket did not take yet."""
        return len(self._out)

    # out

    def write(self, frames: bytes) -> None:
        """Send whole frames, with their prefixes."""
        if self.closed:
            return
        if self._websocket is not None:
            frames = b"".join(map(self._websocket.frame, _bodies(frames)))
        self._send(frames)

    def write_bytes(self, data: bytes) -> None:
        """Send what need not be frames."""
        if not self.closed and data:
            self._send(data)

    def _send(self, data: bytes) -> None:
        if self._out:
            self._out += data
            return
        sent = self._try(data)
        if sent < len(data) and not self.closed:
            self._out = data[sent:]
            self._loop.watch(self, READ | WRITE)

    def _try(self, data: bytes) -> int:
        try:
            sent = self._socket.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0
        except OSError as error:
            self._end(_reason(error))
            return 0
        self.sent_bytes += sent
        return sent

    # in

    def ready(self, events: int) -> None:
        """What epoll says."""
        if self._handshaking:
            self._shake_hands()
            return
        if events & WRITE:
            self._flush()
        if events & (READ | ENDED) and not self.closed:
            self._read()

    def _flush(self) -> None:
        out, self._out = self._out, b""
        sent = self._try(out)
        self._out = out[sent:]
        if not self._out and not self.closed:
            self._loop.watch(self, READ)

    def _read(self) -> None:
        try:
            data = self._socket.recv(RECV_BYTES)
            while (pending := self._pending()) and data:
                data += self._socket.recv(pending)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            self._end(_reason(error))
            return
        if not data:
            self._end("the server closed the connection")
            return
        self.received_bytes += len(data)
        if self._websocket is not None:
            self._read_websocket(data)
        elif self._place.framed:
            self._read_frames(data)
        else:
            self._owner.received([data])

    def _pending(self) -> int:
        """Bytes that TLS has decrypted already: epoll does not see them."""
        return self._socket.pending() if isinstance(self._socket, ssl.SSLSocket) else 0

    def _read_frames(self, data: bytes) -> None:
        if self._tail:
            data = self._tail + data
        at, end, bodies = 0, len(data), []
        while end - at >= 4:
            after = at + 4 + int.from_bytes(data[at : at + 4], "big")
            if after > end:
                if after - at > FRAME_BYTES_MAX:
                    self._end("what is there speaks another protocol")
                    return
                break
            bodies.append(data[at + 4 : after])
            at = after
        self._tail = data[at:]
        if bodies:
            self._owner.received(bodies)

    def _read_websocket(self, data: bytes) -> None:
        assert self._websocket is not None
        was_open = self._websocket.is_open
        try:
            bodies = self._websocket.receive(data)
        except Ended as error:
            self._end(str(error))
            return
        if answers := self._websocket.to_send():
            self._send(answers)
        if not was_open and self._websocket.is_open:
            self._owner.opened()
        if bodies and not self.closed:
            self._owner.received(bodies)

    # beginning and end

    def _shake_hands(self) -> None:
        try:
            if error := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(error, "")
            if self._place.tls is not None and not isinstance(self._socket, ssl.SSLSocket):
                self._socket = self._place.tls.wrap_socket(
                    self._socket, server_hostname=self._place.host, do_handshake_on_connect=False
                )
            if isinstance(self._socket, ssl.SSLSocket):
                self._socket.do_handshake()
        except ssl.SSLWantReadError:
            self._loop.watch(self, READ)
            return
        except ssl.SSLWantWriteError:
            self._loop.watch(self, WRITE)
            return
        except ssl.SSLCertVerificationError as error:
            self._end(untrusted(error, self._place.host))
            return
        except (OSError, ValueError) as error:
            self._end(_reason(error))
            return
        self._handshaking = False
        self._loop.watch(self, READ)
        if self._place.websocket is None:
            self._owner.opened()
        else:
            path, host = self._place.websocket
            self._websocket = WebSocket(host, path, SUBPROTOCOL)
            self._send(self._websocket.to_send())

    def _patience(self) -> None:
        if self._handshaking and not self.closed:
            self._end(f"no connection within {CONNECT_SECONDS:.0f} s")

    def _end(self, why: str) -> None:
        if not self.closed:
            self.close()
            self._owner.ended(why)

    def close(self) -> None:
        """Leave without a goodbye; harmless when it is over."""
        if not self.closed:
            self.closed = True
            self._loop.forget(self)
            self._socket.close()


def _bodies(frames: bytes) -> Iterable[bytes]:
    at = 0
    while at < len(frames):
        end = at + 4 + int.from_bytes(frames[at : at + 4], "big")
        yield frames[at + 4 : end]
        at = end


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"no TLS there ({error.reason})"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: is the server running?"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__

"""Connections of clients that are read and written as sockets are: TCP, TLS, WebSocket."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import Protocol

from bench.benchmark import BenchError
from bench.frames import PREFIX
from tools.loadgen.websocket import Ended
from tools.loadgen.websocket import WebSocket as Messages

PATIENCE = 20.0
"""Seconds an answer may take while connections are set up."""
RECV_BYTES = 262_144


class Stream(Protocol):
    """A socket, as far as it is used here."""

    def fileno(self) -> int: ...
    def close(self) -> None: ...
    def setblocking(self, blocking: bool, /) -> None: ...
    def send(self, data: bytes, /) -> int: ...
    def sendall(self, data: bytes, /) -> None: ...
    def recv(self, size: int, /) -> bytes: ...


def connect(port: int, tls: ssl.SSLContext | None = None) -> Stream:
    """A new connection to a port of this machine, blocking. Raises OSError."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock if tls is None else Tls(sock, tls)


class Tls:
    """Reads everything that is decrypted at once: what is left over does not show in epoll."""

    def __init__(self, sock: socket.socket, tls: ssl.SSLContext) -> None:
        self._sock = tls.wrap_socket(sock, server_hostname="127.0.0.1")
        self.fileno, self.setblocking, self.close = self._sock.fileno, self._sock.setblocking, self._sock.close
        self.send, self.sendall = self._sock.send, self._sock.sendall

    def recv(self, size: int, /) -> bytes:
        """As of a socket."""
        try:
            data = self._sock.recv(size)
            while data and (more := self._sock.pending()):
                data += self._sock.recv(more)
        except ssl.SSLWantReadError:
            raise BlockingIOError from None
        return data


class WebSocket:
    """Messages that mean nothing by themselves; `framed`: each is a frame of ours, without its length."""

    def __init__(self, sock: Stream, subprotocol: str = "", *, framed: bool = False) -> None:
        """Opened at once. Raises BenchError when the other side speaks no WebSocket."""
        self._sock = sock
        self._framed = framed
        self._messages = Messages("127.0.0.1", subprotocol=subprotocol)
        self._early = b""
        self.fileno, self.setblocking, self.close = sock.fileno, sock.setblocking, sock.close
        try:
            sock.sendall(self._messages.to_send())
            while not self._messages.is_open:
                self._early += self._read()
        except (Ended, OSError) as error:
            raise BenchError(f"no WebSocket: {error}") from None

    def send(self, data: bytes, /) -> int:
        """All of it."""
        self.sendall(data)
        return len(data)

    def sendall(self, data: bytes, /) -> None:
        """Whole frames, where they are framed."""
        messages = _bodies(data) if self._framed else (data,)
        self._sock.sendall(b"".join(map(self._messages.frame, messages)))

    def recv(self, size: int, /) -> bytes:
        """Whole messages, however many arrived; b"" at the end."""
        data, self._early = self._early, b""
        try:
            while not data:
                data = self._read()
        except Ended:
            return b""
        return data

    def _read(self) -> bytes:
        data = self._sock.recv(RECV_BYTES)
        if not data:
            raise Ended("the server closed the connection")
        messages = self._messages.receive(data)
        if answers := self._messages.to_send():
            self._sock.sendall(answers)
        return b"".join(PREFIX.pack(len(each)) + each for each in messages) if self._framed else b"".join(messages)


def _bodies(frames: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(frames):
        body_at = at + PREFIX.size
        at = body_at + PREFIX.unpack_from(frames, at)[0]
        yield frames[body_at:at]

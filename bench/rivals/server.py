"""A rival that runs, and how one connects to it: over TCP, TLS or a WebSocket."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Protocol

import attrs
import wsproto
from wsproto.events import AcceptConnection, BytesMessage, Request

from bench.benchmark import BenchError
from bench.client import PATIENCE, RECV_BYTES
from bench.process import Processes


class Stream(Protocol):
    """What a connection is read and written through."""

    def fileno(self) -> int: ...
    def recv(self, size: int, /) -> bytes: ...
    def send(self, data: bytes, /) -> int: ...
    def setblocking(self, blocking: bool, /) -> None: ...
    def close(self) -> None: ...


@attrs.frozen
class Server:
    """Its processes and where it listens.

    trust           the certificate to expect; None without TLS
    subprotocol     of the WebSocket, if it is one and speaks bytes; None else
    """

    processes: Processes
    port: int
    trust: Path | None = None
    subprotocol: str | None = None

    def connect(self) -> Stream:
        """A new connection. Raises BenchError."""
        try:
            sock = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream: Stream = sock
            if self.trust is not None:
                stream = Tls(sock, self.trust)
            elif self.subprotocol is not None:
                stream = WebSocket(sock, self.subprotocol)
        except OSError as error:
            raise BenchError(f"no connection: {error}") from None
        stream.setblocking(False)
        return stream


class Tls:
    """Reads everything that is decrypted at once: what is left over does not show in epoll."""

    def __init__(self, sock: socket.socket, trust: Path) -> None:
        self._sock = ssl.create_default_context(cafile=str(trust)).wrap_socket(sock, server_hostname="127.0.0.1")
        self.fileno, self.setblocking, self.close = self._sock.fileno, self._sock.setblocking, self._sock.close

    def send(self, data: bytes, /) -> int:
        return self._sock.send(data)

    def recv(self, size: int, /) -> bytes:
        try:
            data = self._sock.recv(size)
            while data and (more := self._sock.pending()):
                data += self._sock.recv(more)
        except ssl.SSLWantReadError:
            raise BlockingIOError from None
        return data


class WebSocket:
    """Bytes in messages that mean nothing by themselves."""

    def __init__(self, sock: socket.socket, subprotocol: str) -> None:
        self._sock = sock
        self._protocol = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        subprotocols = [subprotocol] if subprotocol else []
        sock.sendall(self._protocol.send(Request(host="127.0.0.1", target="/", subprotocols=subprotocols)))
        self._early = b""
        answer = self._read()
        if not any(isinstance(event, AcceptConnection) for event in answer):
            raise BenchError("the server did not accept a WebSocket")
        self.fileno, self.setblocking, self.close = sock.fileno, sock.setblocking, sock.close

    def _read(self) -> list[wsproto.events.Event]:
        self._protocol.receive_data(self._sock.recv(RECV_BYTES) or None)
        events = list(self._protocol.events())
        self._early += b"".join(bytes(event.data) for event in events if isinstance(event, BytesMessage))
        return events

    def send(self, data: bytes, /) -> int:
        self._sock.sendall(self._protocol.send(BytesMessage(data)))
        return len(data)

    def recv(self, size: int, /) -> bytes:
        if not self._early:
            self._read()
        data, self._early = self._early, b""
        if not data and self._protocol.state is wsproto.connection.ConnectionState.OPEN:
            raise BlockingIOError
        return data

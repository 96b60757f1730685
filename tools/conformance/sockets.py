"""Blocking sockets that carry frame bodies: TCP, TLS and WebSocket, with the standard library alone.

wirechat:// and wirechats:// put a length of four bytes before each body; ws:// and wss:// send each body as one binary
message. Whatever breaks is a ConnectionError or a timeout, both OSError.
"""

import base64
import hashlib
import os
import socket
import ssl
import struct
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

PORTS = {"wirechat": 7420, "wirechats": 7421, "ws": 80, "wss": 443}
BODY_BYTES_MAX = 131072
HEAD_BYTES_MAX = 16384
WEBSOCKET_KEY_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, BINARY, CLOSE, PING, PONG = 0, 2, 8, 9, 10


class Bodies(Protocol):
    """Frame bodies in both directions. `certificate_digest`: SHA-256 of the server's certificate, None without TLS."""

    certificate_digest: bytes | None

    def send(self, body: bytes) -> None: ...
    def recv(self) -> bytes: ...
    def close(self) -> None: ...


def connect(url: str, ca: str | None = None, timeout: float = 30.0) -> Bodies:
    """Opens a connection; no operation on it takes longer than `timeout` seconds. Raises OSError, ValueError."""
    parts = parse_url(url)
    host, port = str(parts.hostname), parts.port or PORTS[parts.scheme]
    raw: socket.socket = socket.create_connection((host, port), timeout)
    try:
        digest = None
        if parts.scheme in ("wirechats", "wss"):
            secure = ssl.create_default_context(cafile=ca).wrap_socket(raw, server_hostname=host)
            digest = hashlib.sha256(secure.getpeercert(binary_form=True) or b"").digest()
            raw = secure
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if parts.scheme in ("ws", "wss"):
            return WebSocket(raw, digest, parts)
        return Stream(raw, digest)
    except BaseException:
        raw.close()
        raise


def parse_url(url: str) -> SplitResult:
    """Raises ValueError with one line that says what is wrong."""
    parts = urlsplit(url)
    if parts.scheme not in PORTS:
        raise ValueError(f"{url!r} must begin with one of {', '.join(f'{name}://' for name in PORTS)}")
    if not parts.hostname:
        raise ValueError(f"{url!r} names no host")
    if parts.port == 0:
        raise ValueError(f"{url!r} names no port")
    return parts


class _Buffered:
    """A socket from which exact lengths can be read."""

    def __init__(self, raw: socket.socket, certificate_digest: bytes | None) -> None:
        self.certificate_digest = certificate_digest
        self._raw = raw
        self._received = bytearray()

    def close(self) -> None:
        self._raw.close()

    def _take(self, length: int) -> bytes:
        while len(self._received) < length:
            self._more()
        taken = bytes(self._received[:length])
        del self._received[:length]
        return taken

    def _more(self) -> None:
        chunk = self._raw.recv(65536)
        if not chunk:
            raise ConnectionError("the server closed the connection")
        self._received += chunk


class Stream(_Buffered):
    """Bodies behind lengths of four bytes."""

    def send(self, body: bytes) -> None:
        self._raw.sendall(struct.pack(">I", len(body)) + body)

    def recv(self) -> bytes:
        (length,) = struct.unpack(">I", self._take(4))
        if not 0 < length <= BODY_BYTES_MAX:
            raise ConnectionError(f"a frame of {length} bytes")
        return self._take(length)


class WebSocket(_Buffered):
    """One body in one binary message. A minimal client of RFC 6455, without extensions."""

    def __init__(self, raw: socket.socket, certificate_digest: bytes | None, parts: SplitResult) -> None:
        super().__init__(raw, certificate_digest)
        self._upgrade(parts)

    def send(self, body: bytes) -> None:
        self._send_message(BINARY, body)

    def recv(self) -> bytes:
        body = b""
        while True:
            final, code, payload = self._recv_part()
            if code == PING:
                self._send_message(PONG, payload)
            elif code == CLOSE:
                raise ConnectionError(f"the server closed the WebSocket: {payload[2:].decode(errors='replace')}")
            elif code in (BINARY, CONTINUATION):
                body += payload
                if final:
                    return body
            elif code != PONG:
                raise ConnectionError(f"a WebSocket message of type {code}")

    def _upgrade(self, parts: SplitResult) -> None:
        key = base64.b64encode(os.urandom(16))
        lines = [
            f"GET {parts.path or '/'} HTTP/1.1",
            f"Host: {parts.netloc}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key.decode()}",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: wirechat.v1",
        ]
        self._raw.sendall("\r\n".join([*lines, "", ""]).encode())
        status, *headers = self._recv_head().decode("latin-1").split("\r\n")
        if " 101 " not in status + " ":
            raise ConnectionError(f"no WebSocket here: {status}")
        told = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in headers)}
        accept = base64.b64encode(hashlib.sha1(key + WEBSOCKET_KEY_SUFFIX).digest()).decode()
        if told.get("sec-websocket-accept") != accept or told.get("sec-websocket-protocol") != "wirechat.v1":
            raise ConnectionError("the server does not speak wirechat.v1 here")

    def _recv_head(self) -> bytes:
        while (end := self._received.find(b"\r\n\r\n")) < 0:
            if len(self._received) > HEAD_BYTES_MAX:
                raise ConnectionError("an endless answer to the WebSocket upgrade")
            self._more()
        return self._take(end + 4)[:end]

    def _recv_part(self) -> tuple[bool, int, bytes]:
        first, length = self._take(2)
        if length == 126:
            (length,) = struct.unpack(">H", self._take(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self._take(8))
        if length > BODY_BYTES_MAX:
            raise ConnectionError(f"a WebSocket message of {length} bytes")
        return bool(first & 0x80), first & 0x0F, self._take(length)

    def _send_message(self, code: int, payload: bytes) -> None:
        mask = os.urandom(4)
        length = len(payload)
        if length < 126:
            head = struct.pack(">BB", 0x80 | code, 0x80 | length)
        elif length < 1 << 16:
            head = struct.pack(">BBH", 0x80 | code, 0x80 | 126, length)
        else:
            head = struct.pack(">BBQ", 0x80 | code, 0x80 | 127, length)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        self._raw.sendall(head + mask + masked)

"""Blocking sockets that carry frame bodies: TCP, TLS and WebSocket, with the standard library alone.

wirechat:// and wirechats:// put a length of four bytes before each body; ws:// and wss:// send each body as one binary
message. Whatever breaks is a ConnectionError or a timeout, both OSError. A timeout leaves what has arrived so far for
the next attempt.
"""

import base64
import hashlib
import os
import socket
import ssl
import struct
from collections.abc import Iterable
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

PORTS = {"wirechat": 7667, "wirechats": 7668, "ws": 80, "wss": 443}
BODY_BYTES_MAX = 131072
HEAD_BYTES_MAX = 16384
WEBSOCKET_KEY_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SUBPROTOCOL = "Sec-WebSocket-Protocol: wirechat.v1"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


class Closed(ConnectionError):
    """The server closed the connection. `status`: of a WebSocket close, None without one."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Bodies(Protocol):
    """Frame bodies in both directions. `certificate_digest`: SHA-256 of the server's certificate, None without TLS."""

    certificate_digest: bytes | None

    def send(self, body: bytes) -> None: ...
    def recv(self) -> bytes: ...
    def close(self) -> None: ...


def connect(url: str, ca: str | None = None, timeout: float = 30.0, receive_buffer: int = 0) -> "Stream | WebSocket":
    """Opens a connection; no operation on it takes longer than `timeout` seconds. Raises OSError, ValueError.

    `receive_buffer`: bytes of the kernel's buffer for what arrives, 0 for as many as it likes.
    """
    raw, digest = open_socket(url, ca, timeout, receive_buffer=receive_buffer)
    try:
        parts = parse_url(url)
        return WebSocket(raw, digest, parts) if parts.scheme in ("ws", "wss") else Stream(raw, digest)
    except BaseException:
        raw.close()
        raise


def open_socket(
    url: str,
    ca: str | None = None,
    timeout: float = 30.0,
    alpn: Iterable[str] = ("wirechat/1",),
    receive_buffer: int = 0,
) -> tuple[socket.socket, bytes | None]:
    """A connected socket, TLS done, and the digest of the certificate. Raises OSError, ValueError."""
    parts = parse_url(url)
    host = str(parts.hostname)
    try:
        raw = _dial(host, parts.port or PORTS[parts.scheme], timeout, receive_buffer)
    except ConnectionRefusedError:
        raise ConnectionRefusedError("connection refused: is the server running?") from None
    try:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if parts.scheme not in ("wirechats", "wss"):
            return raw, None
        context = _trust(ca)
        if parts.scheme == "wirechats" and (names := list(alpn)):
            context.set_alpn_protocols(names)
        try:
            secure = context.wrap_socket(raw, server_hostname=host)
        except ssl.SSLCertVerificationError as error:
            cure = f"it is not by the authority in {ca}" if ca else "give its certificate authority with --ca FILE"
            raise OSError(f"the certificate is not trusted: {error.verify_message}; {cure}") from None
        except ssl.SSLError as error:
            raise OSError(f"no TLS there ({error.reason}): is it a port for {parts.scheme}://?") from None
        return secure, hashlib.sha256(secure.getpeercert(binary_form=True) or b"").digest()
    except BaseException:
        raw.close()
        raise


def _trust(ca: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ValueError) as error:
        raise OSError(f"{ca} is no file of certificates in PEM: {getattr(error, 'strerror', None) or error}") from None


def _dial(host: str, port: int, timeout: float, receive_buffer: int) -> socket.socket:
    """The size of the buffer counts only if it is set before connecting."""
    if not receive_buffer:
        return socket.create_connection((host, port), timeout)
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    raw = socket.socket(family, kind, protocol)
    try:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        raw.settimeout(timeout)
        raw.connect(address)
    except BaseException:
        raw.close()
        raise
    return raw


def parse_url(url: str) -> SplitResult:
    """Raises ValueError with one line that says what is wrong."""
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError("the URL must name nobody: leave out the user and password, accounts are made as needed")
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
        self.raw = raw
        self._received = bytearray()

    def close(self) -> None:
        self.raw.close()

    def send_bytes(self, data: bytes) -> None:
        """Bytes as they are."""
        self.raw.sendall(data)

    def _need(self, length: int) -> None:
        while len(self._received) < length:
            self._more()

    def _take(self, length: int) -> bytes:
        self._need(length)
        taken = bytes(self._received[:length])
        del self._received[:length]
        return taken

    def _more(self) -> None:
        chunk = self.raw.recv(65536)
        if not chunk:
            raise Closed("the server closed the connection")
        self._received += chunk


class Stream(_Buffered):
    """Bodies behind lengths of four bytes."""

    def send(self, *bodies: bytes) -> None:
        """Frames, all in one go."""
        self.raw.sendall(b"".join(struct.pack(">I", len(body)) + body for body in bodies))

    def recv(self) -> bytes:
        self._need(4)
        (length,) = struct.unpack(">I", self._received[:4])
        if not 0 < length <= BODY_BYTES_MAX:
            raise ConnectionError(f"a frame of {length} bytes")
        return self._take(4 + length)[4:]


class WebSocket(_Buffered):
    """One body in one binary message. A minimal client of RFC 6455, without extensions."""

    def __init__(self, raw: socket.socket, certificate_digest: bytes | None, parts: SplitResult) -> None:
        super().__init__(raw, certificate_digest)
        self.pongs: list[bytes] = []
        self._body = b""
        self._upgrade(parts)

    def send(self, *bodies: bytes) -> None:
        """Frames, all in one go."""
        self.raw.sendall(b"".join(part(BINARY, body) for body in bodies))

    def recv(self) -> bytes:
        while True:
            final, code, payload = self._recv_part()
            if code == PING:
                self.raw.sendall(part(PONG, payload))
            elif code == CLOSE:
                status = int.from_bytes(payload[:2], "big") if payload else None
                reason = payload[2:].decode(errors="replace")
                raise Closed(f"the server closed the WebSocket ({status}): {reason}", status)
            elif code in (BINARY, CONTINUATION):
                self._body += payload
                if final:
                    body, self._body = self._body, b""
                    return body
            elif code == PONG:
                self.pongs.append(payload)
            else:
                raise ConnectionError(f"a WebSocket message of type {code}")

    def _upgrade(self, parts: SplitResult) -> None:
        key = base64.b64encode(os.urandom(16))
        self.raw.sendall(upgrade_request(parts, key, SUBPROTOCOL))
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
        self._need(2)
        first, length, head = self._received[0], self._received[1], 2
        if length > 125:
            head = 4 if length == 126 else 10
            self._need(head)
            length = int.from_bytes(self._received[2:head], "big")
        if length > BODY_BYTES_MAX:
            raise ConnectionError(f"a WebSocket message of {length} bytes")
        return bool(first & 0x80), first & 0x0F, self._take(head + length)[head:]


def upgrade_request(parts: SplitResult, key: bytes, *lines: str) -> bytes:
    """The request that begins a WebSocket, with these lines in its head."""
    head = [
        f"GET {parts.path or '/'} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key.decode()}",
        "Sec-WebSocket-Version: 13",
        *lines,
    ]
    return "\r\n".join([*head, "", ""]).encode()


def part(code: int, payload: bytes, *, final: bool = True) -> bytes:
    """One masked WebSocket frame of a client."""
    mask = os.urandom(4)
    length = len(payload)
    first = (0x80 if final else 0) | code
    if length < 126:
        head = struct.pack(">BB", first, 0x80 | length)
    elif length < 1 << 16:
        head = struct.pack(">BBH", first, 0x80 | 126, length)
    else:
        head = struct.pack(">BBQ", first, 0x80 | 127, length)
    whole = int.from_bytes(payload, "big") ^ int.from_bytes((mask * (length // 4 + 1))[:length], "big")
    return head + mask + whole.to_bytes(length, "big")

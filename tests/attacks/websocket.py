"""WebSocket by hand: what a well-behaved library would not send."""

from __future__ import annotations

import socket
import struct

from tests.attacks.victim import PATIENCE, Victim

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
BINARY, TEXT, CLOSE, PING, PONG = 2, 1, 8, 9, 10


def upgrade(victim: Victim, *headers: str, protocol: str | None = "wirechat.v1", path: str = "/") -> WebSocket:
    """A connection that has asked for a WebSocket; `status` and `head` are the answer."""
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade"]
    lines += [f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13", *headers]
    if protocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {protocol}")
    sock = socket.create_connection(("127.0.0.1", victim.port("ws")), PATIENCE)
    sock.sendall("\r\n".join([*lines, "", ""]).encode())
    return WebSocket(sock)


class WebSocket:
    """One connection after its request."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sock.settimeout(PATIENCE)
        self._data = b""
        self.head = self._until(b"\r\n\r\n").decode("latin-1")
        self.status = int(self.head.split()[1]) if self.head else 0

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._data:
            if not (data := self._recv()):
                return b""
            self._data += data
        found, _, self._data = self._data.partition(mark)
        return found

    def _recv(self) -> bytes:
        try:
            return self.sock.recv(65536)
        except ConnectionError:
            return b""

    def send(
        self, payload: bytes, opcode: int = BINARY, *, fin: bool = True, masked: bool = True, bits: int = 0
    ) -> None:
        """One frame, as it may and as it may not be."""
        first = (0x80 if fin else 0) | bits | opcode
        mask = 0x80 if masked else 0
        if len(payload) < 126:
            head = bytes((first, mask | len(payload)))
        elif len(payload) < 65536:
            head = struct.pack(">BBH", first, mask | 126, len(payload))
        else:
            head = struct.pack(">BBQ", first, mask | 127, len(payload))
        self.raw(head + (bytes(4) if masked else b"") + payload)  # a mask of zeros changes nothing

    def raw(self, data: bytes) -> None:
        try:
            self.sock.sendall(data)
        except OSError:
            pass

    def recv(self) -> tuple[int, bytes] | None:
        """(opcode, payload) of the next frame; None at the end."""
        while True:
            frame = self._frame()
            if frame is not None:
                return frame
            data = self._recv()
            if not data:
                return None
            self._data += data

    def _frame(self) -> tuple[int, bytes] | None:
        data = self._data
        if len(data) < 2:
            return None
        size, at = data[1] & 127, 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, at = int.from_bytes(data[2 : 2 + width], "big"), 2 + width
        if len(data) < at + size:
            return None
        self._data = data[at + size :]
        return data[0] & 15, data[at : at + size]

    def closed(self) -> int | None:
        """Read until the end; the status of the close frame."""
        status = None
        while (frame := self.recv()) is not None:
            if frame[0] == CLOSE:
                status = int.from_bytes(frame[1][:2], "big")
                self.send(frame[1][:2], CLOSE)
        self.sock.close()
        return status

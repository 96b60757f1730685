"""One raw connection: blocking and decoding while it is set up, counting while a measurement runs.

Rules:
* Every frame is counted by its code from the first byte on: ACK speaks in numbers of this connection.
* While a measurement runs nothing is decoded; what has no place in one is found by its count afterwards.
"""

from __future__ import annotations

import time
from typing import Any, TypeVar

import attrs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.benchmark import BenchError
from bench.frames import PREFIX, Texts, sent_ns
from bench.streams import PATIENCE, RECV_BYTES, Stream
from wirechat import wire

M = TypeVar("M", bound=wire.Message)

ACK_EVERY, ACK_SECONDS = 64, 1.0
"""So many pushes are acknowledged at once, or as many as there are with the first that comes a second later (12-3)."""

EVENT = wire.Event.CODE
SEND_OK = wire.SendOk.CODE
COUNTED = slice(16, 32)
EXPECTED = frozenset({EVENT, SEND_OK, wire.Ping.CODE, *range(16, 48)})
"""Codes that may arrive while a measurement runs."""


@attrs.frozen
class Account:
    """A user with one device and its key."""

    user: int
    device: int
    key: Ed25519PrivateKey


class Client:
    """One connection and what was counted on it."""

    __slots__ = (
        "_acked",
        "_nonce",
        "_owing_since",
        "_sock",
        "_tail",
        "codes",
        "latest",
        "received",
        "rid",
        "texts",
        "user",
    )

    def __init__(self, sock: Stream) -> None:
        self._sock = sock
        self._tail = b""
        self.rid = 0
        """Of the last request."""
        self._acked = 0
        self._owing_since = 0.0
        """When the first push came that is not acknowledged."""
        self._nonce = b""
        self.user = 0
        self.codes = [0] * 256
        """Frames received, by code."""
        self.received = 0
        """Bytes of the frames that came so far."""
        self.latest = b""
        """The newest EVENT."""
        self.texts: Texts | None = None
        """What this client says, if it is a sender."""

    def fileno(self) -> int:
        """For epoll."""
        return self._sock.fileno()

    def close(self) -> None:
        """Leave without a goodbye."""
        self._sock.close()

    # set-up: blocking

    def send(self, *messages: Any) -> None:
        """Send frames in one piece, requests with a fresh rid."""
        self._sock.sendall(b"".join(map(self._encoded, messages)))

    def _encoded(self, message: Any) -> bytes:
        if message.RANGE == "request":
            self.rid += 1
            message.rid = self.rid
        data: bytes = message.encode()
        return data

    def expect(self, kind: type[M]) -> M:
        """The next frame of this kind; others before it are counted only. Raises BenchError."""
        message = wire.decode(self.expect_frame(kind)[PREFIX.size :], side="server")
        assert isinstance(message, kind)
        return message

    def expect_frame(self, kind: type[M]) -> bytes:
        """The same, as it arrived."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            frame = self._next_frame()
            if not frame:
                self._tail += self._recv()
                continue
            self.received += len(frame)
            self.codes[frame[5]] += 1
            if frame[5] == kind.CODE:
                return frame
            if frame[5] == wire.Error.CODE:
                raise BenchError(f"instead of {kind.NAME} came {wire.decode(frame[4:], side='server')}")
        raise BenchError(f"no {kind.NAME} within {PATIENCE:.0f} s")

    def _next_frame(self) -> bytes:
        size = 4 + int.from_bytes(self._tail[:4], "big")
        if len(self._tail) < max(size, 6):
            return b""
        frame, self._tail = self._tail[:size], self._tail[size:]
        return frame

    def _recv(self) -> bytes:
        try:
            data = self._sock.recv(RECV_BYTES)
        except OSError as error:
            raise BenchError(f"a connection broke: {error}") from None
        if not data:
            raise BenchError("the server closed a connection")
        return data

    def greet(self, agent: str = "bench") -> None:
        """Send HELLO."""
        self.send(_hello(agent))

    def welcomed(self) -> None:
        """Wait for WELCOME."""
        self._nonce = self.expect(wire.Welcome).nonce

    def log_in(self, account: Account) -> None:
        """Send AUTH with the device's key."""
        self.user = account.user
        proof = account.key.sign(wire.auth.signed_bytes(self._nonce, account.device, 0, b""))
        self.send(wire.Auth(0, 3, proof=proof, device=account.device))

    def come_back(self, account: Account, resume: bytes, horizon: bytes | None) -> None:
        """Send HELLO, AUTH with a resume token and SYNC in one flight."""
        self.user = account.user
        auth = wire.Auth(0, wire.AuthMethod.RESUME, proof=resume, device=account.device)
        self.send(_hello("bench"), auth, wire.Sync(0, horizon))

    # measurement: non-blocking

    def start_counting(self) -> None:
        """From here on only `say` and `receive`."""
        self._sock.setblocking(False)

    def say(self, count: int) -> None:
        """Send so many texts in one piece."""
        assert self.texts is not None
        self._write(self.texts.several(count, time.monotonic_ns()))

    def receive(self) -> tuple[int, int]:
        """Count what arrived and acknowledge now and then.

        Returns how many own entries were acknowledged, and when the text that arrived first was sent (0: none did).
        """
        data = self._tail + self._recv()
        codes, length, end = self.codes, PREFIX.unpack_from, len(data)
        replies = codes[SEND_OK]
        at, latest_at, latest_end, first_end = 0, 0, 0, 0
        while end - at > 5:
            after = at + 4 + length(data, at)[0]
            if after > end:
                break
            code = data[at + 5]
            codes[code] += 1
            if code == EVENT:
                latest_at, latest_end = at, after
                first_end = first_end or after
            at = after
        self._tail = data[at:]
        if latest_end:
            self.latest = data[latest_at:latest_end]
            self._acknowledge()
        return codes[SEND_OK] - replies, sent_ns(data, first_end) if first_end else 0

    def _acknowledge(self) -> None:
        pushes, now = sum(self.codes[COUNTED]), time.monotonic()
        if not self._owing_since:
            self._owing_since = now
        if pushes - self._acked >= ACK_EVERY or now - self._owing_since >= ACK_SECONDS:
            self._acked, self._owing_since = pushes, 0.0
            self._write(wire.Ack(pushes).encode())

    def _write(self, data: bytes) -> None:
        try:
            sent = self._sock.send(data)
        except OSError as error:
            raise BenchError(f"a connection broke: {error}") from None
        if sent < len(data):
            raise BenchError("the server does not read what it is sent")

    def unexpected(self, before: list[int]) -> list[int]:
        """Codes that arrived since `before` and have no place in a measurement."""
        return [code for code in range(256) if self.codes[code] > before[code] and code not in EXPECTED]


def _hello(agent: str) -> wire.Hello:
    return wire.Hello("WC", 1, 1, (), agent, wire.limits.WINDOW)

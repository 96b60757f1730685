"""Connections that break: each frame sent or received may be the last.

A cut is an abort without goodbye, before, inside or after the frame that drew it, so that requests are lost on the way
there and answers on the way back. The client above knows nothing of it.
"""

import random
from collections.abc import Iterator

import attrs

from wirechat.client.errors import ConnectionFailed
from wirechat.client.transport import Connect, Transport

PREFIX_BYTES = 4


@attrs.define
class FrameEnds:
    """Follows a byte stream and tells where its frames end."""

    _prefix: bytes = b""
    _missing: int = 0

    def walk(self, data: bytes) -> Iterator[int]:
        """Offsets in `data` just behind the last byte of a frame."""
        at = 0
        while at < len(data):
            if self._missing == 0:
                taken = data[at : at + PREFIX_BYTES - len(self._prefix)]
                self._prefix += taken
                at += len(taken)
                if len(self._prefix) == PREFIX_BYTES:
                    self._missing, self._prefix = int.from_bytes(self._prefix, "big"), b""
            else:
                step = min(self._missing, len(data) - at)
                self._missing -= step
                at += step
                if self._missing == 0:
                    yield at


@attrs.define
class CutTransport:
    """A transport that breaks with probability `chance` at each frame, in either direction."""

    inner: Transport
    chance: float
    dice: random.Random
    _sent: FrameEnds = attrs.Factory(FrameEnds)
    _received: FrameEnds = attrs.Factory(FrameEnds)
    _broken: bool = False

    @property
    def certificate_digest(self) -> bytes | None:
        return self.inner.certificate_digest

    async def send(self, data: bytes) -> None:
        whole = self._until_cut(self._sent, data)
        if whole is None:
            await self.inner.send(data)
            return
        if whole:
            await self.inner.send(whole)
        self._break()

    async def recv(self) -> bytes:
        if self._broken:
            self._break()
        data = await self.inner.recv()
        whole = self._until_cut(self._received, data)
        if whole is None:
            return data
        self._broken = True
        if not whole:
            self._break()
        return whole

    async def aclose(self) -> None:
        await self.inner.aclose()

    def abort(self) -> None:
        self.inner.abort()

    def _until_cut(self, ends: FrameEnds, data: bytes) -> bytes | None:
        """What of `data` still passes when it is cut, None when it is not."""
        start = 0
        for end in ends.walk(data):
            if self.dice.random() < self.chance:
                return data[: self.dice.choice((start, (start + end) // 2, end))]
            start = end
        return None

    def _break(self) -> None:
        self.inner.abort()
        raise ConnectionFailed("cut on purpose")


@attrs.define
class Lines:
    """Makes connections, counts them, and cuts them if told to."""

    connect: Connect
    chance: float
    dice: random.Random
    opened: int = 0

    async def open(self, url: str) -> Transport:
        """A `connect` for the client. Raises ConnectionFailed."""
        transport = await self.connect(url)
        self.opened += 1
        return CutTransport(transport, self.chance, self.dice) if self.chance else transport

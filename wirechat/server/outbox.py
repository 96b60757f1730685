"""The one policy for slow readers.

A frame goes straight to the socket while the socket takes it. Once it does not, later pushes wait as references
(conversation and seq), not as bytes, and are read again when there is room: a message deleted meanwhile is gone (P8),
and a slow reader costs its window in small objects (P6). Replies wait as bytes; their sender is not read from while too
many do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import trio

from wirechat import wire
from wirechat.server import limits
from wirechat.server.endpoint import Endpoint
from wirechat.wire.registries import Capability, EntryKind

NEEDS: dict[int, Capability] = {
    **dict.fromkeys((EntryKind.PIN, EntryKind.UNPIN), Capability.PINS),
    **dict.fromkeys(
        (EntryKind.HIDE, EntryKind.BLOCK, EntryKind.UNBLOCK, EntryKind.PROFILE, EntryKind.DEVICE),
        Capability.ACCOUNT_LOG,
    ),
}
"""Kinds of entries that are pushed only to those who asked for them."""


class Push:
    """One entry on its way to many connections: encoded once, forgotten as soon as the commit has been handed out."""

    __slots__ = ("_event", "_frame", "_own", "conv", "needs", "sender", "seq")

    def __init__(self, event: wire.Event) -> None:
        self.needs = NEEDS.get(event.kind, 0)
        """The capability without which it is not pushed; 0 = none."""
        self.conv = event.conv
        self.seq = event.seq
        self.sender = event.sender
        self._event: wire.Event | None = event
        self._frame: bytes | None = None
        self._own: bytes | None = None

    def frame(self, user: int) -> bytes | None:
        """The encoded EVENT for this user, with its cid if the entry is his own; None once released."""
        if user == self.sender:
            if self._own is None and self._event is not None:
                self._own = self._event.encode()
            return self._own
        if self._frame is None and self._event is not None:
            cid, self._event.cid = self._event.cid, None
            self._frame = self._event.encode()
            self._event.cid = cid
        return self._frame

    def release(self) -> None:
        """From now on whoever still needs the content must read it."""
        self._event = self._frame = self._own = None


_NOTHING: Any = None
"""In place of an empty deque while nothing waits: that would be a tenth of the memory of an idle connection."""

Lookup = Callable[[int, Sequence[Push]], Awaitable[list[bytes]]]
"""(user, pushes) -> their EVENT frames as of now."""


class Outbox:
    """What one connection is about to send, in order."""

    __slots__ = (
        "_drained",
        "_endpoint",
        "_lookup",
        "_nursery",
        "_ready",
        "_ready_bytes",
        "_touched",
        "_waiting",
        "backlog",
        "closed",
        "draining",
        "user",
    )

    def __init__(self, endpoint: Endpoint, nursery: trio.Nursery, lookup: Lookup, touched: list[Outbox]) -> None:
        self._endpoint = endpoint
        self._nursery = nursery
        self._lookup = lookup
        self._touched = touched
        self._ready: list[bytes] = []
        self._ready_bytes = 0
        self._waiting: deque[bytes | Push] = _NOTHING
        self._drained: trio.Event | None = None
        self.closed = False
        """The connection is gone; what comes now goes nowhere."""
        self.draining = False
        self.backlog = 0
        """Bytes of replies that wait."""
        self.user = 0

    def put(self, frame: bytes) -> None:
        """Send a frame that is no entry: replies, control, receipts, digest rows."""
        if self.closed:
            return
        if self.draining:
            self._waiting.append(frame)
            self.backlog += len(frame)
            return
        ready = self._ready
        if not ready:
            self._touched.append(self)
        ready.append(frame)
        self._ready_bytes += len(frame)
        if self._ready_bytes > limits.READY_BYTES_MAX:
            self.flush()

    def end(self, frame: bytes) -> None:
        """Send the last frame: what comes after it goes nowhere, whoever still has something to say."""
        self.put(frame)
        self.flush()
        self.closed = True

    def push(self, push: Push) -> None:
        """Send an entry."""
        if self.closed:
            return
        if not self.draining:
            frame = push.frame(self.user)
            if frame is not None:
                ready = self._ready
                if not ready:  # `put`, written out: once for every recipient of every message
                    self._touched.append(self)
                ready.append(frame)
                self._ready_bytes += len(frame)
                if self._ready_bytes > limits.READY_BYTES_MAX:
                    self.flush()
                return
            self._drain()
        self._waiting.append(push)

    def flush(self) -> None:
        """Hand everything ready to the socket. Never waits."""
        ready = self._ready
        if ready and not self.draining and not self.closed:
            self._ready = []
            self._ready_bytes = 0
            if not self._endpoint.try_send(ready):
                self._drain()

    def _drain(self) -> None:
        self.draining = True
        self._waiting = deque()
        self._nursery.start_soon(self._drain_waiting)

    async def _drain_waiting(self) -> None:
        if self._ready:
            await self._send(self._ready)
            self._ready = []
            self._ready_bytes = 0
        await self._endpoint.wait_sent()
        while self._waiting:
            await self._send(await self._next_frames())
        self.draining = False
        self._waiting = _NOTHING
        if self._drained is not None:
            self._drained.set()
            self._drained = None

    async def _send(self, frames: list[bytes]) -> None:
        await self._endpoint.wait_sent()
        if not self._endpoint.try_send(frames):
            await self._endpoint.wait_sent()

    async def _next_frames(self) -> list[bytes]:
        """Some of what waits: either frames, or the entries of several references read in one go."""
        frames: list[bytes] = []
        size = 0
        while self._waiting and isinstance(self._waiting[0], bytes) and size < limits.DRAIN_BYTES:
            frame = self._waiting.popleft()
            assert isinstance(frame, bytes)
            frames.append(frame)
            size += len(frame)
        self.backlog -= size
        if frames:
            return frames
        pushes: list[Push] = []
        while self._waiting and isinstance(self._waiting[0], Push) and len(pushes) < 16:
            push = self._waiting.popleft()
            assert isinstance(push, Push)
            pushes.append(push)
        return await self._lookup(self.user, pushes)

    @property
    def crowded(self) -> bool:
        """So many replies wait that no more requests are read."""
        return self.draining and self.backlog > limits.BACKLOG_BYTES_MAX

    async def wait_room(self) -> None:
        """Return once it is no longer crowded."""
        while self.crowded:
            if self._drained is None:
                self._drained = trio.Event()
            await self._drained.wait()

    async def wait_empty(self) -> None:
        """Return once everything was taken by the kernel."""
        self.flush()
        while self.draining:
            if self._drained is None:
                self._drained = trio.Event()
            await self._drained.wait()

"""One connection to the server under test, from the client's end: whatever is sent, and a judge of what comes back.

What the server says is read by the decoder of the conformance runner, which shares no line with it.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import trio

from tools.conformance.decoder import Frame, Malformed, Schema
from tools.fuzz.bodies import parse
from tools.simulate.network import Connection, Pipe, Weather
from tools.simulate.wording import Frames

SCHEMA = Schema()
WIDE = Weather(delay=0.0005, cut_up=0.1, buffer_bytes=1 << 20, slow=0, tick=0.001)
NARROW = Weather(delay=0.0005, cut_up=0.1, buffer_bytes=2_048, slow=0, tick=0.001)
"""Towards a client: one that stops reading is soon noticed."""

ERROR = 7
PREFIX = 4


class Line:
    """A client that may say anything."""

    def __init__(self, number: int, owner: str, chance: Random, nursery: trio.Nursery) -> None:
        self.connection = Connection(number, owner, WIDE, chance)
        self.connection.down = Pipe(NARROW, chance)
        self.frames: list[Frame] = []
        """What the server said."""
        self.faults: list[str] = []
        """What it should not have said."""
        self.sent = bytearray()
        self.over = False
        """The server has closed, or the connection was cut."""
        self._came = trio.Event()
        self._reads = trio.Event()
        self._reads.set()
        self._bodies = Frames()
        self._queue, self._queued = trio.open_memory_channel[bytes](10_000)
        nursery.start_soon(self._listen)
        nursery.start_soon(self._speak)

    def __str__(self) -> str:
        return str(self.connection)

    def send(self, data: bytes) -> None:
        """Send bytes, after all that were sent before; never waits."""
        self.sent += data
        self._queue.send_nowait(data)

    def send_body(self, body: bytes) -> None:
        self.send(len(body).to_bytes(PREFIX, "big") + body)

    def pause(self) -> None:
        """Read no more."""
        self._reads = trio.Event()

    def resume(self) -> None:
        self._reads.set()

    def cut(self) -> None:
        """Both sides see a reset."""
        self.over = True
        self.connection.cut()

    def end(self) -> None:
        """Close the way to the server; go on reading."""
        self.connection.up.end()

    async def _speak(self) -> None:
        try:
            async for data in self._queued:
                while data:
                    await self.connection.up.wait_writable()
                    data = data[self.connection.up.write(data) :]
        except trio.BrokenResourceError:
            pass

    async def _listen(self) -> None:
        try:
            while data := await self._read():
                self._hear(data)
        except trio.BrokenResourceError:
            pass
        self.over = True
        self._news()

    async def _read(self) -> bytes:
        await self._reads.wait()
        return await self.connection.down.read()

    def _hear(self, data: bytes) -> None:
        for body in self._bodies.feed(data):
            self._judge(body)
        self._news()

    def _judge(self, body: bytes) -> None:
        try:
            frame = SCHEMA.decode(body)
        except Malformed as malformed:
            self.faults.append(f"the server sent {body[:64].hex(' ')}: {malformed}")
            return
        if frame.code == ERROR and frame["code"] not in SCHEMA.errors:
            self.faults.append(f"ERROR {frame['code']} is in no table")
        self.frames.append(frame)

    def _news(self) -> None:
        self._came.set()
        self._came = trio.Event()

    async def until(self, name: str, rid: int | None = None, seen: int = 0) -> Frame | None:
        """The first frame of this name, or ERROR for this request, behind those seen; None if the connection ends."""
        while True:
            for frame in self.frames[seen:]:
                if (frame.name == name and frame.rid == rid) or (frame.code == ERROR and frame.rid_of_error == rid):
                    return frame
            seen = len(self.frames)
            if self.over:
                return None
            await self._came.wait()

    async def ask(self, name: str, rid: int, **fields: Any) -> Frame | None:
        """A request and its answer."""
        seen, code = len(self.frames), SCHEMA.by_name[name].code
        self.send_body(SCHEMA.encode(name, fields, rid))
        return await self.until(SCHEMA.by_code[code + 1].layout.name, rid, seen)

    def unasked(self) -> list[int]:
        """Requests that were answered more often than they were asked."""
        asked = Counter(rids(bytes(self.sent)))
        answered = Counter(rid for frame in self.frames if (rid := _answers(frame)) is not None)
        return sorted((answered - asked).keys())


def _answers(frame: Frame) -> int | None:
    return frame.rid_of_error if frame.code == ERROR else frame.rid


def rids(stream: bytes) -> list[int]:
    """Every number that may be a request id, in the frames that begin in a stream."""
    found: list[int] = []
    at = 0
    while at + PREFIX <= len(stream):
        size = int.from_bytes(stream[at : at + PREFIX], "big")
        body = stream[at + PREFIX : at + PREFIX + size]
        found.extend(_second(body))
        at += PREFIX + size
    return found


def _second(body: bytes) -> list[int]:
    try:
        tree = parse(body)
    except ValueError:
        return []
    return [tree[1]] if isinstance(tree, list) and len(tree) > 1 and type(tree[1]) is int else []

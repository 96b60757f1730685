"""A cut hits frames, not bytes, in both directions, and looks like a connection that broke."""

import contextlib
import random

import attrs
import pytest

from tools.replay.cutting import CutTransport, FrameEnds, Lines
from wirechat.client.errors import ConnectionFailed
from wirechat.client.transport import Transport

FRAMES = [b"\0\0\0\1a", b"\0\0\0\5hello", b"\0\0\1\0" + b"x" * 256]
STREAM = b"".join(FRAMES)


@attrs.define
class Pipe:
    """Gives out its chunks, keeps what is sent."""

    chunks: list[bytes] = attrs.Factory(list)
    sent: bytes = b""
    aborted: bool = False
    certificate_digest: bytes | None = b"digest"

    async def send(self, data: bytes) -> None:
        self.sent += data

    async def recv(self) -> bytes:
        return self.chunks.pop(0) if self.chunks else b""

    async def aclose(self) -> None:
        self.abort()

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 300])
def test_frames_end_where_they_end_however_they_arrive(size: int) -> None:
    walker, found = FrameEnds(), []
    for start in range(0, len(STREAM), size):
        found += [start + end for end in walker.walk(STREAM[start : start + size])]
    assert found == [5, 14, 274]


async def test_p2_a_cut_loses_a_request_or_its_answer() -> None:
    """With certainty of a cut the first frame arrives not at all, in part, or whole; nothing after it does."""
    arrived = set()
    for seed in range(40):
        pipe = Pipe()
        with pytest.raises(ConnectionFailed, match="on purpose"):
            await CutTransport(pipe, 1.0, random.Random(seed)).send(STREAM)
        assert pipe.aborted
        arrived.add(pipe.sent)
    assert arrived == {b"", FRAMES[0][:2], FRAMES[0]}


async def test_what_came_before_a_cut_is_still_delivered() -> None:
    received = set()
    for seed in range(40):
        pipe = Pipe([STREAM])
        cut, got = CutTransport(pipe, 1.0, random.Random(seed)), b""
        with contextlib.suppress(ConnectionFailed):
            while True:
                got += await cut.recv()
        assert pipe.aborted
        received.add(got)
    assert received == {b"", FRAMES[0][:2], FRAMES[0]}


async def test_cuts_come_as_often_as_told() -> None:
    """2,000 frames at a chance of 0.1: the connection lives for 10 frames on average."""
    dice, lives = random.Random(7), []
    for _ in range(200):
        cut, sent = CutTransport(Pipe(), 0.1, dice), 0
        with contextlib.suppress(ConnectionFailed):
            while True:
                await cut.send(FRAMES[0])
                sent += 1
        lives.append(sent)
    assert 7 < sum(lives) / len(lives) < 11


async def test_without_cuts_nothing_is_in_between() -> None:
    pipe = Pipe()

    async def connect(url: str) -> Transport:
        return pipe

    lines = Lines(connect, 0.0, random.Random(0))
    assert await lines.open("wirechat://x") is pipe
    assert lines.opened == 1

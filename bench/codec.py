"""Frames from messages and messages from frames, every type, range and length checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from bench.benchmark import Benchmark, Row, Run
from bench.timing import us_per_call
from wirechat import wire

CONV, USER, TS = 3_054_198_966, 2_271_560_481, 1_763_689_200_123
CID, TOKEN = bytes(range(8)), bytes(range(12))
TEXT = wire.Content(1, "The quick brown fox jumps over the lazy dog, twice and once more")

FRAMES: dict[str, tuple[wire.Message, str]] = {
    "send": (wire.Send(700, CONV, CID, 1, TEXT), "SEND with 64 bytes of text"),
    "event": (wire.Event(CONV, 48_213, TS, USER, 1, TEXT, None, None, CID), "EVENT with 64 bytes of text"),
    "send_ok": (wire.SendOk(700, 48_213, TS), "SEND_OK"),
    "ack": (wire.Ack(1_000), "ACK"),
    "digest": (
        wire.SyncOk(
            2, 1, tuple(wire.Row(CONV + at, 48_213 + at, 900, 48_200, 48_190) for at in range(200)), None, TOKEN
        ),
        "SYNC_OK with 200 conversations",
    ),
}
ROWS = {
    f"{way}_{name}": f"{way} {about}" for name, (_, about) in FRAMES.items() for way in ("encode", "decode")
}  # fmt: skip


def measure(run: Run) -> Iterator[Row]:
    """Both ways of each frame."""
    for name, (message, _) in FRAMES.items():
        frame = message.encode()
        decode = partial(wire.decode, frame[4:], side=wire.CLIENT if message.SIDE == "client" else wire.SERVER)
        ways: dict[str, Callable[[], object]] = {f"encode_{name}": message.encode, f"decode_{name}": decode}
        for row in filter(run.wants, ways):
            yield Row(row, {"us_per_frame": us_per_call(ways[row], run.seconds / 10), "frame_bytes": len(frame)})


BENCHMARK = Benchmark("codec", "What does it cost to encode and decode a frame?", ROWS, measure)

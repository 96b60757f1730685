"""Bytes of a socket into checked messages, as the server's end of a live connection takes them: SEND with 64 bytes of
text, decoding included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import wsproto
from wsproto.events import AcceptConnection, BytesMessage, Request

from bench.benchmark import BenchError, Benchmark, Row, Run
from bench.codec import FRAMES, TOKEN
from bench.timing import us_per_call
from wirechat import wire

CHUNK_BYTES = 65_536
ROWS = {
    "one_at_a_time": "each frame arrives alone",
    "in_two_pieces": "each frame arrives in two pieces",
    "chunks": "64 KiB of frames arrive at once",
    "websocket": "64 KiB of masked WebSocket messages arrive at once, a frame in each",
}


def measure(run: Run) -> Iterator[Row]:
    """Each way to arrive."""
    frame = FRAMES["send"][0].encode()
    count = CHUNK_BYTES // len(frame)
    middle = len(frame) // 2
    ways: dict[str, tuple[int, Callable[[], object]]] = {
        "one_at_a_time": (1, _feeding([frame], 1)),
        "in_two_pieces": (1, _feeding([frame[:middle], frame[middle:]], 1)),
        "chunks": (count, _feeding([frame * count], count)),
        "websocket": (count, _websocket(frame, count)),
    }
    for row in filter(run.wants, ways):
        frames, call = ways[row]
        yield Row(row, {"us_per_frame": us_per_call(call, run.seconds / 10) / frames})


def _live() -> wire.Connection:
    """The server's end after HELLO, AUTH and SYNC."""
    connection = wire.Connection("server")
    limits = wire.Limits(65_536, 16_384, 64, 30_000, 1_024, 1_000, 200, 64)
    steps: list[tuple[wire.Message, wire.Message]] = [
        (wire.Hello("WC", 1, 1, (), "bench"), wire.Welcome(1, (), "wirechat", 0, bytes(32), limits, (4,), ())),
        (wire.Auth(1, 4, proof=bytes(16)), wire.AuthOk(1, 1, 1, bytes(16), 60)),
        (wire.Sync(2), wire.SyncOk(2, 1, (), None, TOKEN)),
    ]
    for asked, answered in steps:
        connection.feed(asked.encode())
        connection.next_message()
        connection.sent(answered)
    return connection


def _feeding(pieces: list[bytes], count: int) -> Callable[[], None]:
    connection = _live()

    def feed() -> None:
        for piece in pieces:
            connection.feed(piece)
            _take(connection, count if piece is pieces[-1] else 0)

    return feed


def _take(connection: wire.Connection, count: int) -> None:
    taken = 0
    while connection.next_message() is not None:
        taken += 1
    if taken != count:
        raise BenchError(f"of {count} frames {taken} came out")


def _websocket(frame: bytes, count: int) -> Callable[[], None]:
    """What trio-websocket does with bytes, and the server with its messages."""
    client, server = (
        wsproto.WSConnection(side) for side in (wsproto.ConnectionType.CLIENT, wsproto.ConnectionType.SERVER)
    )
    server.receive_data(client.send(Request(host="bench", target="/")))
    list(server.events())
    client.receive_data(server.send(AcceptConnection()))
    list(client.events())
    data = b"".join(client.send(BytesMessage(frame[4:])) for _ in range(count))
    connection = _live()

    def feed() -> None:
        server.receive_data(data)
        for event in server.events():
            assert isinstance(event, BytesMessage)
            body = bytes(event.data)
            connection.feed(len(body).to_bytes(4, "big") + body)
            _take(connection, 1)

    return feed


BENCHMARK = Benchmark("framing", "What does it cost to make checked messages of what a socket gives?", ROWS, measure)

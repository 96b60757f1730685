"""The floor: what the sockets and Trio's loop alone cost at this moment, without a store, checks, or anything promised.

A bare relay for pairs that speaks the same frames over the same kind of sockets: SEND is answered with SEND_OK, and the
other one gets the EVENT. HELLO names the conversation in its `agent`. Every chunk that is read leads to one write to
each side. Run as a process: `python -m bench.relay`; it says where it listens as the server does.
"""

from __future__ import annotations

import gc
import json
import socket
import struct
import sys
import time

import msgpack
import trio

from wirechat import wire

_pack = msgpack.Packer().pack
_unpack = msgpack.unpackb
_prefix = struct.Struct(">I").pack
_length = struct.Struct(">I").unpack_from
RECV_BYTES = 65536


class Pair:
    """A conversation of two."""

    def __init__(self, number: int) -> None:
        self.conv = 2**52 + number
        self.seq = 0
        self.sockets: list[socket.socket] = []


def _frame(items: list[object]) -> bytes:
    body: bytes = _pack(items)
    return _prefix(len(body)) + body


def _send(sock: socket.socket, frames: list[bytes]) -> None:
    data = b"".join(frames)
    if sock.send(data) != len(data):
        raise OSError("the other side does not read")  # a relay that waits would be no floor


class Seat:
    """One connection."""

    def __init__(self, sock: socket.socket, pairs: dict[str, Pair]) -> None:
        self._sock = sock
        self._pairs = pairs
        self._pair = Pair(0)
        self._user = 2**52 + sock.fileno()
        self._replies: list[bytes] = []
        self._events: list[bytes] = []

    async def serve(self) -> None:
        """Relay until the connection ends."""
        tail = b""
        with self._sock as sock:
            while True:
                await trio.lowlevel.wait_readable(sock)
                try:
                    data = sock.recv(RECV_BYTES)
                except ConnectionResetError:
                    return
                if not data:
                    return
                tail = self._frames(tail + data)
                self._flush()

    def _frames(self, data: bytes) -> bytes:
        at, end = 0, len(data)
        while end - at > 4:
            after = at + 4 + _length(data, at)[0]
            if after > end:
                break
            self._handle(_unpack(data[at + 4 : after], use_list=False))
            at = after
        return data[at:]

    def _handle(self, items: tuple[object, ...]) -> None:
        if items[0] == wire.Send.CODE:
            _, rid, conv, _, kind, content = items
            self._pair.seq += 1
            now = time.time_ns() // 1_000_000
            self._replies.append(_frame([wire.SendOk.CODE, rid, self._pair.seq, now]))
            self._events.append(_frame([wire.Event.CODE, conv, self._pair.seq, now, self._user, kind, content]))
        elif items[0] == wire.Hello.CODE:
            self._sit_down(str(items[5]))
        elif items[0] == wire.Ping.CODE:
            self._replies.append(_frame([wire.Pong.CODE, items[1]]))

    def _sit_down(self, name: str) -> None:
        self._pair = self._pairs.setdefault(name, Pair(int(name)))
        self._pair.sockets.append(self._sock)

    def _flush(self) -> None:
        if self._replies:
            _send(self._sock, self._replies)
            self._replies = []
        if self._events:
            (other,) = (sock for sock in self._pair.sockets if sock is not self._sock)
            _send(other, self._events)
            self._events = []


async def relay() -> None:
    """Listen on a free port until killed."""
    pairs: dict[str, Pair] = {}
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        listener.setblocking(False)
        url = f"wirechat://127.0.0.1:{listener.getsockname()[1]}"
        print(json.dumps({"event": "listening", "url": url}), file=sys.stderr, flush=True)
        gc.collect()
        gc.freeze()
        async with trio.open_nursery() as nursery:
            while True:
                await trio.lowlevel.wait_readable(listener)
                sock, _ = listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                nursery.start_soon(Seat(sock, pairs).serve)


if __name__ == "__main__":
    trio.run(relay)

"""One connection of the client under test, as its server sees it. It sends what it is told to, also what no server may.

What the client sends is decoded strictly and judged by the referee; everything goes to the trace.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..decoder import Frame, Schema
from ..msgpack import pack
from ..trace import Trace, hexed
from ..verdict import Failed
from . import referee
from .listener import Broken, Ended, Incoming
from .referee import AUTHED, GREETED, OPEN, SYNCING

SENDING_SECONDS = 10.0
LIMITS: Mapping[str, int] = {
    "frame_bytes": 65536,
    "text_bytes": 16384,
    "inflight": 64,
    "heartbeat_ms": 30000,
    "window": 1024,
    "members": 1000,
    "page": 200,
    "delivered_members": 64,
}


class Peer:
    """`frames`: everything that came, `bodies` and `times` of each; `acks`: those among it; `pushes`: (conv, seq) or
    None of every counted push; `unanswered`: rids; `dress`: what every body goes through before it is sent; `ended`:
    when the client closed it, or we did, by the clock of `times` and `began`.
    """

    def __init__(self, incoming: Incoming, schema: Schema, trace: Trace, who: str) -> None:
        self.incoming = incoming
        self.schema = schema
        self.who = who
        self.state = OPEN
        self.limits = dict(LIMITS)
        self.caps: list[int] = []
        self.frames: list[Frame] = []
        self.bodies: list[bytes] = []
        self.times: list[float] = []
        self.acks: list[Frame] = []
        self.pushes: list[tuple[int, int] | None] = []
        self.unanswered: set[int] = set()
        self.cursor: bytes | None = None
        self.horizon = 0
        self.began = time.monotonic()
        self.ended: float | None = None
        self.taken: set[int] = set()
        self.dress: Callable[[bytes], bytes] = bytes
        self._auth: set[int] = set()
        self._waiting: deque[bytes] = deque()
        self._trace = trace
        incoming.raw.settimeout(SENDING_SECONDS)

    # receiving

    def receive(self) -> None:
        """Takes what has come. Raises Failed for what is no frame."""
        if self.ended is not None:
            return
        try:
            self._waiting.extend(self.incoming.receive())
        except Broken as error:
            raise Failed("frames as the schema says", str(error)) from None
        except (Ended, OSError) as error:
            self._end(f"end: {error}", sent=False)

    def arrived(self) -> Iterator[Frame]:
        """The frames that came, one after the other; those behind an AUTH wait for its answer [7-18]. Raises Failed."""
        while self._waiting and not self._auth & self.unanswered:
            yield self._received(self._waiting.popleft())

    def _received(self, body: bytes) -> Frame:
        self._trace.add(self.who, sent=False, body=body)
        frame = referee.read(body, self.schema)
        referee.judge(self, frame, len(body))
        self.frames.append(frame)
        self.bodies.append(body)
        self.times.append(time.monotonic())
        if frame.rid is not None:
            self.unanswered.add(frame.rid)
            self._auth = {frame.rid} if frame.name == "AUTH" else self._auth
        if frame.name == "ACK":
            self.acks.append(frame)
        if frame.name == "HELLO":
            self.state = GREETED
        if frame.name == "SYNC" and self.state == AUTHED:
            self.state = SYNCING
        return frame

    def named(self, *names: str) -> list[Frame]:
        """Those of these names that came so far."""
        return [frame for frame in self.frames if frame.name in names]

    @property
    def window(self) -> int:
        """How many pushes the client takes without ACK."""
        return min(int(self.named("HELLO")[0]["window"]), self.limits["window"])

    @property
    def acked(self) -> int:
        """The highest n of an ACK."""
        return max((frame["n"] for frame in self.acks), default=0)

    # sending

    def send(self, name: str, /, **fields: Any) -> None:
        """A frame without rid, as the schema says; a counted push is counted."""
        self.send_bodies(self.body(name, **fields))

    def body(self, name: str, /, **fields: Any) -> bytes:
        """Its body, which is then sent by send_bodies; a counted push is counted here."""
        if self.schema.is_counted(self.schema.by_name[name].code):
            self.pushes.append((fields["conv"], fields["seq"]) if name == "EVENT" else None)
        return self.schema.encode(name, fields)

    def reply(self, request: Frame, **fields: Any) -> None:
        """The reply to a request."""
        self.send_bodies(self.reply_body(request, **fields))

    def reply_body(self, request: Frame, **fields: Any) -> bytes:
        """Its body, which is then sent by send_bodies."""
        assert request.rid is not None
        self.unanswered.discard(request.rid)
        return self.schema.encode(self.schema.by_code[request.code + 1].layout.name, fields, request.rid)

    def refuse(self, request: Frame, code: int, **fields: Any) -> None:
        """ERROR with the rid of a request."""
        assert request.rid is not None
        self.unanswered.discard(request.rid)
        self.send_bodies(self.schema.encode("ERROR", {"rid": request.rid, "code": code, **fields}))

    def fail(self, code: int, **fields: Any) -> None:
        """ERROR without rid, and the end of what is sent; the client has to close."""
        self.send("ERROR", code=code, **fields)
        self.finish(code)

    def finish(self, code: int) -> None:
        """Sends no more, as after ERROR `code` without rid."""
        self._trace.add(self.who, sent=True, note="sends no more")
        self._put(lambda: self.incoming.finish(code))

    def items(self, *items: Any) -> None:
        """A frame of any items; a dict in last place is the extras. A counted code is counted."""
        if self.schema.is_counted(items[0]):
            self.pushes.append(None)
        self.send_bodies(pack(list(items)))

    def reply_items(self, request: Frame, *items: Any) -> None:
        """A reply of any items after its rid."""
        assert request.rid is not None
        self.unanswered.discard(request.rid)
        self.send_bodies(pack([request.code + 1, request.rid, *items]))

    def send_bodies(self, *plain: bytes) -> None:
        """Frame bodies, in one go, dressed if this connection has a `dress`."""
        bodies = [self.dress(body) for body in plain]
        for body in bodies:
            self._trace.add(self.who, sent=True, body=body)
        self._put(lambda: self.incoming.send(*bodies))

    def send_bytes(self, data: bytes, note: str = "bytes") -> None:
        """Bytes as they are, past all framing."""
        self._trace.add(self.who, sent=True, note=f"{note}, {hexed(data)}")
        self._put(lambda: self.incoming.raw.sendall(data))

    def _put(self, action: Any) -> None:
        """Who sends to a connection that the client has closed learns of it by reading."""
        try:
            action()
        except TimeoutError:
            raise Failed("the client takes bytes", f"none for {SENDING_SECONDS:g} s") from None
        except OSError as error:
            self._trace.add(self.who, sent=True, note=f"not sent: {error}")

    def drop(self) -> None:
        """Closes without a word."""
        if self.ended is None:
            self._end("closes the connection", sent=True)

    def _end(self, note: str, *, sent: bool) -> None:
        self._trace.add(self.who, sent=sent, note=note)
        self.ended = time.monotonic()
        self.incoming.close()

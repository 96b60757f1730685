"""One connection to the server under test, frame by frame. It sends what it is told to, also what no client may send.

PING is answered, counted pushes are counted, and every frame is decoded strictly: one that breaks the schema fails the
check. Everything goes to the trace.
"""

from __future__ import annotations

import itertools
import struct
import time
from collections.abc import Sequence
from typing import Any

from .decoder import Frame, Malformed, Schema
from .msgpack import pack
from .sockets import Closed, Stream, WebSocket
from .trace import Trace, describe, hexed, shown
from .verdict import Failed, Skipped

LATER = 5000
NOT_KNOWN = 3001
LOCKED = 2006
LOCKED_OUT = "the server has locked logins from here for a while (2006), as it may after many failures"
ATTEMPTS = 8
PAUSE_SECONDS = 0.5
NEWS = ("EVENT", "ROWS")


class Connection:
    """`seen`: frames passed over while waiting for others; `counted`: counted pushes received so far; `received`: every
    body; `status`: of the WebSocket close, once it came.
    """

    def __init__(self, bodies: Stream | WebSocket, schema: Schema, trace: Trace, who: str, patience: float) -> None:
        self.bodies = bodies
        self.schema = schema
        self.who = who
        self.patience = patience
        self.seen: list[Frame] = []
        self.received: list[bytes] = []
        self.counted = 0
        self.answers_pings = True
        self.ended = False
        self.status: int | None = None
        self._trace = trace
        self._rids = itertools.count(1)

    # sending

    def send(self, name: str, /, **fields: Any) -> None:
        """A frame without rid."""
        self.send_bodies(self.schema.encode(name, fields))

    def request(self, name: str, /, **fields: Any) -> int:
        """Sends a request and returns its rid."""
        return self.flight((name, fields))[0]

    def flight(self, *frames: tuple[str, dict[str, Any]]) -> list[int]:
        """Sends frames in one go. Returns the rids of those that are requests."""
        bodies, rids = [], []
        for name, fields in frames:
            rid = next(self._rids) if self.schema.by_name[name].has_rid else None
            bodies.append(self.schema.encode(name, fields, rid))
            rids += [] if rid is None else [rid]
        self.send_bodies(*bodies)
        return rids

    def items(self, *items: Any) -> None:
        """A frame of any items; a dict in last place is the extras."""
        self.send_bodies(pack(list(items)))

    def request_items(self, code: int, *items: Any) -> int:
        """A request of any items after its rid."""
        rid = next(self._rids)
        self.items(code, rid, *items)
        return rid

    def send_bodies(self, *bodies: bytes) -> None:
        """Frame bodies as they are, in one go."""
        for body in bodies:
            self._trace.add(self.who, sent=True, body=body)
        self._put(lambda: self.bodies.send(*bodies))

    def send_bytes(self, data: bytes, note: str = "") -> None:
        """Bytes as they are, past all framing."""
        self._trace.add(self.who, sent=True, note=f"{note or 'bytes'}, {hexed(data)}")
        self._put(lambda: self.bodies.send_bytes(data))

    def _put(self, action: Any) -> None:
        """Who sends to a connection that the server has closed learns of it by reading."""
        self.bodies.raw.settimeout(self.patience)
        try:
            action()
        except TimeoutError:
            raise Failed("the server takes bytes", f"none for {self.patience:g} s") from None
        except OSError as error:
            self._trace.add(self.who, sent=True, note=f"not sent: {error}")

    # receiving

    def recv(self, seconds: float | None = None) -> Frame | None:
        """The next frame; None when the server closed. Raises TimeoutError after `seconds`, Failed."""
        until = None if seconds is None else time.monotonic() + seconds
        while not self.ended:
            body = self.next_body(None if until is None else until - time.monotonic())
            if body is None:
                return None
            frame = self._decoded(body)
            self.counted += self.schema.is_counted(frame.code)
            if frame.name != "PING":
                return frame
            if self.answers_pings:
                self.send("PONG", t=frame["t"])
        return None

    def next_body(self, seconds: float | None) -> bytes | None:
        """The next body as it is; None when the server closed. Raises TimeoutError."""
        self.bodies.raw.settimeout(max(seconds, 0.001) if seconds is not None else self.patience)
        try:
            body = self.bodies.recv()
        except TimeoutError:
            raise
        except OSError as error:
            self.ended = True
            self.status = error.status if isinstance(error, Closed) else None
            self._trace.add(self.who, sent=False, note=f"end: {error}")
            return None
        self._trace.add(self.who, sent=False, body=body)
        self.received.append(body)
        return body

    def _decoded(self, body: bytes) -> Frame:
        try:
            return self.schema.decode(body)
        except Malformed as error:
            raise Failed("frames as the schema says", f"{describe(body, self.schema, 'server')}: {error}") from None

    def expect(self, name: str, /, seconds: float | None = None, **fields: Any) -> Frame:
        """The next frame of this name with these fields. Others wait in `seen`."""
        for index, frame in enumerate(self.seen):
            if fits(frame, name, fields):
                return self.seen.pop(index)
        wanted = f"{name}({', '.join(f'{key}={shown(value)}' for key, value in fields.items())}) to {self.who}"
        until = time.monotonic() + (seconds or self.patience)
        while True:
            frame = self._before(until, wanted)
            if fits(frame, name, fields):
                return frame
            self.seen.append(frame)

    def _before(self, until: float, wanted: str) -> Frame:
        try:
            frame = self.recv(until - time.monotonic())
        except TimeoutError:
            raise Failed(wanted, f"nothing of the kind in time; came meanwhile: {self._told()}") from None
        if frame is None:
            raise Failed(wanted, f"the server closed the connection; came before: {self._told()}")
        return frame

    @property
    def unasked(self) -> list[str]:
        """The names of the frames in `seen`; those of unknown codes may come at any time (6-5)."""
        return [frame.name for frame in self.seen if frame.name is not None]

    def _told(self) -> str:
        return ", ".join(self.unasked[-5:]) or "nothing"

    def answer(self, rid: int) -> Frame:
        """The one frame that answers a request: its reply or an ERROR."""
        for index, frame in enumerate(self.seen):
            if answered(frame) == rid:
                return self.seen.pop(index)
        until = time.monotonic() + self.patience
        while True:
            frame = self._before(until, f"an answer to request {rid} of {self.who}")
            if answered(frame) == rid:
                return frame
            self.seen.append(frame)

    # asking

    def ask(self, name: str, /, **fields: Any) -> Frame:
        """A request that must succeed. Asks again while the server says later. Raises Failed, Skipped."""
        frame = self._outcome(name, fields)
        if frame.name != self.reply_of(name):
            raise Failed(f"{self.reply_of(name)} to {name}", describe(self.received[-1], self.schema, "server"))
        return frame

    def refused(self, name: str, /, *codes: int, **fields: Any) -> Frame:
        """A request that must be answered by ERROR with one of these codes."""
        frame = self._outcome(name, fields, codes)
        self._must_be_error(frame, codes)
        return frame

    def error(self, rid: int, *codes: int) -> Frame:
        """The ERROR that answers request `rid`."""
        frame = self.answer(rid)
        self._must_be_error(frame, codes)
        return frame

    def _must_be_error(self, frame: Frame, codes: tuple[int, ...]) -> None:
        if frame.name != "ERROR" or frame["code"] not in codes:
            told = f"ERROR {frame['code']}" if frame.name == "ERROR" else f"{frame.name}"
            raise Failed(f"ERROR {' or '.join(map(str, codes))} with its rid", told)

    def _outcome(self, name: str, fields: dict[str, Any], wanted: tuple[int, ...] = ()) -> Frame:
        """The final answer: 5xxx and 6xxx are asked again, unless they are wanted."""
        for attempt in range(ATTEMPTS):
            frame = self.answer(self.request(name, **fields))
            if frame.name != "ERROR" or frame["code"] in wanted:
                return frame
            if frame["code"] == NOT_KNOWN and self.schema.by_name[name].since > 1:
                raise Skipped(f"not offered: {name}")
            if frame["code"] == LOCKED and name == "AUTH":
                raise Skipped(LOCKED_OUT)
            if frame["code"] < LATER or attempt == ATTEMPTS - 1:
                return frame
            time.sleep((frame["retry_ms"] or 1000 * PAUSE_SECONDS * (attempt + 1)) / 1000)
        raise AssertionError("unreachable")

    def reply_of(self, name: str) -> str:
        """The name of the reply to a request."""
        return self.schema.by_code[self.schema.by_name[name].code + 1].layout.name

    def skip_unless_offered(self, name: str, /, **fields: Any) -> None:
        """Raises Skipped when the server does not know this request of a later release."""
        self._outcome(name, fields)

    def pong(self, t: int = 7) -> Frame:
        """Proves that the connection lives."""
        self.send("PING", t=t)
        return self.expect("PONG", t=t)

    def quiet(self, seconds: float = 0.4, names: Sequence[str | None] = NEWS) -> None:
        """None of these frames comes for so long."""
        until = time.monotonic() + seconds
        early = [frame for frame in self.seen if frame.name in names]
        while not early:
            try:
                frame = self.recv(until - time.monotonic())
            except TimeoutError:
                return
            if frame is None:
                raise Failed(f"the connection of {self.who} lives", "the server closed it")
            self.seen.append(frame)
            early = [frame] if frame.name in names else []
        raise Failed(
            f"no {' and no '.join(map(str, names))} to {self.who}", f"{early[0].name}({shown(early[0].fields)})"
        )

    def closes(self, *codes: int, seconds: float | None = None) -> Frame | None:
        """The server sends ERROR without rid with one of these codes as its last frame, and closes.

        Without codes it just closes. Returns that ERROR.
        """
        last: Frame | None = None
        wanted = f"ERROR {' or '.join(map(str, codes))} without rid and the end" if codes else "the end"
        until = time.monotonic() + (seconds or self.patience)
        while True:
            try:
                frame = self.recv(until - time.monotonic())
            except TimeoutError:
                raise Failed(wanted, "the connection lives on") from None
            if frame is None:
                break
            last = frame
        if codes and (last is None or last.name != "ERROR" or last.rid_of_error is not None):
            raise Failed(wanted, f"the end after {last.name if last else 'nothing'}")
        if codes and last is not None and last["code"] not in codes:
            raise Failed(wanted, f"ERROR {last['code']} {last['message'] or ''} and the end".replace("  ", " "))
        return last

    def drop(self) -> None:
        """Closes without a word."""
        self._trace.add(self.who, sent=True, note="closes the connection")
        self.ended = True
        self.bodies.close()

    def half_close(self) -> None:
        """No more bytes will be sent."""
        self._trace.add(self.who, sent=True, note="no more bytes (FIN)")
        self.bodies.raw.shutdown(1)


def framed(body: bytes) -> bytes:
    """A body with its length prefix."""
    return struct.pack(">I", len(body)) + body


def answered(frame: Frame) -> int | None:
    """The rid of the request that this frame answers."""
    return frame.rid_of_error if frame.name == "ERROR" else frame.rid


def fits(frame: Frame, name: str, fields: dict[str, Any]) -> bool:
    """Whether it is a frame of this name with these fields."""
    return frame.name == name and all(frame.fields.get(key) == value for key, value in fields.items())

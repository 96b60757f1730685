"""What went over the connections of one check, in order, and how people read it: frames with their fields by name."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from .decoder import Frame, Malformed, Schema
from .msgpack import unpack

GROUPS_MAX = 60
VALUE_CHARACTERS_MAX = 160
HEX_BYTES_MAX = 48


@dataclass(frozen=True)
class Step:
    """One thing that happened. `body`: a frame body; `note`: anything else, for people."""

    at: float
    who: str
    sent: bool
    body: bytes = b""
    note: str = ""


@dataclass
class Trace:
    """All steps of one check. `side`: of the runner, client or server."""

    side: str = "client"
    began: float = field(default_factory=time.monotonic)
    steps: list[Step] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, who: str, *, sent: bool, body: bytes = b"", note: str = "") -> None:
        with self._lock:
            self.steps.append(Step(time.monotonic() - self.began, who, sent, body, note))

    def lines(self, schema: Schema) -> list[str]:
        """The last steps, one or more lines each."""
        groups = [list(group) for _, group in groupby(self.steps, lambda step: replace(step, at=0.0))]
        last = groups[-GROUPS_MAX:]
        left_out = sum(map(len, groups[:-GROUPS_MAX]))
        head = [f"({left_out} earlier frames are left out)"] if left_out else []
        return head + [line for group in last for line in self._lines_of(group[0], len(group), schema)]

    def _lines_of(self, step: Step, times: int, schema: Schema) -> list[str]:
        arrow = "->" if step.sent else "<-"
        start = f"{step.at:7.3f}  {step.who:<6} {arrow}" + (f" {times} times" if times > 1 else "")
        if step.note:
            return [f"{start} {step.note}"]
        sender = self.side if step.sent else "server" if self.side == "client" else "client"
        return [f"{start} {describe(step.body, schema, sender)}", f"{'':19} {hexed(step.body)}"]


def describe(body: bytes, schema: Schema, sender: str) -> str:
    """A frame with its fields by name, or the bare array with the reason why it is none."""
    try:
        frame = schema.decode(body, sender)
    except Malformed as error:
        return f"{bare(body)}  ({error})"
    if frame.name is None:
        return f"unknown code {frame.code}: {bare(body)}"
    return f"{frame.name}({named(frame, schema)})"


def named(frame: Frame, schema: Schema) -> str:
    """The fields that say something."""
    fields = {"rid": frame.rid} if frame.rid is not None else {}
    told = {name: value for name, value in frame.fields.items() if value is not None and value is not False}
    words = [f"{name}={shown(value)}" for name, value in {**fields, **told}.items()]
    if frame.name == "ERROR":
        words.append(schema.errors.get(frame["code"], "unknown code"))
    return ", ".join(words)


def shown(value: Any) -> str:
    """A value, short; bytes as hex."""
    match value:
        case bytes():
            text = f"x'{value.hex()}'"
        case dict():
            inner = ", ".join(f"{name}={shown(each)}" for name, each in value.items() if each is not None)
            text = f"({inner})"
        case list():
            text = f"[{', '.join(map(shown, value))}]"
        case _:
            text = repr(value)
    return text if len(text) <= VALUE_CHARACTERS_MAX else f"{text[:VALUE_CHARACTERS_MAX]}…"


def bare(body: bytes) -> str:
    """The array as it is, if it is one."""
    try:
        return shown(unpack(body))
    except Malformed:
        return "no msgpack of the profile"


def hexed(data: bytes) -> str:
    """Bytes with their number; the middle of long ones is left out."""
    if len(data) <= HEX_BYTES_MAX:
        return f"{len(data)} bytes: {data.hex(' ')}"
    half = HEX_BYTES_MAX // 2
    return f"{len(data)} bytes: {data[:half].hex(' ')} … {data[-half:].hex(' ')}"

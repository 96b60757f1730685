"""The values of transcripts: from data to frames and back, by the schema alone.

A placeholder stands for one value from where it is first met; `$_` fits everything. Bytes are {"hex": …}, structs are
objects. No line of wirechat is used, so that it cannot agree with itself.
"""

import json
import os
import random
from pathlib import Path
from typing import Any

from tools.conformance.decoder import Frame, Schema
from tools.protocol import schema as source
from tools.protocol.types import Type

PROTOCOL = Path(__file__).resolve().parents[2] / "protocol"
SESSIONS: dict[str, Any] = {
    transcript["id"]: transcript
    for path in sorted((PROTOCOL / "sessions").glob("*.json"))
    for transcript in [json.loads(path.read_text("utf-8"))]
}
CODEC = Schema()
SCHEMA = source.load(PROTOCOL)
LAYOUTS = {each.name: {field.name: field for field in each.fields} for each in SCHEMA.frames}
LAYOUTS |= {name: {field.name: field for field in each.fields} for name, each in SCHEMA.structs.items()}


def played_by(under_test: str) -> list[Any]:
    """Transcripts with this side under test."""
    return [transcript for transcript in SESSIONS.values() if transcript["under_test"] == under_test]


def is_counted(frame: Frame) -> bool:
    """Whether the frame counts for ACK, known or not."""
    return source.range_of(SCHEMA.codes, frame.code) == "counted"


class Values:
    """The placeholders of one transcript, and what follows from them."""

    def __init__(self) -> None:
        self.bound: dict[str, Any] = {}

    def body(self, frame: str, value: dict[str, Any]) -> bytes:
        """The frame to send, without length prefix; placeholders met first are bound to fresh values."""
        fields = self._struct(frame, value)
        rid = fields.pop("rid", None) if CODEC.by_name[frame].has_rid else None
        return CODEC.encode(frame, fields, rid)

    def fits(self, frame: Frame, name: str, value: dict[str, Any]) -> bool:
        """Whether the frame is the one that is waited for. Binds placeholders only if it is."""
        if frame.name != name:
            return False
        before = dict(self.bound)
        fits = self._fits_fields(value, {"rid": frame.rid, **frame.fields})
        if not fits:
            self.bound = before
        return fits

    def filled(self, value: Any) -> Any:
        """A value as it would come from the wire; every placeholder in it is bound."""
        if isinstance(value, list):
            return [self.filled(each) for each in value]
        if isinstance(value, dict):
            return bytes.fromhex(value["hex"]) if "hex" in value else {k: self.filled(v) for k, v in value.items()}
        return self.bound[value] if _is_placeholder(value) else value

    def _struct(self, name: str, value: dict[str, Any]) -> dict[str, Any]:
        layout = LAYOUTS[name]
        assert value.keys() <= layout.keys(), (name, value)
        return {key: self._value(layout[key].type, each) for key, each in value.items()}

    def _value(self, kind: Type, value: Any) -> Any:
        if value == "$_":
            return _fresh(kind)
        if _is_placeholder(value):
            if value not in self.bound:
                self.bound[value] = _fresh(kind)
            return self.bound[value]
        if kind.item is not None and value is not None:
            return [self._value(kind.item, each) for each in value]
        if kind.struct and value is not None:
            return self._struct(kind.struct, value)
        return bytes.fromhex(value["hex"]) if isinstance(value, dict) else value

    def _fits_fields(self, expected: dict[str, Any], found: dict[str, Any]) -> bool:
        return all(self._fits(each, found[key]) for key, each in expected.items())

    def _fits(self, expected: Any, found: Any) -> bool:
        if expected == "$_":
            return True
        if _is_placeholder(expected):
            return bool(self.bound.setdefault(expected, found) == found)
        if isinstance(expected, list):
            same_length = isinstance(found, list) and len(found) == len(expected)
            return same_length and all(map(self._fits, expected, found))
        if isinstance(expected, dict):
            if "hex" in expected:
                return bool(found == bytes.fromhex(expected["hex"]))
            return isinstance(found, dict) and self._fits_fields(expected, found)
        return type(expected) is type(found) and bool(expected == found)


def _is_placeholder(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("$")


def _fresh(kind: Type) -> Any:
    """A random value that fits: a handle where text is wanted; bytes are text too, so that they may be a password."""
    if kind.kind == "u":
        return random.randrange(1, kind.size + 1)
    if kind.kind == "s":
        return "t" + os.urandom(6).hex()
    assert kind.kind == "x", f"nothing is made up for {kind.text}"
    return os.urandom(kind.size) if kind.exact else os.urandom(8).hex().encode()

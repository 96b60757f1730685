"""Session transcripts as data: loading them, and filling the placeholders in their values.

A placeholder is bound where it is first met, here to a value made up for its type.
"""

import itertools
import json
from typing import Any

from tests.wire.plain import FIELDS, PROTOCOL
from tools.protocol.schema import Field, camel
from tools.protocol.types import Type
from wirechat import wire

SESSIONS = [json.loads(path.read_text("utf-8")) for path in sorted((PROTOCOL / "sessions").glob("*.json"))]


class Binder:
    """Makes messages from the values of one transcript."""

    def __init__(self) -> None:
        self.bound: dict[str, Any] = {}
        self._numbers = itertools.count(1)

    def message(self, frame: str, value: dict[str, Any]) -> Any:
        """The message; fields that the transcript leaves open are filled with any legal value."""
        return self._build(camel(frame), value)

    def _build(self, name: str, value: dict[str, Any]) -> Any:
        fields = FIELDS[name]
        assert value.keys() <= {field.name for field in fields}, (name, value)
        return getattr(wire, name)(**{field.name: self._field(field, value) for field in fields})

    def _field(self, field: Field, value: dict[str, Any]) -> Any:
        if field.name not in value:
            return field.default if field.type.optional else self._made_up(field.type, field.const or "")
        if value[field.name] is None:
            return None
        return self._value(field.type, value[field.name])

    def _value(self, kind: Type, value: Any) -> Any:
        if isinstance(value, str) and value.startswith("$"):
            return self._placeholder(kind, value)
        if kind.item is not None:
            return tuple(self._value(kind.item, each) for each in value)
        if kind.kind == "struct":
            return self._build(kind.struct, value)
        return bytes.fromhex(value["hex"]) if isinstance(value, dict) else value

    def _placeholder(self, kind: Type, name: str) -> Any:
        if name == "$_":
            return self._made_up(kind)
        if name not in self.bound:
            self.bound[name] = self._made_up(kind)
        return self.bound[name]

    def _made_up(self, kind: Type, const: str = "") -> Any:
        if kind.kind == "struct":
            return self._build(kind.struct, {})
        number = next(self._numbers)
        made = {"u": number % (kind.size + 1), "b": False, "s": const or f"name{number}", "array": ()}
        return made.get(kind.kind, number.to_bytes(kind.size if kind.exact else 8, "big"))

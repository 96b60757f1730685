"""Vectors as data: their files, and messages to and from the plain values they are written in.

A plain value is an object of named fields. Bytes are {"hex": …}, structs are objects, nil and defaults are left out.
"""

import json
from pathlib import Path
from typing import Any

import attrs

from tools.protocol.schema import Field, camel, load
from wirechat import wire

PROTOCOL = Path(__file__).resolve().parents[2] / "protocol"
SCHEMA = load(PROTOCOL)
FIELDS = {camel(each.name): each.fields for each in SCHEMA.frames} | {s.name: s.fields for s in SCHEMA.structs.values()}


def vectors(pattern: str) -> list[Any]:
    """Every vector of the files that match, below protocol/vectors."""
    paths = sorted((PROTOCOL / "vectors").glob(pattern))
    assert paths, pattern
    return [vector for path in paths for vector in json.loads(path.read_text(encoding="utf-8"))]


def octets(hexes: Any) -> bytes:
    """The bytes of a vector: hex, or a list of [hex, times]."""
    if isinstance(hexes, str):
        return bytes.fromhex(hexes)
    return b"".join(bytes.fromhex(part) * times for part, times in hexes)


def plain(value: Any) -> Any:
    """A message, struct or field as a plain value."""
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    if not attrs.has(type(value)):
        return value
    fields = FIELDS[type(value).__name__]
    pairs = ((field, getattr(value, field.name)) for field in fields)
    return {field.name: plain(each) for field, each in pairs if each is not None and each != field.default}


def build(name: str, value: dict[str, Any]) -> Any:
    """The message or struct with this class name and plain value."""
    fields = {field.name: field for field in FIELDS[name]}
    return getattr(wire, name)(**{key: _field(fields[key], each) for key, each in value.items()})


def _field(field: Field, value: Any) -> Any:
    if field.type.item is not None:
        return tuple(_single(field.type.item.struct, each) for each in value)
    return _single(field.type.struct, value)


def _single(struct: str, value: Any) -> Any:
    if struct:
        return build(struct, value)
    return bytes.fromhex(value["hex"]) if isinstance(value, dict) else value

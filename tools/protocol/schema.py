"""The schema in protocol/ as objects, checked on loading.

Every rule that a schema file can break is checked here, so that whatever is generated from a loaded schema is right.
Numbers: a request has an even code and its reply is that code + 1; a code is used once and lies in the range of what
it is.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs

from tools.protocol.types import Type, TypeSyntaxError, parse

FEATURES = (
    *("session", "sync", "accounts", "devices", "privacy"),
    *("conversations", "messages", "history", "receipts", "presence"),
)
TABLES = ("codes", "errors", "limits", "registries")
FILES = ("VERSION", *(f"{name}.json" for name in (*FEATURES, *TABLES)))
EVERY_REQUEST = frozenset({2000, 3000, 3001, 3005, 5000, 5001, 5002, 5003})
RID = {"name": "rid", "type": "u31", "about": "request id, chosen by the client, unique among its unanswered requests"}
_FIELD_KEYS = {"name", "type", "about", "unit", "enum", "default", "min", "max", "since", "const", "over"}
_METHODS = {"encode", "items", "pack", "unpack", "from_items"}


class SchemaError(ValueError):
    """The schema breaks one of its own rules. The text says which and where."""


@attrs.frozen
class Field:
    name: str
    type: Type
    about: str
    unit: str | None = None
    enum: str | None = None
    default: int | bool | None = None
    min: int | None = None
    max: int | None = None
    since: int = 1
    const: str | None = None
    over: int = 3000


@attrs.frozen
class Struct:
    name: str
    since: int
    about: str
    fields: tuple[Field, ...]


@attrs.frozen
class Frame:
    """One frame. A reply is a frame of its own; `reply` of its request names it."""

    code: int
    name: str
    side: str
    range: str
    since: int
    about: str
    fields: tuple[Field, ...]
    errors: tuple[int, ...] = ()
    reply: "Frame | None" = None

    @property
    def rid(self) -> bool:
        return self.range in ("request", "reply")


@attrs.frozen
class Feature:
    name: str
    about: str
    structs: tuple[Struct, ...]
    frames: tuple[Frame, ...]

    @property
    def every_frame(self) -> Iterator[Frame]:
        for frame in self.frames:
            yield frame
            if frame.reply is not None:
                yield frame.reply


@attrs.frozen
class Schema:
    version: int
    features: tuple[Feature, ...]
    codes: dict[str, Any]
    errors: dict[str, Any]
    limits: dict[str, Any]
    registries: dict[str, Any]

    @property
    def frames(self) -> Iterator[Frame]:
        for feature in self.features:
            yield from feature.every_frame

    @property
    def structs(self) -> dict[str, Struct]:
        return {struct.name: struct for feature in self.features for struct in feature.structs}


def load(directory: Path, names: Iterable[str] = FEATURES) -> Schema:
    """Reads and checks every schema file of a directory; `names`: the features it has.

    Raises SchemaError for a missing or broken file and for every broken rule.
    """
    features = tuple(_feature(name, _read(directory / f"{name}.json")) for name in names)
    data = {name: _read(directory / f"{name}.json") for name in TABLES}
    try:
        version = int((directory / "VERSION").read_text())
    except (OSError, ValueError) as error:
        raise SchemaError(f"VERSION: {error}") from error
    schema = Schema(version=version, features=features, **data)
    _check(schema)
    return schema


def range_of(codes: dict[str, Any], code: int) -> str:
    """The range a code lies in, by codes.json: control, counted, ephemeral, request (replies too) or invalid."""
    for entry in codes["ranges"]:
        if entry["lo"] <= code <= entry["hi"]:
            return _offset_range(codes, code) if "offsets" in entry else _plain_range(entry["name"])
    return "invalid"


def _plain_range(name: str) -> str:
    return "request" if name == "unused" else name


def _offset_range(codes: dict[str, Any], code: int) -> str:
    offsets = next(entry["offsets"] for entry in codes["ranges"] if isinstance(entry.get("offsets"), list))
    found: str = next(entry["name"] for entry in offsets if entry["lo"] <= code % 64 <= entry["hi"])
    return found


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SchemaError(f"{path.name}: {error}") from error


def _feature(name: str, data: dict[str, Any]) -> Feature:
    structs = tuple(
        Struct(key, value["since"], value["about"], _fields(key, value["fields"]))
        for key, value in data["structs"].items()
    )
    return Feature(data["feature"], data["about"], structs, tuple(_frame(entry) for entry in data["frames"]))


def _frame(entry: dict[str, Any]) -> Frame:
    name, code, since = entry["name"], entry["code"], entry["since"]
    shape = {"code": code, "name": name, "side": entry["from"], "since": since, "about": entry["about"]}
    errors = tuple(entry.get("errors", ()))
    if "reply" not in entry:
        fields = _fields(name, entry["fields"])
        return Frame(**shape, range=entry.get("push", "control"), fields=fields, errors=errors)
    reply = Frame(
        code=code + 1,
        name=entry["reply"]["name"],
        side="server",
        range="reply",
        since=since,
        about=entry["reply"]["about"],
        fields=_fields(entry["reply"]["name"], [RID, *entry["reply"]["fields"]]),
    )
    fields = _fields(name, [RID, *entry["fields"]])
    return Frame(**shape, range="request", fields=fields, errors=errors, reply=reply)


def _fields(owner: str, entries: list[dict[str, Any]]) -> tuple[Field, ...]:
    return tuple(_field(owner, entry) for entry in entries)


def _field(owner: str, entry: dict[str, Any]) -> Field:
    where = f"{owner}.{entry.get('name')}"
    if unknown := entry.keys() - _FIELD_KEYS:
        raise SchemaError(f"{where}: unknown key {sorted(unknown)[0]}")
    try:
        return Field(**{**entry, "type": parse(entry["type"])})
    except (TypeSyntaxError, TypeError, KeyError) as error:
        raise SchemaError(f"{where}: {error}") from error


def _check(schema: Schema) -> None:
    _check_unique("frame code", [frame.code for frame in schema.frames])
    names = [camel(frame.name) for frame in schema.frames] + list(schema.structs)
    _check_unique("name", names)
    for name, values in _numbers(schema):
        _check_unique(name, values)
    known = {error["code"] for error in schema.errors["errors"]}
    taken = set(schema.codes["private"]["codes"]) | {entry["code"] for entry in schema.codes["reserved"]}
    taken |= {code for name in ("counted", "ephemeral", "request") for code in schema.codes["grease"][name]}
    for frame in schema.frames:
        _check_code(schema, frame, taken)
        _check_errors(frame, known)
        _check_fields(schema, frame.name, frame.fields)
    for struct in schema.structs.values():
        _check_fields(schema, struct.name, struct.fields)
    _check_cycles(schema)


def _numbers(schema: Schema) -> Iterator[tuple[str, list[int | str]]]:
    yield "error code", [error["code"] for error in schema.errors["errors"]]
    yield "error name", [error["name"] for error in schema.errors["errors"]]
    yield "limit", [limit["name"] for limit in schema.limits["limits"]]
    for name, registry in schema.registries["registries"].items():
        yield f"value of {name}", [value["value"] for value in registry["values"]]
        yield f"name in {name}", [value["name"] for value in registry["values"]]


def _check_unique(what: str, values: Iterable[int | str]) -> None:
    seen: set[int | str] = set()
    for value in values:
        if value in seen:
            raise SchemaError(f"{what} {value} is used twice")
        seen.add(value)


def _check_code(schema: Schema, frame: Frame, taken: set[int]) -> None:
    expected = "request" if frame.rid else frame.range
    if range_of(schema.codes, frame.code) != expected:
        raise SchemaError(f"{frame.name}: code {frame.code} is not in the range {expected}")
    if frame.rid and frame.code % 2 != (frame.range == "reply"):
        raise SchemaError(f"{frame.name}: a request has an even code and its reply is one more")
    if frame.code in taken:
        raise SchemaError(f"{frame.name}: code {frame.code} is reserved")
    if frame.side not in ("client", "server", "both"):
        raise SchemaError(f"{frame.name}: from {frame.side}")


def _check_errors(frame: Frame, known: set[int]) -> None:
    for code in frame.errors:
        if code not in known:
            raise SchemaError(f"{frame.name}: error {code} is not in errors.json")


def _check_fields(schema: Schema, owner: str, fields: tuple[Field, ...]) -> None:
    _check_unique(f"{owner}: field", [field.name for field in fields])
    for field in fields:
        where = f"{owner}.{field.name}"
        if not re.fullmatch(r"[a-z][a-z0-9_]*", field.name) or field.name in _METHODS:
            raise SchemaError(f"{where}: not a field name")
        if field.enum is not None and field.enum != "errors" and field.enum not in schema.registries["registries"]:
            raise SchemaError(f"{where}: no registry {field.enum}")
        _check_type(schema, where, field)


def _check_type(schema: Schema, where: str, field: Field) -> None:
    inner = field.type
    while inner.item is not None:
        inner = inner.item
    if inner.kind == "struct" and inner.struct not in schema.structs:
        raise SchemaError(f"{where}: no struct {inner.struct}")
    if field.default is not None and not field.type.optional:
        raise SchemaError(f"{where}: a default without ?")
    if (field.min is not None or field.max is not None) and field.type.kind != "u":
        raise SchemaError(f"{where}: min and max are for uints")
    low, high = field.min or 0, field.type.size if field.max is None else field.max
    if field.type.kind == "u" and not low <= high <= field.type.size:
        raise SchemaError(f"{where}: {low} to {high} does not fit {field.type.text}")


def _check_cycles(schema: Schema) -> None:
    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise SchemaError(f"struct {name} contains itself")
        for field in schema.structs[name].fields:
            inner = field.type.item or field.type
            if inner.kind == "struct":
                visit(inner.struct, (*path, name))

    for name in schema.structs:
        visit(name, ())


def camel(name: str) -> str:
    """SEND_OK -> SendOk."""
    return "".join(part.capitalize() for part in name.split("_"))

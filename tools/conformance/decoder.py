"""Encodes and decodes frames from `protocol/*.json` alone, with the standard library alone.

It shares no line with the server or the client, so it cannot share their mistakes: it must never import wirechat. It is
slow and plain on purpose. A frame is a dict of its fields by the names of the schema; structs are dicts too, absent
optional fields have their default.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from .msgpack import UINT_MAX, Malformed, pack, unpack

__all__ = ["Frame", "Malformed", "Schema", "protocol_folder"]


def protocol_folder() -> Traversable:
    """`protocol/` of a checkout, else the one beside this folder, else the copy installed with the package."""
    for parent in (Path(__file__).resolve().parents[2], Path(__file__).resolve().parents[1]):
        if (parent / "protocol" / "VERSION").is_file():
            return parent / "protocol"
    return files("wirechat") / "protocol"


Check = Callable[[Any], Any]  # wire value -> value; raises Malformed
Dress = Callable[[Any], Any]  # value -> wire value


@dataclass(frozen=True)
class Field:
    name: str
    optional: bool
    default: Any
    check: Check
    dress: Dress


@dataclass
class Layout:
    """The fields of a frame or struct in their order. Structs are filled in after all are known, since they nest."""

    name: str
    fields: list[Field] = field(default_factory=list)

    def read(self, items: list[Any]) -> dict[str, Any]:
        """Checks the elements of an array. Unknown trailing ones are ignored."""
        return {spec.name: self._read_field(spec, items, index) for index, spec in enumerate(self.fields)}

    def _read_field(self, spec: Field, items: list[Any], index: int) -> Any:
        value = items[index] if index < len(items) else None
        if value is None:
            if not spec.optional:
                raise Malformed(f"{self.name}.{spec.name} is missing")
            return spec.default
        try:
            return spec.check(value)
        except Malformed as error:
            raise Malformed(f"{self.name}.{spec.name}: {error}") from None

    def write(self, values: Mapping[str, Any]) -> list[Any]:
        """The elements, defaults and trailing nils left out."""
        if unknown := set(values) - {spec.name for spec in self.fields}:
            raise Malformed(f"{self.name} has no field {', '.join(sorted(unknown))}")
        items = []
        for spec in self.fields:
            value = values.get(spec.name)
            plain = value is None or (spec.optional and value == spec.default)
            items.append(None if plain else spec.dress(value))
        while items and items[-1] is None:
            items.pop()
        return items


@dataclass(frozen=True)
class FrameType:
    code: int
    layout: Layout
    has_rid: bool
    sender: str  # "client", "server" or "both"
    since: int  # the release that brought it


@dataclass(frozen=True)
class Frame:
    """`name` is None for a code that the schema does not have."""

    code: int
    name: str | None
    rid: int | None
    fields: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    @property
    def rid_of_error(self) -> int | None:
        """The request that an ERROR answers: there it is a field."""
        rid: int | None = self.fields.get("rid")
        return rid


class Schema:
    """Everything in `protocol/`, read once. `limits` and `registries` are the numbers by name."""

    def __init__(self, folder: Traversable | None = None) -> None:
        folder = folder or protocol_folder()
        documents = [json.loads(path.read_text()) for path in folder.iterdir() if path.name.endswith(".json")]
        features = [document for document in documents if "frames" in document]
        self._ranges: list[dict[str, Any]] = _only(documents, "ranges")
        self._grease: list[int] = _only(documents, "grease")["request"]
        self.limits: dict[str, int] = _by_name(_only(documents, "limits"))
        self.errors: dict[int, str] = {row["code"]: row["name"] for row in _only(documents, "errors")}
        self.registries: dict[str, dict[str, int]] = {
            name: _by_name(rows["values"]) for name, rows in _only(documents, "registries").items()
        }
        self._structs = {name: Layout(name) for document in features for name in document.get("structs", {})}
        for document in features:
            for name, body in document.get("structs", {}).items():
                self._structs[name].fields.extend(map(self._field, body["fields"]))
        self.by_code: dict[int, FrameType] = {}
        for document in features:
            for body in document["frames"]:
                self._add_frame(body)
        self.by_name = {frame.layout.name: frame for frame in self.by_code.values()}

    def decode(self, body: bytes, sender: str = "server", *, grease: bool = False) -> Frame:
        """A frame body without length prefix. Codes to be ignored are returned without fields, and with `grease` also
        the request that nobody will ever know, which clients may send all the same [6-6]. Raises Malformed.
        """
        items, extras = _envelope(self._unpack(body, sender))
        known = self.by_code.get(items[0])
        if known is None:
            if not self._ignored(items[0], sender) and not (grease and items[0] in self._grease):
                raise Malformed(f"a {sender} sends no frame {items[0]}")
            return Frame(items[0], None, _rid(items) if self._has_rid(items[0]) else None, {})
        if known.sender not in (sender, "both"):
            raise Malformed(f"{known.layout.name} is not sent by a {sender}")
        rid = _rid(items) if known.has_rid else None
        if any(key % 2 == 0 for key in extras):
            raise Malformed("an even extra that this version does not know")
        return Frame(known.code, known.layout.name, rid, known.layout.read(items[2 if known.has_rid else 1 :]))

    def encode(self, name: str, fields: Mapping[str, Any], rid: int | None = None) -> bytes:
        """A frame body without length prefix."""
        frame = self.by_name[name]
        start = [frame.code, rid] if frame.has_rid else [frame.code]
        return pack(start + frame.layout.write(fields))

    def _unpack(self, body: bytes, sender: str) -> Any:
        if sender == "server":
            return unpack(body, self.limits["server_array_items"])
        return unpack(body, self.limits["array_items"], self.limits["frame_items"])

    def is_counted(self, code: int) -> bool:
        """Whether a push of this code counts for ACK, known or not."""
        row = self._range(code)
        return row is not None and row["name"] == "counted"

    def _has_rid(self, code: int) -> bool:
        """Whether a frame of this code has a request id, known or not."""
        row = self._range(code)
        return row is not None and row.get("rid") is True

    def _ignored(self, code: int, sender: str) -> bool:
        """Whether a frame that the schema does not have is passed over by whoever gets it, as codes.json says."""
        row = self._range(code)
        rule = "fatal" if row is None else row["client_unknown" if sender == "server" else "server_unknown"]
        return "ignore" in rule

    def _range(self, code: int) -> dict[str, Any] | None:
        row = next((row for row in self._ranges if row["lo"] <= code <= row["hi"]), None)
        if row is not None and row.get("rid") == "by offset":
            name = "request" if code % 64 < 32 else "counted" if code % 64 < 48 else "ephemeral"
            return next(row for row in self._ranges if row["name"] == name)
        return row

    def _add_frame(self, body: dict[str, Any]) -> None:
        reply = body.get("reply")
        since = int(body.get("since", 1))
        self._add_code(body["code"], body, body["from"], since, has_rid=reply is not None)
        if reply is not None:
            self._add_code(body["code"] + 1, reply, "server", since, has_rid=True)

    def _add_code(self, code: int, body: dict[str, Any], sender: str, since: int, *, has_rid: bool) -> None:
        layout = Layout(body["name"], list(map(self._field, body["fields"])))
        self.by_code[code] = FrameType(code, layout, has_rid, sender, since)

    def _field(self, row: dict[str, Any]) -> Field:
        kind: str = row["type"]
        check, dress = self._type(kind.removeprefix("?"))
        low, high = row.get("min"), row.get("max")
        if low is not None or high is not None:
            check = _within(check, low, high)
        return Field(row["name"], kind.startswith("?"), row.get("default"), check, dress)

    def _type(self, kind: str) -> tuple[Check, Dress]:
        """Grammar: u, uN, b, s, x with <=N or =N, s|x<=N, @Struct, [T] with <=N."""
        if match := re.fullmatch(r"\[(.+)\](<=|=)(\d+)", kind):
            check, dress = self._type(match[1])
            return _array(check, match[2], int(match[3])), lambda items: [dress(item) for item in items]
        if kind.startswith("@"):
            layout = self._structs[kind[1:]]
            return lambda value: layout.read(_a(list, value)), layout.write
        if match := re.fullmatch(r"(s\|x|s|x)(<=|=)(\d+)", kind):
            return _sized(match[1], match[2], int(match[3])), _same
        if match := re.fullmatch(r"u(\d*)", kind):
            return _uint(2 ** int(match[1]) - 1 if match[1] else UINT_MAX), _same
        if kind == "b":
            return lambda value: _a(bool, value), _same
        raise Malformed(f"the schema has an unknown type {kind}")


def _only(documents: Iterable[dict[str, Any]], key: str) -> Any:
    return next(document[key] for document in documents if key in document and "frames" not in document)


def _by_name(rows: Iterable[dict[str, Any]]) -> dict[str, int]:
    return {row["name"]: row["value"] for row in rows}


def _same(value: Any) -> Any:
    return value


def _is_uint(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _envelope(body: Any) -> tuple[list[Any], dict[int, Any]]:
    """The elements and the extras: the one place for a map is the end of the outer array."""
    if not isinstance(body, list):
        raise Malformed("not an array")
    items, extras = (body[:-1], body[-1]) if body and isinstance(body[-1], dict) else (body, {})
    if any(map(_has_map, items)) or any(map(_has_map, extras.values())):
        raise Malformed("a map in the wrong place")
    if not items or not _is_uint(items[0]):
        raise Malformed("no code")
    return items, extras


def _has_map(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(map(_has_map, value)))


def _rid(items: list[Any]) -> int:
    if len(items) < 2 or not _is_uint(items[1]) or items[1] >= 2**31:
        raise Malformed("no request id")
    return int(items[1])


def _a(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise Malformed(f"{type(value).__name__} where {kind.__name__} belongs")
    return value


def _uint(highest: int) -> Check:
    def check(value: Any) -> int:
        if not _is_uint(value) or value > highest:
            raise Malformed(f"not an integer from 0 to {highest}")
        return int(value)

    return check


def _within(check: Check, low: int | None, high: int | None) -> Check:
    def checked(value: Any) -> Any:
        number = check(value)
        if (low is not None and number < low) or (high is not None and number > high):
            raise Malformed(f"not from {low} to {high}")
        return number

    return checked


def _sized(kind: str, relation: str, size: int) -> Check:
    kinds = tuple({"s": str, "x": bytes}[letter] for letter in kind.split("|"))

    def check(value: Any) -> Any:
        if not isinstance(value, kinds):
            raise Malformed(f"{type(value).__name__} where {kind} belongs")
        length = len(value.encode() if isinstance(value, str) else value)
        if length > size or (relation == "=" and length < size):
            raise Malformed(f"{length} bytes, not {relation} {size}")
        return value

    return check


def _array(check: Check, relation: str, size: int) -> Check:
    def checked(value: Any) -> list[Any]:
        items = _a(list, value)
        if len(items) > size or (relation == "=" and len(items) < size):
            raise Malformed(f"{len(items)} items, not {relation} {size}")
        return [check(item) for item in items]

    return checked

"""Writes the Python classes of the schema, as ruff format leaves them.

Encoding is one list and one call of the packer. Decoding is one tuple unpacking and straight-line checks: no loop over
fields, no validator objects, because SEND and EVENT pass here for every message.
"""

from collections.abc import Iterable, Iterator

from tools.protocol import numbers
from tools.protocol.checks import checks, local
from tools.protocol.layout import HEADER, WIDTH, bracket, docstring, hanging
from tools.protocol.schema import Feature, Field, Frame, Schema, Struct, camel
from tools.protocol.types import Type


def modules(schema: Schema) -> dict[str, str]:
    """Every generated file: path below wirechat/wire -> text."""
    files = {f"features/{feature.name}.py": _feature_module(schema, feature) for feature in schema.features}
    files["features/__init__.py"] = _features_init(schema)
    files["errors.py"] = numbers.errors_module(schema)
    files["limits.py"] = numbers.limits_module(schema)
    files["registries.py"] = numbers.registries_module(schema)
    return files


def _feature_module(schema: Schema, feature: Feature) -> str:
    lines = [*docstring(0, feature.about, HEADER.format(source=f"{feature.name}.json")), ""]
    lines += [*_imports(schema, feature), ""]
    for struct in _in_order(feature):
        lines += ["", *_struct_class(struct), ""]
    for frame in feature.frames:
        if frame.reply is not None:
            lines += ["", *_frame_class(frame.reply, None), ""]
        lines += ["", *_frame_class(frame, frame.reply), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _shapes(feature: Feature) -> Iterator[Struct | Frame]:
    yield from feature.structs
    yield from feature.every_frame


def _in_order(feature: Feature) -> list[Struct]:
    """Structs such that each comes after those it contains."""
    done: list[Struct] = []

    def add(struct: Struct) -> None:
        for other in feature.structs:
            if other.name in _structs_of(struct.fields) and other not in done:
                add(other)
        if struct not in done:
            done.append(struct)

    for struct in feature.structs:
        add(struct)
    return done


def _structs_of(fields: Iterable[Field]) -> set[str]:
    inner = ((field.type.item or field.type) for field in fields)
    return {kind.struct for kind in inner if kind.kind == "struct"}


def _imports(schema: Schema, feature: Feature) -> Iterator[str]:
    own = {struct.name for struct in feature.structs}
    used = set().union(*(_structs_of(each.fields) for each in _shapes(feature)))
    bases = {_base(frame) for frame in feature.every_frame} | ({"Struct"} if feature.structs else set())
    packing = {"frame"} | ({"unpack"} if feature.structs else set())
    packing |= {"trim"} if any(_has_optional(struct.fields) for struct in feature.structs) else set()
    yield "from typing import Any, ClassVar, Self"
    yield ""
    yield "import attrs"
    yield ""
    for other in schema.features:
        foreign = sorted(struct.name for struct in other.structs if struct.name in used - own)
        if foreign:
            yield f"from wirechat.wire.features.{other.name} import {', '.join(foreign)}"
    texts = any(_has_text(each.fields) for each in _shapes(feature))
    names = ", ".join([*sorted({*bases, "Mismatch", "Range"}), "fit", *(["overlong"] if texts else [])])
    yield f"from wirechat.wire.message import {names}"
    yield f"from wirechat.wire.packing import {', '.join(sorted(packing))}"


def _has_text(fields: Iterable[Field]) -> bool:
    return any(field.type.kind in ("s", "s|x") and not field.type.exact for field in fields)


def _has_optional(fields: Iterable[Field]) -> bool:
    return any(field.type.optional for field in fields)


def _base(frame: Frame) -> str:
    return {"request": "Request", "reply": "Reply"}.get(frame.range, "Message")


def _frame_class(frame: Frame, reply: Frame | None) -> Iterator[str]:
    yield "@attrs.define(slots=True)"
    yield f"class {camel(frame.name)}({_base(frame)}):"
    yield from _class_docstring(frame.about, frame.fields)
    yield ""
    yield f"    CODE: ClassVar[int] = {frame.code}"
    yield f'    NAME: ClassVar[str] = "{frame.name}"'
    yield f'    SIDE: ClassVar[str] = "{frame.side}"'
    yield f'    RANGE: ClassVar[Range] = "{frame.range}"'
    if reply is not None:
        yield f"    REPLY: ClassVar[type[Reply]] = {camel(reply.name)}"
    yield ""
    yield from _attributes(frame.fields)
    yield ""
    yield "    def encode(self) -> bytes:"
    yield from _returned("frame(", [str(frame.code), *_encoded(frame.fields)], ")")
    yield ""
    yield from _from_items(frame.name, frame.fields, skip=1)


def _struct_class(struct: Struct) -> Iterator[str]:
    yield "@attrs.define(slots=True)"
    yield f"class {struct.name}(Struct):"
    yield from _class_docstring(struct.about, struct.fields)
    yield ""
    yield from _attributes(struct.fields)
    yield ""
    yield "    def items(self) -> list[Any]:"
    head, tail = ("trim(", ")") if _has_optional(struct.fields) else ("", "")
    yield from _returned(head, _encoded(struct.fields), tail)
    yield ""
    yield "    @classmethod"
    yield "    def unpack(cls, packed: bytes) -> Self:"
    yield '        """The struct that `pack` gave these bytes for."""'
    yield "        return cls.from_items(unpack(packed, len(packed)), True)"
    yield ""
    yield from _from_items(struct.name, struct.fields, skip=0)


def _class_docstring(about: str, fields: tuple[Field, ...]) -> Iterator[str]:
    yield from hanging(4, '"""', about)
    if fields:
        yield ""
    column = max((len(field.name) for field in fields), default=0) + 3
    for field in fields:
        unit = f" [{field.unit}]" if field.unit else ""
        yield from hanging(4, field.name.ljust(column), field.about + unit, column)
    yield '    """'


def _attributes(fields: tuple[Field, ...]) -> Iterator[str]:
    positional = _positional(fields)
    for index, field in enumerate(fields):
        optional = " | None" if field.type.optional and field.default is None else ""
        value = f" = {field.default!r}" if field.type.optional else ""
        if index >= positional:
            default = f"default={field.default!r}, " if field.type.optional else ""
            value = f" = attrs.field({default}kw_only=True)"
        yield f"    {field.name}: {field.type.python}{optional}{value}"


def _encoded(fields: tuple[Field, ...]) -> Iterator[str]:
    for field in fields:
        value = f"self.{field.name}"
        packed = _packed(value, field.type)
        if field.default is not None:
            yield f"{value} or None" if not field.default else f"None if {value} == {field.default!r} else {value}"
        elif field.type.optional and packed != value:
            yield f"None if {value} is None else {packed}"
        else:
            yield packed


def _returned(head: str, values: Iterable[str], tail: str) -> Iterator[str]:
    values = list(values)
    line = f"        return {head}[{', '.join(values)}]{tail}"
    if len(line) <= WIDTH:
        yield line
        return
    yield "        items: list[Any] = ["
    yield from (f"            {value}," for value in values)
    yield "        ]"
    yield f"        return {head}items{tail}"


def _packed(value: str, kind: Type) -> str:
    if kind.kind == "struct":
        return f"{value}.items()"
    if kind.item is not None and kind.item.kind == "struct":
        return f"[each.items() for each in {value}]"
    return value


def _from_items(owner: str, fields: tuple[Field, ...], skip: int) -> Iterator[str]:
    yield "    @classmethod"
    yield "    def from_items(cls, items: tuple[Any, ...], lenient: bool) -> Self:"
    if not skip:
        yield "        if type(items) is not tuple:"
        yield f'            raise Mismatch("{owner} must be an array")'
    length = len(fields) + skip
    yield f"        if len(items) != {length}:"
    yield f"            items = fit(items, {length}, lenient)"
    if fields:
        names = ["_"] * skip + [local(field) for field in fields]
        yield from bracket(8, "", names, " = items" if length > 1 else ", = items")
    for field in fields:
        yield from checks(owner, field)
    yield from bracket(8, "return cls(", _arguments(fields), ")")


def _arguments(fields: tuple[Field, ...]) -> Iterator[str]:
    positional = _positional(fields)
    yield from (local(field) for field in fields[:positional])
    yield from (f"{field.name}={local(field)}" for field in fields[positional:])


def _positional(fields: tuple[Field, ...]) -> int:
    """How many fields are positional: a required field after an optional one is keyword-only, and all after it."""
    optional_seen = False
    for index, field in enumerate(fields):
        if optional_seen and not field.type.optional:
            return index
        optional_seen = optional_seen or field.type.optional
    return len(fields)


def _features_init(schema: Schema) -> str:
    lines = [*docstring(0, "One module for each schema file.", HEADER.format(source="")), ""]
    for feature in sorted(schema.features, key=lambda feature: feature.name):
        names = [camel(frame.name) for frame in feature.every_frame] + [struct.name for struct in feature.structs]
        head = f"from wirechat.wire.features.{feature.name} import "
        ordered = sorted(names, key=str.lower)
        line = head + ", ".join(ordered)
        lines += [line] if len(line) <= WIDTH else [head + "(", *(f"    {name}," for name in ordered), ")"]
    every = sorted([camel(frame.name) for frame in schema.frames] + list(schema.structs))
    lines += ["", "__all__ = [", *(f'    "{name}",' for name in every), "]", ""]
    lines += ["FRAMES = (", *(f"    {camel(frame.name)}," for frame in schema.frames), ")"]
    lines += ["STRUCTS = (", *(f"    {name}," for name in schema.structs), ")"]
    return "\n".join(lines) + "\n"

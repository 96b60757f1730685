"""Hypothesis strategies made from the schema: any value a field may hold, and any message."""

from typing import Any

from hypothesis import strategies as st

from tests.wire.plain import FIELDS, SCHEMA
from tools.protocol.schema import Field, camel
from tools.protocol.types import Type
from wirechat import wire

_TEXT = st.characters(exclude_categories=["Cs"])


def values(kind: Type, low: int = 0, high: int | None = None) -> st.SearchStrategy[Any]:
    """Any value of a type that is present."""
    if kind.kind == "u":
        return st.integers(low, kind.size if high is None else high)
    if kind.kind == "b":
        return st.booleans()
    if kind.kind == "x":
        return st.binary(min_size=kind.size, max_size=kind.size) if kind.exact else st.binary(max_size=kind.size)
    if kind.kind == "struct":
        return structs(kind.struct)
    if kind.item is not None:
        return st.lists(values(kind.item), max_size=min(kind.size, 4)).map(tuple)
    texts = st.text(_TEXT, max_size=40).filter(lambda text: len(text.encode()) <= kind.size)
    return texts if kind.kind == "s" else texts | st.binary(max_size=40)


def fields(field: Field) -> st.SearchStrategy[Any]:
    """Any value of a field, nil included where it may be absent; nil stands for a default already when decoded."""
    if field.const is not None:
        return st.just(field.const)
    present = values(field.type, field.min or 0, field.max)
    if field.default is not None:
        return present | st.just(field.default)
    return st.none() | present if field.type.optional else present


def structs(name: str) -> st.SearchStrategy[Any]:
    """Any struct or message of a class."""
    return st.builds(getattr(wire, name), **{field.name: fields(field) for field in FIELDS[name]})


def messages(side: wire.Side | None = None) -> st.SearchStrategy[wire.Message]:
    """Any message, or any that this side may send."""
    names = [camel(frame.name) for frame in SCHEMA.frames if side is None or frame.side in (side, "both")]
    return st.sampled_from(names).flatmap(structs)

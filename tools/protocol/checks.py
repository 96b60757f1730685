"""The checks of one field, as straight-line Python: type, range and length of everything the schema says."""

import builtins
from collections.abc import Iterator

from tools.protocol.schema import Field
from tools.protocol.types import UINT_MAX, Type


def local(field: Field) -> str:
    """The variable that holds a field, such that it hides no builtin."""
    return f"{field.name}_" if hasattr(builtins, field.name) else field.name


def checks(owner: str, field: Field) -> Iterator[str]:
    """Every check of one field; nil becomes the default."""
    yield from _type_checks(owner, field)
    yield from _const_check(owner, field)


def _type_checks(owner: str, field: Field) -> Iterator[str]:
    name, kind = local(field), field.type
    failure = f'raise Mismatch("{owner}.{field.name} must be {_words(field)}"'
    if kind.kind == "u" or kind.kind == "b" or (kind.kind in ("s", "x") and field.over == 3000):
        yield from _guarded(field, _wrong(name, kind, field), failure + ")")
        return
    lines = list(_compound_checks(name, field, failure))
    if not kind.optional:
        yield from ("        " + line for line in lines)
        return
    yield f"        if {name} is not None:"
    yield from ("            " + line for line in lines)


def _const_check(owner: str, field: Field) -> Iterator[str]:
    if field.const is not None:
        yield f'        if {local(field)} != "{field.const}":'
        yield f'            raise Mismatch("{owner}.{field.name} must be {field.const}", 1000)'


def _guarded(field: Field, wrong: str, failure: str) -> Iterator[str]:
    name = local(field)
    if field.default is not None:
        yield f"        if {name} is None:"
        yield f"            {name} = {field.default!r}"
        yield f"        elif {wrong}:"
    elif field.type.optional:
        inner = f"({wrong})" if " or " in wrong else wrong
        yield f"        if {name} is not None and {inner}:"
    else:
        yield f"        if {wrong}:"
    yield f"            {failure}"


def _compound_checks(name: str, field: Field, failure: str) -> Iterator[str]:
    kind = field.type
    if kind.kind == "struct":
        yield f"{name} = {kind.struct}.from_items({name}, lenient)"
    elif kind.item is not None:
        yield f"if type({name}) is not tuple or len({name}) > {kind.size}:"
        yield f"    {failure})"
        if kind.item.kind == "struct":
            yield f"{name} = tuple([{kind.item.struct}.from_items(each, lenient) for each in {name}])"
        else:
            yield f"for each in {name}:"
            yield f"    if {_wrong('each', kind.item, None)}:"
            yield f"        {failure})"
    else:
        over = f", {field.over})" if field.over != 3000 else ")"
        yield f"if type({name}) is not str and type({name}) is not bytes:"
        yield f"    {failure})"
        # A character has at most 4 bytes: a short text is not encoded to know that it is short.
        long = f"len({name}) > {kind.size // 4} and type({name}) is str and overlong({name}, {kind.size})"
        yield f"if len({name}) > {kind.size} or ({long}):"
        yield f"    {failure}{over}"


def _wrong(name: str, kind: Type, field: Field | None) -> str:
    if kind.kind == "u":
        low, high = (field.min or 0, field.max) if field else (0, None)
        return f"type({name}) is not int or not {low} <= {name} <= {_number(kind.size if high is None else high)}"
    if kind.kind == "b":
        return f"type({name}) is not bool"
    if kind.kind == "x":
        return f"type({name}) is not bytes or len({name}) {'!=' if kind.exact else '>'} {kind.size}"
    if kind.exact:
        return f"type({name}) is not str or len({name}.encode()) != {kind.size}"
    return f"type({name}) is not str or overlong({name}, {kind.size})"


def _number(value: int) -> str:
    return "0x1FFFFFFFFFFFFF" if value == UINT_MAX else str(value)


def _words(field: Field) -> str:
    bounds = f" from {field.min or 0} to {field.max}" if field.max is not None else ""
    bounds = bounds or (f" from {field.min}" if field.min else "")
    return field.type.text + bounds

"""The Markdown tables of docs/protocol.md, between `<!-- generated:NAME -->` and `<!-- end -->`.

Names: frames:FEATURE (frames and structs of one schema file), errors, registries, limits, codes.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tools.protocol.schema import EVERY_REQUEST, FEATURES, Field, Frame, Schema, Struct

_MARKED = re.compile(r"(?P<open><!-- generated:(?P<name>[a-z:]+) -->\n).*?(?P<close><!-- end -->)", re.DOTALL)


class UnknownTableError(ValueError):
    """A marker names a table that does not exist."""


def names() -> tuple[str, ...]:
    """Every table there is."""
    return (*(f"frames:{feature}" for feature in FEATURES), *_TABLES)


def table(schema: Schema, name: str) -> str:
    """One table as Markdown, ending in a newline.

    Raises UnknownTableError.
    """
    if name.startswith("frames:"):
        for feature in schema.features:
            if name == f"frames:{feature.name}":
                blocks = [_struct(struct) for struct in feature.structs]
                blocks += [_frame(schema, frame) for frame in feature.every_frame]
                return "\n".join("\n".join(block) + "\n" for block in blocks)
    elif name in _TABLES:
        return "\n".join(_TABLES[name](schema)) + "\n"
    raise UnknownTableError(f"no table {name}; there are {', '.join(names())}")


def inserted(schema: Schema, text: str) -> str:
    """The text of a document with every marked table renewed.

    Raises UnknownTableError.
    """
    return _MARKED.sub(lambda match: match["open"] + "\n" + table(schema, match["name"]) + "\n" + match["close"], text)


def _rows(head: Iterable[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    head = list(head)
    yield _row(head)
    yield "|" + "---|" * len(head)
    yield from (_row(row) for row in rows)


def _row(cells: Iterable[object]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def _frame(schema: Schema, frame: Frame) -> Iterator[str]:
    yield f"#### {frame.name} ({frame.code})"
    yield ""
    yield f"{_direction(frame)}{_since(frame.since)}. {frame.about}"
    yield ""
    yield from _fields(frame, first=1)
    if frame.range == "request" or frame.errors:
        yield ""
        yield _errors_of(schema, frame)


def _direction(frame: Frame) -> str:
    sender = {"client": "Client to server", "server": "Server to client", "both": "Either way"}[frame.side]
    kind = {"request": "request", "reply": "reply", "counted": "counted push", "ephemeral": "ephemeral push"}
    return sender + (f", {kind[frame.range]}" if frame.range in kind else "")


def _struct(struct: Struct) -> Iterator[str]:
    yield f"#### {struct.name} (struct{_since(struct.since)})"
    yield ""
    yield struct.about
    yield ""
    yield from _fields(struct, first=0)


def _fields(owner: Frame | Struct, first: int) -> Iterator[str]:
    rows = (
        (index, field.name, f"`{field.type.text}`", _about(field, owner.since))
        for index, field in enumerate(owner.fields, first)
    )
    yield from _rows(("at", "field", "type", "meaning"), rows)


def _since(release: int) -> str:
    """What is not of the first release says so."""
    return f", since release {release}" if release > 1 else ""


def _about(field: Field, owner_since: int) -> str:
    notes = [field.unit] if field.unit else []
    if field.min is not None or field.max is not None:
        notes.append(f"{field.min or 0} to {'…' if field.max is None else field.max}")
    if field.default is not None:
        notes.append(f"default {str(field.default).lower()}")
    if field.enum:
        notes.append(f"see {field.enum}")
    if field.since > owner_since:
        notes.append(f"since release {field.since}")
    return field.about + (f" ({'; '.join(notes)})" if notes else "")


def _errors_of(schema: Schema, frame: Frame) -> str:
    known = {error["code"]: error["name"] for error in schema.errors["errors"]}
    own = ", ".join(f"{code} {known[code]}" for code in frame.errors)
    if frame.range != "request":
        return f"Errors: {own}."
    return f"Errors: {own}; and those of every request." if own else "Errors: those of every request."


def _errors(schema: Schema) -> Iterator[str]:
    classes = schema.errors["classes"]
    yield from _rows(("class", "name", "what to do"), ((f"{e['class']}xxx", e["name"], e["do"]) for e in classes))
    yield ""
    every = ", ".join(str(code) for code in sorted(EVERY_REQUEST))
    yield f"Every request can fail with {every}, and every connection with 1xxx."
    yield ""
    rows = ((e["code"], e["name"], _error_about(e)) for e in schema.errors["errors"])
    yield from _rows(("code", "name", "meaning"), rows)


def _error_about(error: dict[str, Any]) -> str:
    text = _number_about(error)
    return f"{text} (detail: {error['detail']})" if "detail" in error else text


def _number_about(number: dict[str, Any]) -> str:
    text: str = number["about"]
    return text if number["since"] == 1 or text.startswith("reserved") else f"{text} (since release {number['since']})"


def _registries(schema: Schema) -> Iterator[str]:
    for index, (name, registry) in enumerate(schema.registries["registries"].items()):
        if index:
            yield ""
        yield f"#### {name}"
        yield ""
        yield f"Unknown value: {registry['unknown']}" + (f" {registry['grease']}." if "grease" in registry else "")
        yield ""
        rows = ((v["value"], v["name"], _number_about(v)) for v in registry["values"])
        yield from _rows(("value", "name", "meaning"), rows)


def _limits(schema: Schema) -> Iterator[str]:
    rows = (
        (limit["name"], f"{limit['value']} {limit['unit']}", "WELCOME" if limit["told"] else "", limit["reason"])
        for limit in schema.limits["limits"]
    )
    yield from _rows(("limit", "value", "told in", "reason"), rows)


def _codes(schema: Schema) -> Iterator[str]:
    head = ("codes", "what", "a server that does not know it", "a client that does not know it")
    yield from _rows(head, (_code_row(entry) for entry in schema.codes["ranges"]))
    yield ""
    offsets = next(entry["offsets"] for entry in schema.codes["ranges"] if isinstance(entry.get("offsets"), list))
    places = ", ".join(f"{each['lo']} to {each['hi']} {each['name']}" for each in offsets)
    yield f"Inside a block of 64, by code modulo 64: {places}."


def _code_row(entry: dict[str, Any]) -> tuple[str, ...]:
    span = str(entry["lo"]) if entry["lo"] == entry["hi"] else f"{entry['lo']} to {entry['hi']}"
    return span, entry["name"], entry["server_unknown"], entry["client_unknown"]


_TABLES: dict[str, Callable[[Schema], Iterator[str]]] = {
    "errors": _errors,
    "registries": _registries,
    "limits": _limits,
    "codes": _codes,
}

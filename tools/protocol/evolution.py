"""What may never change once a version is released, checked against its frozen copy in protocol/releases/N.

Names, codes, types and orders stay; fields are only appended, and only optional ones; numbers are never reused; a limit
that is part of the protocol keeps its value. What a release reserved may be put to use under the same name.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.protocol.schema import FEATURES, Field, Frame, Schema, load


def releases(directory: Path) -> list[Path]:
    """The frozen copies below protocol/, oldest first."""
    return sorted((directory / "releases").glob("*/"), key=lambda path: int(path.name))


def broken(directory: Path) -> list[str]:
    """One line for every rule that protocol/ breaks against any of its releases.

    Raises SchemaError.
    """
    now = load(directory)
    return [f"release {path.name}: {line}" for path in releases(directory) for line in compare(_released(path), now)]


def _released(path: Path) -> Schema:
    """A release has the features of its time."""
    return load(path, [name for name in FEATURES if (path / f"{name}.json").exists()])


def compare(old: Schema, new: Schema) -> Iterator[str]:
    """One line for every rule that `new` breaks against the released `old`."""
    yield from _frames(old, new)
    structs = new.structs
    for name, struct in old.structs.items():
        if name not in structs:
            yield f"struct {name} is gone"
        else:
            yield from _fields(name, struct.fields, structs[name].fields)
    yield from _registries(old.registries["registries"], new.registries["registries"])
    yield from _numbers("error", "code", old.errors["errors"], new.errors["errors"])
    yield from _limits(old, new)
    yield from _codes(old.codes, new.codes)


def _frames(old: Schema, new: Schema) -> Iterator[str]:
    found = {frame.code: frame for frame in new.frames}
    for frame in old.frames:
        if frame.code not in found:
            yield f"frame {frame.name} ({frame.code}) is gone"
        else:
            yield from _frame(frame, found[frame.code])


def _frame(old: Frame, new: Frame) -> Iterator[str]:
    for what in ("name", "side", "range", "since"):
        if getattr(old, what) != getattr(new, what):
            yield f"frame {old.name}: {what} {getattr(old, what)} became {getattr(new, what)}"
    yield from _fields(old.name, old.fields, new.fields)


def _fields(owner: str, old: tuple[Field, ...], new: tuple[Field, ...]) -> Iterator[str]:
    for index, field in enumerate(old):
        if index >= len(new) or new[index].name != field.name:
            yield f"{owner}.{field.name} is not at its place any more"
            return
        for what in ("type", "default", "min", "max", "enum", "unit", "const", "over"):
            if getattr(field, what) != getattr(new[index], what):
                yield f"{owner}.{field.name}: {what} changed"
    for field in new[len(old) :]:
        if not field.type.optional:
            yield f"{owner}.{field.name} was appended and is not optional"


def _registries(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    for name, registry in old.items():
        if name not in new:
            yield f"registry {name} is gone"
        else:
            yield from _numbers(name, "value", registry["values"], new[name]["values"])


def _numbers(what: str, key: str, old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Iterator[str]:
    found = {entry[key]: entry["name"] for entry in new}
    for entry in old:
        if entry[key] not in found:
            yield f"{what} {entry[key]} {entry['name']} is gone"
        elif found[entry[key]] != entry["name"]:
            yield f"{what} {entry[key]} {entry['name']} was reused as {found[entry[key]]}"


def _limits(old: Schema, new: Schema) -> Iterator[str]:
    found = {limit["name"]: limit for limit in new.limits["limits"]}
    for limit in old.limits["limits"]:
        name = limit["name"]
        if name not in found:
            yield f"limit {name} is gone"
        elif any(limit[what] != found[name][what] for what in ("value", "unit", "told")):
            yield f"limit {name} changed"


def _codes(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    for what in ("ranges", "grease", "private"):
        if _bare(old[what]) != _bare(new[what]):
            yield f"codes: {what} changed"


def _bare(value: Any) -> Any:
    return {key: each for key, each in value.items() if key != "about"} if isinstance(value, dict) else value

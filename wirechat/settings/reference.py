"""The settings for people: a commented TOML file and a page of Markdown, both from the schema."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from wirechat.settings import schema
from wirechat.settings.schema import FIELDS, Prefix, sections
from wirechat.settings.urls import BusUrl, StoreUrl

HEAD = """\
# The configuration of a wirechat server: `wirechat serve --config wirechat.toml`.
# Every setting stands here with its default, or an example where it has none, behind a '#'.
# A variable like WIRECHAT_LISTEN__TCP goes before this file, a flag before both. Relative paths start at this file.
# Check it with `wirechat config check wirechat.toml`; after a change of what says "reloads", send SIGHUP.
"""
START = ("data.directory", "listen.tcp")
"""What the generated file sets: enough for a server."""


def default_toml() -> str:
    """A commented file in which nothing but where to begin is set."""
    parts = [HEAD]
    for section, cls in sections().items():
        parts.append("\n".join([*_comment(_line(cls.__doc__)), f"[{section}]", *_entries(section)]) + "\n")
    return "\n".join(parts)


def _entries(section: str) -> Iterator[str]:
    for path in _paths(section):
        name, about = path.partition(".")[2], schema.about(path)
        yield from _comment(f"{about.meaning} ({'; '.join(_facts(path))})")
        yield f"{'' if path in START else '#'}{name} = {about.example or toml(schema.default(path))}"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, 110, initial_indent="# ", subsequent_indent="# ")


PAGE = """\
# Settings

Made from the settings themselves; `wirechat config reference` prints it. Behind the meaning stand the variable, the
flag of `wirechat serve` where there is one, and whether SIGHUP is enough for a change ("Reloads.").
"""


def markdown() -> str:
    """The reference page: one table for each section."""
    parts = [PAGE]
    for section, cls in sections().items():
        rows = [_row(path) for path in _paths(section)]
        head = ["| key | type | default | meaning |", "|---|---|---|---|"]
        parts.append("\n".join([f"## [{section}]", "", _line(cls.__doc__), "", *head, *rows]) + "\n")
    return "\n".join(parts)


def _row(path: str) -> str:
    about, value = schema.about(path), schema.default(path)
    said = [about.meaning, f"`{schema.variable(path)}`" + (f", `{about.flag}`" if about.flag else "") + "."]
    if about.reloads:
        said.append("Reloads.")
    kind = ", ".join(fact for fact in _facts(path) if fact != "reloads")
    shown = "none" if value is None else f"`{toml(value)}`"
    return f"| `{path.partition('.')[2]}` | {kind} | {shown} | {' '.join(said)} |"


def _paths(section: str) -> list[str]:
    return [path for path in FIELDS if path.startswith(section + ".")]


def _facts(path: str) -> list[str]:
    """Type, unit, range, and whether SIGHUP is enough."""
    about, kind = schema.about(path), FIELDS[path].type
    facts = [_kind(kind, about.unit)]
    if about.least is not None:
        facts.append(f"{about.least} to {about.most} {about.unit}")
    if about.reloads:
        facts.append("reloads")
    return facts


def _kind(kind: Any, unit: str) -> str:
    if get_origin(kind) is tuple:
        return f"list of {unit}"
    if kind == (Path | None):
        return "path"
    if kind in (Prefix, StoreUrl | None, BusUrl | None):
        return unit or "text"
    return {int: "whole number", bool: "true or false"}.get(kind) or " or ".join(get_args(kind))


def _line(docstring: str | None) -> str:
    return " ".join((docstring or "").split())


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, tuple):
        return f"[{', '.join(toml(each) for each in value)}]"
    if isinstance(value, bool | int):
        return json.dumps(value)
    return json.dumps(str(value))

"""Writes the modules of numbers: errors, limits, and registries."""

import textwrap

from tools.protocol.layout import HEADER, WIDTH, bracket, docstring, quoted
from tools.protocol.schema import Schema, camel


def errors_module(schema: Schema) -> str:
    """wire/errors.py"""
    data = schema.errors
    lines = [*docstring(0, data["about"], HEADER.format(source="errors.json")), ""]
    lines += ["from typing import Final", "", "import attrs", "", ""]
    lines += [
        "@attrs.frozen",
        "class ErrorClass:",
        '    """What all errors of one thousand mean to whoever gets them."""',
        "",
    ]
    lines += ["    name: str", "    do: str", "", ""]
    lines += ["@attrs.frozen", "class ErrorInfo:", '    """One error code; `family` is its thousand."""', ""]
    lines += ["    code: int", "    name: str", "    about: str", "", "    @property", "    def family(self) -> int:"]
    lines += ["        return self.code // 1000", "", ""]
    known = [error for error in data["errors"] if error["since"] <= schema.version]
    lines += [f"{error['name']}: Final = {error['code']}" for error in known]
    lines += ["", "CLASSES: Final[dict[int, ErrorClass]] = {"]
    for entry in data["classes"]:
        lines += bracket(4, f"{entry['class']}: ErrorClass(", [quoted(entry["name"]), quoted(entry["do"])], "),")
    lines += ["}", "ERRORS: Final[dict[int, ErrorInfo]] = {"]
    for error in known:
        arguments = [str(error["code"]), quoted(error["name"]), quoted(error["about"])]
        lines += bracket(4, f"{error['code']}: ErrorInfo(", arguments, "),")
    return "\n".join([*lines, "}"]) + "\n"


def limits_module(schema: Schema) -> str:
    """wire/limits.py"""
    data = schema.limits
    lines = [*docstring(0, data["about"], HEADER.format(source="limits.json")), "", "from typing import Final"]
    for limit in data["limits"]:
        comment = f"{limit['unit']}. {limit['reason']}"
        lines += ["", *textwrap.wrap(comment, WIDTH - 1, initial_indent="# ", subsequent_indent="# ")]
        lines += [f"{limit['name'].upper()}: Final = {limit['value']}"]
    return "\n".join(lines) + "\n"


def registries_module(schema: Schema) -> str:
    """wire/registries.py"""
    data = schema.registries
    lines = [*docstring(0, data["about"], HEADER.format(source="registries.json")), "", "from enum import IntEnum"]
    for name, registry in data["registries"].items():
        known = [value for value in registry["values"] if value["since"] <= schema.version]
        lines += ["", "", f"class {_singular(name)}(IntEnum):", *docstring(4, f"Unknown: {registry['unknown']}")]
        lines += ["", *(f"    {value['name']} = {value['value']}" for value in known)] if known else []
    return "\n".join(lines) + "\n"


def _singular(name: str) -> str:
    return camel(name[:-3] + "y" if name.endswith("ies") else name[:-1])

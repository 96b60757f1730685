"""Docstrings as this project writes them, made into what autodoc reads.

Single backticks are code (conf.py, default_role). Lines of a name, two spaces or more and its meaning are definitions.
"""

import re

from sphinx.application import Sphinx

ROW = re.compile(r"(?P<name>\w+) {2,}(?P<meaning>\S.*)")


def defined(lines: list[str]) -> list[str]:
    """`lines` with each table of names as a list of definitions."""
    made: list[str] = []
    for line in lines:
        if row := ROW.fullmatch(line):
            made += [f"`{row['name']}`", f"    {row['meaning']}"]
        else:
            made.append(f"    {line.strip()}" if line.startswith("  ") else line)
    return made


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""

    def process(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
        lines[:] = defined(lines)

    app.connect("autodoc-process-docstring", process)
    return {"parallel_read_safe": True}

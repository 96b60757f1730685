"""The page about the JSON of a load run: a line for each field."""

from __future__ import annotations

from tools.loadgen.measures import PERCENTILES
from tools.loadgen.report.fields import Meaning, fields
from tools.pages import markdown_table

PAGE = """\
# The result of a load run

What [`wirechat loadgen run --json`](../loadgen.md) prints, and `merge --json`: one JSON object. A field is named by its
JSON pointer (RFC 6901); a word in braces stands for any name or number. `null` is what could not be measured there.
What is meant to happen in phases that are not measured is in no figure and in no latency. The percentiles of a latency
are {percentiles}.

`compare --json` prints `figures` (each with `first`, `second` and `ratio`, second to first), `spread` (what is known of
it) and `differences` (what else speaks against a comparison).
"""


def page() -> str:
    """The whole page."""
    percentiles = ", ".join("`max`" if each == 100 else f"`p{each:g}`" for each in PERCENTILES)
    return PAGE.format(percentiles=percentiles) + "".join(_section(*group) for group in fields().items())


def _section(heading: str, found: dict[str, Meaning]) -> str:
    rows = [(f"`{pointer}`", unit, about) for pointer, (unit, about) in found.items()]
    return f"\n## {heading}\n\n{markdown_table(('field', 'unit', 'meaning'), rows)}\n"

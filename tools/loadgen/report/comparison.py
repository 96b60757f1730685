"""Two results side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
from rich.console import Console
from rich.table import Table

from tools.pages import number

LATENCIES = ("p50", "p99", "p99.9")
NO_SPREAD = "one run of each: how far two runs of the same server differ is not known, so no difference is proven"


@attrs.frozen
class Line:
    """One figure of both, and their ratio."""

    name: str
    first: float | None
    second: float | None

    @property
    def ratio(self) -> float | None:
        """Second to first."""
        return None if not self.first or self.second is None else self.second / self.first


def lines(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Line]:
    """Everything that both have."""
    for name, value in first["figures"].items():
        if name in second["figures"]:
            yield Line(name, value, second["figures"][name])
    for series, found in first["latencies_ms"].items():
        other = second["latencies_ms"].get(series)
        if found and other:
            for name in LATENCIES:
                yield Line(f"{series} {name}, ms", found[name], other[name])


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Why the two may not be comparable, in one line each."""
    found = []
    for name in ("scenario", "target", "processes", "checked"):
        if first[name] != second[name]:
            found.append(f"they differ in {name}")
    for name in ("cpu", "cores", "system", "python", "python_build"):
        if first["machine"].get(name) != second["machine"].get(name):
            found.append(f"they were made on machines that differ in {name}")
    for which, plain in (("first", first), ("second", second)):
        if plain["verdict"] != "valid":
            found.append(f"the {which} is {plain['verdict']}: {plain['why']}")
    return found


def show(first: Mapping[str, Any], second: Mapping[str, Any], console: Console) -> None:
    """A table, then what speaks against believing it."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in ("first", "second", "ratio"):
        table.add_column(name, justify="right")
    for line in lines(first, second):
        values = ["-" if value is None else number(value) for value in (line.first, line.second)]
        if values != ["-", "-"]:
            table.add_row(line.name, *values, "" if line.ratio is None else f"{line.ratio:.2f}")
    console.print(table)
    console.print(NO_SPREAD, soft_wrap=True)
    for text in differences(first, second):
        console.print(f"[yellow]{text}[/yellow]", soft_wrap=True)

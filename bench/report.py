"""What a run comes to: JSON for machines, tables for people."""

from __future__ import annotations

import datetime
import json
import re
import sys
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.benchmark import FIGURES, MARKS, Benchmark, Mark
from bench.spread import Spread
from bench.suite import Cell, Outcome, Plan
from tools.pages import number

FORMAT = "wirechat-bench 1"
TEXT_COLUMNS = 150
"""Where there is no terminal to fit into."""


# for machines


def as_plain(
    plan: Plan, outcome: Outcome, command: str, place: dict[str, Any], began: float, took: float
) -> dict[str, Any]:
    """Everything, for a file. `place`: the machine, as it was before."""
    return {
        "format": FORMAT,
        "began": datetime.datetime.fromtimestamp(began, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "took_seconds": round(took),
        "command": command,
        "commits": outcome.commits,
        "quick": plan.quick,
        "repeat": plan.repeat,
        "machine": place,
        "benchmarks": [
            {
                "name": benchmark.name,
                "question": benchmark.question,
                "rows": _rows(benchmark, [cell for cell in outcome.cells if cell.benchmark == benchmark.name]),
                "absent": [
                    {"commit": outcome.commits[each.side], "why": each.why}
                    for each in outcome.absent
                    if each.benchmark == benchmark.name
                ],
            }
            for benchmark, _ in plan.benchmarks
        ],
    }


def _rows(benchmark: Benchmark, cells: Iterable[Cell]) -> list[dict[str, Any]]:
    return [
        {
            "name": row,
            "about": benchmark.rows[row],
            "figures": {
                cell.figure: {
                    "unit": FIGURES[cell.figure].unit,
                    "sides": [_spread(side) for side in cell.sides],
                    "ratios": [_spread(cell.ratio(side)) for side in range(1, len(cell.sides))],
                    "verdicts": [cell.verdict(side) for side in range(1, len(cell.sides))],
                }
                for cell in found
            },
        }
        for row, found in groupby(cells, lambda cell: cell.row)
    ]


def _spread(spread: Spread | None) -> dict[str, Any] | None:
    if spread is None:
        return None
    figures = {"median": spread.median, "low": spread.low, "high": spread.high}
    return {name: rounded(value) for name, value in figures.items()} | {"values": list(map(rounded, spread.values))}


def rounded(value: float) -> float:
    """Four digits, unless it counts something: no figure here has more that mean something."""
    return int(value) if float(value).is_integer() else float(f"{value:.4g}")


def to_json(plain: dict[str, Any]) -> str:
    """For a file or a pipe; each side's figures on one line."""
    text = json.dumps(plain, indent=1)
    return re.sub(r"\{\s+(\"median\"[^}]*)\}", lambda side: "{" + " ".join(side[1].split()) + "}", text) + "\n"


# for people


def console() -> Console:
    """The terminal, or something wide where there is none."""
    return Console(width=None if sys.stdout.isatty() else TEXT_COLUMNS)


def show(plan: Plan, outcome: Outcome) -> None:
    """A table for each benchmark, each mark beside the figure it is for."""
    out = console()
    for benchmark, _ in plan.benchmarks:
        cells = [cell for cell in outcome.cells if cell.benchmark == benchmark.name]
        out.print(benchmark.question, style="bold")
        if len(outcome.commits) > 1:
            out.print(_side_by_side(cells, outcome.commits))
        else:
            out.print(_one(cells))
        for each in outcome.absent:
            if each.benchmark == benchmark.name:
                out.print(f"absent at {outcome.commits[each.side]}: {each.why}", style="yellow", soft_wrap=True)


def _one(cells: Sequence[Cell]) -> Table:
    columns = [figure for figure in FIGURES if any(cell.figure == figure for cell in cells)]
    table = _table("row", *(FIGURES[figure].title for figure in columns))
    for row, found in groupby(cells, lambda cell: cell.row):
        spreads = {cell.figure: cell.sides[0] for cell in found}
        table.add_row(row, *(_cell(row, figure, spreads.get(figure)) for figure in columns))
    return table


def _side_by_side(cells: Sequence[Cell], commits: Sequence[str]) -> Table:
    heads = [commits[0], *(head for commit in commits[1:] for head in (commit, "ratio", "from", "to", ""))]
    table = _table("row", "figure", *heads)
    for cell in cells:
        texts = [_cell(cell.row, cell.figure, cell.sides[0])]
        for side in range(1, len(commits)):
            texts.append(_cell(cell.row, cell.figure, cell.sides[side]))
            texts += [*_ratio(cell.ratio(side)), cell.verdict(side)]
        table.add_row(cell.row, FIGURES[cell.figure].title, *texts)
    return table


def _ratio(ratio: Spread | None) -> list[str]:
    """Median, lowest and highest; of one run the last two say nothing."""
    if ratio is None:
        return ["", "", ""]
    return [f"{ratio.median:.2f}", *(f"{end:.2f}" if ratio.is_known else "" for end in (ratio.low, ratio.high))]


def _table(first: str, *others: str) -> Table:
    table = Table(first, *others, box=None, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def mark_of(row: str, figure: str) -> Mark | None:
    """The mark of a figure, if it has one."""
    return next((mark for mark in MARKS.get(row, ()) if mark.figure == figure), None)


def _cell(row: str, figure: str, spread: Spread | None) -> str:
    if spread is None:
        return "[dim]-[/dim]"
    mark, text = mark_of(row, figure), number(spread.median)
    if mark is None:
        return text
    color = "green" if spread.median <= mark.stretch else "yellow" if spread.median <= mark.must else "red"
    how = "<=" if spread.median <= mark.must else "missed"
    return f"[{color}]{text}[/{color}] [dim]{how} {mark.must:g} ({mark.stretch:g})[/dim]"

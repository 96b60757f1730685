"""What came of the faults: a table for people, one JSON object for programs, one line for each violation."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tools.faults.run import FAILED, PASSED, SKIPPED, Outcome

SHOWN_MAX = 10
"""Violations of one fault; the counts say how many there are."""
STYLES = {PASSED: "green", FAILED: "red", SKIPPED: "yellow"}
COLUMNS = {"lost": ("P1",), "doubled": ("P2",), "missing": ("P3", "P5")}
"""Promises that a column counts the violations of; the others are summed up in the last."""
MIB = 1 << 20


def as_json(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """Everything."""
    return {
        "passed": sum(outcome.status == PASSED for outcome in outcomes),
        "failed": sum(outcome.status == FAILED for outcome in outcomes),
        "skipped": sum(outcome.status == SKIPPED for outcome in outcomes),
        "faults": [attrs.asdict(outcome) for outcome in outcomes],
    }


def print_table(outcomes: Sequence[Outcome], console: Console) -> None:
    """A row for each fault, then what is wrong and what was left out."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("fault", no_wrap=True)
    table.add_column("result")
    for column in ("recovery s", "memory MiB", "acknowledged", "connections", *COLUMNS, "other"):
        table.add_column(column, justify="right", no_wrap=True)
    for outcome in outcomes:
        table.add_row(*_row(outcome))
    console.print(table)
    for outcome in outcomes:
        if outcome.told:
            told = ", ".join(f"{name}: {value}" for name, value in outcome.told.items())
            console.print(f"{outcome.name}: {told}", soft_wrap=True, highlight=False, markup=False)
    for outcome in outcomes:
        _print_why(outcome, console)


def _row(outcome: Outcome) -> list[str | Text]:
    row: list[str | Text] = [outcome.name, Text(outcome.status, style=STYLES[outcome.status])]
    if outcome.status == SKIPPED:
        return row
    before, after = outcome.memory_before, outcome.memory_after
    recovery = outcome.recovery_seconds
    row.append("" if recovery is None else f"{recovery:.1f}")
    row.append(f"{before / MIB:.1f} to {after / MIB:.1f}" if before and after else "")
    row.append(f"{outcome.acknowledged:,}")
    row.append(f"{outcome.counts.get('connections', 0):,}")
    named = [promise for promises in COLUMNS.values() for promise in promises]
    counts = [sum(outcome.promises.get(promise, 0) for promise in promises) for promises in COLUMNS.values()]
    counts.append(sum(count for promise, count in outcome.promises.items() if promise not in named))
    return [*row, *(Text(str(count), style="red" if count else "green") for count in counts)]


def _print_why(outcome: Outcome, console: Console) -> None:
    lines = [f"skipped: {outcome.why}"] if outcome.status == SKIPPED else outcome.violations
    for line in lines[:SHOWN_MAX]:
        console.print(f"{outcome.name}: {line}", soft_wrap=True, highlight=False, markup=False)
    if len(lines) > SHOWN_MAX:
        console.print(f"{outcome.name}: and {len(lines) - SHOWN_MAX} more", highlight=False)

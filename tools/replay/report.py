"""Says what came out: a table for people, one JSON object for programs, one line for each finding."""

import json

import attrs
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tools.replay.run import Result

FINDINGS_MAX = 10  # of each kind; the counts say how many there are


def counts(result: Result) -> dict[str, int | float]:
    """The figures of a replay, by the names that `--json` uses."""
    verdict = result.verdict
    return {
        "accounts": result.accounts,
        "entries": result.entries,
        "replies": result.replies,
        "lost": len(verdict.lost),
        "duplicated": len(verdict.duplicated),
        "gaps": len(verdict.gaps),
        "reordered": len(verdict.reordered),
        "differences": len(verdict.differences),
        "receipts": result.receipts,
        "reconnects": result.reconnects,
        "seconds": round(result.seconds, 3),
        "messages_per_second": round(result.messages / result.seconds, 1) if result.seconds else 0.0,
    }


def print_json(result: Result, console: Console) -> None:
    """One line."""
    console.print(json.dumps(counts(result)), soft_wrap=True, highlight=False, markup=False)


def print_table(result: Result, console: Console) -> None:
    """What must be 0 is green while it is."""
    wrong = set(attrs.fields_dict(type(result.verdict)))
    table = Table(box=box.SIMPLE_HEAD, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    for name, count in counts(result).items():
        style = ("red" if count else "green") if name in wrong else ""
        table.add_row(name.replace("_", " "), Text(f"{count:,}", style=style))
    console.print(table)
    console.print(
        "Everybody has everything, once and in order." if result.verdict.clean else "[red]Something is wrong.[/]"
    )


def print_findings(result: Result, console: Console) -> None:
    """What is wrong, one line each."""
    for name, lines in attrs.asdict(result.verdict).items():
        for line in lines[:FINDINGS_MAX]:
            console.print(f"{name}: {line}", soft_wrap=True, highlight=False, markup=False)
        if len(lines) > FINDINGS_MAX:
            console.print(f"{name}: and {len(lines) - FINDINGS_MAX} more", highlight=False)

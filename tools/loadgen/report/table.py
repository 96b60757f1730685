"""A result on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from tools.loadgen.measures import ABOUT
from tools.loadgen.report.figures import Figure, errors, figures, verdict
from tools.loadgen.run import Result
from tools.pages import number

COLORS = {"valid": "green", "not valid": "yellow", "partial": "yellow", "broken": "red"}
SHOWN_MAX = 10


def show(result: Result, console: Console) -> None:
    """Latencies, figures, errors, verdict."""
    console.print(_latencies(result))
    console.print(_figures(figures(result)))
    if found := errors(result):
        console.print(
            "errors: " + ", ".join(f"{name.removeprefix('error ')} {count:,} times" for name, count in found.items())
        )
    steps = [phase for phase in result.phases if "p99_ms" in phase]
    if steps:
        console.print(_steps(steps))
    for line in result.violations[:SHOWN_MAX]:
        console.print(f"[red]{line}[/red]", soft_wrap=True)
    if len(result.violations) > SHOWN_MAX:
        console.print(f"[red]and {len(result.violations) - SHOWN_MAX:,} more[/red]")
    word, sentence = verdict(result)
    console.print(f"[bold {COLORS[word]}]{word}[/bold {COLORS[word]}]: {sentence}", soft_wrap=True)


def _latencies(result: Result) -> Table:
    table = Table(
        title="latencies in ms, counted from the intended time", title_justify="left", box=None, pad_edge=False
    )
    table.add_column("", no_wrap=True)
    table.add_column("count", justify="right")
    names = ("p50", "p90", "p99", "p99.9", "max")
    for name in names:
        table.add_column(name, justify="right")
    for series in ABOUT:
        found = result.measures.percentiles(series)
        if found:
            count = int(result.measures.latencies[series].get_total_count())
            table.add_row(series, f"{count:,}", *(f"{found[name]:,.2f}" for name in names))
    return table


def _figures(found: list[Figure]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right")
    table.add_column()
    for each in found:
        if each.value is not None:
            table.add_row(each.name, number(each.value), each.unit)
    return table


def _steps(steps: list[dict[str, object]]) -> Table:
    table = Table(title="steps", title_justify="left", box=None, pad_edge=False)
    for name in ("scale", "delivered p99 ms"):
        table.add_column(name, justify="right")
    for step in steps:
        scale = step["scale"]
        assert isinstance(scale, list)
        table.add_row(f"{scale[0]:.2f}", f"{step['p99_ms']:,}")
    return table

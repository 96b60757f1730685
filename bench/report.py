"""What a measurement comes to: rows, as JSON for machines and as a table for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import attrs
from rich.console import Console
from rich.table import Table


@attrs.frozen(kw_only=True)
class Row:
    """One line of the result; docs/benchmarks.md says what each figure means. None: does not apply."""

    work: str
    us_per_message: float | None = None
    """CPU time of the server, user and system, for each delivery. Microseconds."""
    per_second: float | None = None
    """Deliveries."""
    p50_ms: float | None = None
    p99_ms: float | None = None
    """From sending to delivery."""
    kib_per_connection: float | None = None
    fsyncs: int | None = None
    entries: int | None = None
    delivered: int | None = None
    """Of one whole run, warm-up and drain included."""
    commit: str | None = None
    """Revision of the measured server."""


@attrs.frozen
class Mark:
    """What a figure should stay at or below."""

    figure: str
    limit: float


MARKS = {
    "pairs_w10": Mark("us_per_message", 40),
    "pairs_w1": Mark("us_per_message", 180),
    "pairs_500": Mark("p50_ms", 3),
    "group_100": Mark("us_per_message", 15),
    "group_100_coalesced": Mark("us_per_message", 2),
    "idle_tcp": Mark("kib_per_connection", 10),
    "idle_tls": Mark("kib_per_connection", 28),
}

TEXT_COLUMNS = 140
"""Where there is no terminal to fit into."""

FIGURES = {
    "us_per_message": "us/message",
    "per_second": "a second",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "kib_per_connection": "KiB/conn",
    "fsyncs": "fsyncs",
    "entries": "entries",
    "delivered": "delivered",
}


def to_json(rows: Sequence[Row]) -> str:
    """A list of objects, one a line."""
    return "[\n" + ",\n".join(json.dumps(attrs.asdict(row)) for row in rows) + "\n]"


def show(rows: Sequence[Row]) -> None:
    """Print the table, each mark beside the figure it is for."""
    several = len({row.commit for row in rows}) > 1
    table = Table("work", *FIGURES.values(), *(["commit"] if several else []), box=None, header_style="bold")
    for column in table.columns[1 : 1 + len(FIGURES)]:
        column.justify = "right"
    for row in rows:
        cells = [_cell(row, figure) for figure in FIGURES]
        table.add_row(row.work, *cells, *([row.commit or "-"] if several else []))
    Console(width=None if sys.stdout.isatty() else TEXT_COLUMNS).print(table)


def _cell(row: Row, figure: str) -> str:
    value = getattr(row, figure)
    if value is None:
        return "[dim]-[/dim]"
    text = f"{value:,}" if isinstance(value, int) or value >= 1000 else f"{value:.2f}"
    mark = MARKS.get(row.work)
    if mark is None or mark.figure != figure:
        return text
    color = "green" if value <= mark.limit else "red"
    return f"[{color}]{text}[/{color}] [dim]<= {mark.limit:g}[/dim]"

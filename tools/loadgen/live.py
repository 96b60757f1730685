"""How a run stands, for people who watch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tools.loadgen.run import Progress as Told
from tools.loadgen.run import Tell


@contextmanager
def live(hidden: bool) -> Iterator[Tell]:
    """Live progress on a terminal; elsewhere a line for each stage; for machines nothing."""
    console = Console(stderr=True)
    if hidden or not console.is_terminal:
        yield _silent if hidden else _stages()
        return
    columns = TextColumn("{task.description:20}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[note]}")
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=1, note="")

        def tell(told: Told) -> None:
            note = ", ".join(f"{name} {value:,}" for name, value in told.told.items())
            progress.update(task, description=told.stage, completed=told.done, total=max(told.of, 1e-9), note=note)

        yield tell


def _silent(told: Told) -> None:
    """For machines."""


def _stages() -> Tell:
    before = ""

    def tell(told: Told) -> None:
        nonlocal before
        if told.stage != before:
            before = told.stage
            click.echo(told.stage, err=True)

    return tell

"""How a run stands, for people who watch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from tools.loadgen.run import Progress, Tell

AGAIN_SECONDS = 10.0
"""Without a terminal there is a line at each stage, and so long after the one before."""


@contextmanager
def live(hidden: bool) -> Iterator[Tell]:
    """One line that changes on a terminal; elsewhere now and then a new one; for machines nothing."""
    console = Console(stderr=True)
    if hidden or not console.is_terminal:
        yield _silent if hidden else stages(lambda text: click.echo(text, err=True), time.monotonic)
        return
    shown = _Shown()
    with Live(shown, console=console, transient=True):
        yield shown.tell


def line(told: Progress, width: int) -> str:
    """As much as fits, the most important first."""
    text = told.stage if not told.of else f"{told.stage} {told.done / told.of:.0%}"
    for at, (name, value) in enumerate(told.told.items()):
        figure = f"{value:,.1f} ms" if isinstance(value, float) else f"{value:,}"
        more = f"{', ' if at else ': '}{name} {figure}"
        if len(text) + len(more) > width:
            break
        text += more
    return text[:width]


class _Shown:
    """The line on a terminal, as wide as that is when it is drawn."""

    def __init__(self) -> None:
        self._told = Progress("starting", 0, 0, {})

    def tell(self, told: Progress) -> None:
        self._told = told

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(line(self._told, options.max_width), no_wrap=True)


def _silent(told: Progress) -> None:
    """For machines."""


def stages(say: Callable[[str], None], now: Callable[[], float]) -> Tell:
    """Says each stage, and how it stands when one is long. `now`: seconds."""
    stage, said_at = "", 0.0

    def tell(told: Progress) -> None:
        nonlocal stage, said_at
        if told.stage != stage:
            say(told.stage)
        elif now() - said_at >= AGAIN_SECONDS:
            say(line(told, 1000))
        else:
            return
        stage, said_at = told.stage, now()

    return tell

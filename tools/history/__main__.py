"""`python -m tools.history`: judge what several processes wrote down. Exit status 1 when a promise was broken."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
import click
from rich.console import Console
from rich.progress import Progress

from tools.arguments import Finite
from tools.arguments import run as run_command
from tools.history.checker import History, Violation
from tools.history.recording import BadFile, Line, merged

console = Console(stderr=True, highlight=False)
SHOW_EVENTS = 10_000  # between two looks at the clock of the progress


class BadInput(click.ClickException):
    """One line, exit status 2."""

    exit_code = 2


@click.group()
def main() -> None:
    """The judge of histories; docs/proof.md says what it judges."""


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--margin",
    type=Finite(0),
    default=0.0,
    help="Seconds by which the clocks of several machines may differ; default: the files are of one machine.",
)
@click.option("--distinct", is_flag=True, help="Nobody said the same twice: whoever seems to made two of one.")
@click.option("--clustered", is_flag=True, help="Several nodes served: what one refused, another may do late (14-4).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def judge(files: Sequence[Path], margin: float, distinct: bool, clustered: bool, as_json: bool) -> None:
    """Judge the history that FILES tell together, each written by one process.

    One line for each violation: the promise, the rule, what is wrong. Exit status 0 when there is none, 1 when there
    is, 2 when a file cannot be read.
    """
    history, events = History(distinct, clustered), Counter[str]()
    try:
        for line in _shown(merged(files, margin), hidden=as_json):
            line.tell(history)
            events[line.event] += 1
    except BadFile as error:
        raise BadInput(str(error)) from None
    except OSError as error:
        raise BadInput(f"{error.filename}: {error.strerror}") from None
    violations = history.finish()
    if as_json:
        click.echo(json.dumps({"events": dict(sorted(events.items())), "violations": _plain(violations)}))
    else:
        for violation in violations:
            click.echo(violation)
        click.echo(f"{events.total():,} events, {len(violations)} violations", err=True)
    sys.exit(1 if violations else 0)


def _plain(violations: Sequence[Violation]) -> list[dict[str, str]]:
    return [attrs.asdict(violation) for violation in violations]


def _shown(lines: Iterator[Line], hidden: bool) -> Iterator[Line]:
    with Progress(console=console, transient=True, disable=hidden or not console.is_terminal) as progress:
        task = progress.add_task("events", total=None)
        for number, line in enumerate(lines, 1):
            if not number % SHOW_EVENTS:
                progress.advance(task, SHOW_EVENTS)
            yield line


if __name__ == "__main__":
    run_command(main, "python -m tools.history")

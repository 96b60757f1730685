"""`python -m tools.fuzz`: coverage-guided fuzzing of the codec and of whole sessions. Exit status 1 when it found
something.
"""

from __future__ import annotations

import importlib.util
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from tools.arguments import Finite
from tools.arguments import run as run_command
from tools.fuzz import corpus
from tools.fuzz.campaign import Campaign
from tools.fuzz.targets import TARGETS
from tools.ledger import Ledger

console = Console(stderr=True, highlight=False)

FINDS = Path(".run/fuzz")
WRITE_EVERY = 10
"""Steps of progress between two writes of the ledger."""

EPILOG = """
Examples:

\b
  python -m tools.fuzz codec --frames 200000
  python -m tools.fuzz sessions --sessions 1000 --minutes 5
  python -m tools.fuzz sessions --replay .run/fuzz/sessions-crash-…   one input, with its story
  python -m tools.fuzz codec --frames 10000000 --ledger docs/proof/fuzz.jsonl
"""


@click.group(epilog=EPILOG)
def main() -> None:
    """Look for bytes that the codec, or a server, does not survive."""


def _options(amount: str, default: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    options = (
        click.option(
            f"--{amount}", "amount", default=default, show_default=True, type=click.IntRange(1), help="So many."
        ),
        click.option("--minutes", type=Finite(0, min_open=True), help="Stop after this time."),
        click.option("--seed", type=click.IntRange(1), help="The first seed; 1, or the next of the ledger."),
        click.option(
            "--replay",
            type=click.Path(exists=True, path_type=Path, dir_okay=False),
            help="An input, or a .txt of kept ones.",
        ),
        click.option(
            "--ledger", type=click.Path(path_type=Path, dir_okay=False), help="Go on from this file, and add to it."
        ),
        click.option("--corpus", "kept", type=click.Path(path_type=Path, dir_okay=False), help="Begin with this file."),
        click.option("--keep", is_flag=True, help="At the end keep what reached something new."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text."),
    )

    def dress(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            command = option(command)
        return command

    return dress


@main.command()
@_options("frames", 200_000)
def codec(**given: Any) -> None:
    """Bodies of frames, as a client and as a server sends them."""
    sys.exit(_run("codec", **given))


@main.command()
@_options("sessions", 1_000)
def sessions(**given: Any) -> None:
    """Whole sessions against a server in memory."""
    sys.exit(_run("sessions", **given))


def _run(
    name: str, amount: int, minutes: float | None, seed: int | None, replay: Path | None, ledger: Path | None,
    kept: Path | None, keep: bool, as_json: bool,
) -> int:  # fmt: skip
    if replay is not None:
        return _replay(name, replay, as_json)
    if importlib.util.find_spec("atheris") is None:
        raise click.UsageError("fuzzing needs the package atheris: pip install 'atheris>=3,<4'")
    book = Ledger(ledger, {"target": name}) if ledger else None
    begin = seed if seed is not None else book.next_seed if book else 1
    campaign = Campaign(name, FINDS, kept)
    try:
        campaign.prepare()
    except (OSError, ValueError) as error:
        raise click.UsageError(str(error)) from None
    try:
        _hunt(campaign, amount, begin, minutes, book, as_json)
        if keep and not campaign.finds:
            console.print(f"{campaign.keep(console.print)} inputs are kept")
    finally:
        campaign.close()
    _tell(campaign, as_json)
    return 1 if campaign.figures.faults else 0


def _hunt(
    campaign: Campaign, amount: int, begin: int, minutes: float | None, book: Ledger | None, as_json: bool
) -> None:
    with Progress(console=console, transient=True, disable=as_json or not console.is_terminal) as progress:
        task = progress.add_task(f"fuzzing: {campaign.name}", total=amount)
        for number, figures in enumerate(campaign.run(amount, begin, minutes)):
            progress.update(task, completed=figures.done)
            if book and number % WRITE_EVERY == 0:
                book.write((begin, campaign.seed), figures.as_json(campaign.unit))
    if book:
        book.write((begin, campaign.seed), campaign.figures.as_json(campaign.unit))


def _tell(campaign: Campaign, as_json: bool) -> None:
    figures = campaign.figures
    if as_json:
        finds = [{"file": str(find.file), "about": find.about} for find in campaign.finds]
        click.echo(json.dumps({"target": campaign.name, **figures.as_json(campaign.unit), "finds": finds}))
        return
    click.echo(f"{figures.done:,} {campaign.unit}, {len(figures.faults)} faults, {figures.cpu_seconds:.0f} s CPU")
    for label, value in figures.as_json(campaign.unit).items():
        click.echo(f"  {label:32} {value:14,}")
    for find in campaign.finds:
        click.echo(f"{find.about}\n    python -m tools.fuzz {campaign.name} --replay {shlex.quote(str(find.file))}")
    if figures.faults and not campaign.finds:
        click.echo(figures.faults[0])


def _replay(name: str, path: Path, as_json: bool) -> int:
    """One input with its story, or each of a file of kept ones."""
    try:
        inputs = corpus.read(path) if path.suffix == ".txt" else [path.read_bytes()]
    except (OSError, ValueError) as error:
        raise click.UsageError(str(error)) from None
    say: Callable[[str], None] = (lambda line: None) if as_json else click.echo
    faults = [found for data in inputs if (found := TARGETS[name]().tell(data, say))]
    if as_json:
        click.echo(json.dumps({"target": name, "inputs": len(inputs), "faults": faults}))
    else:
        click.echo(f"{len(inputs)} inputs, {len(faults)} with faults")
        for found in faults:
            click.echo("\n".join(found))
    return 1 if faults else 0


if __name__ == "__main__":
    run_command(main, "python -m tools.fuzz")

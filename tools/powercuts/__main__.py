"""`python -m tools.powercuts`: cut the power of the embedded store, often. Exit status 1 when a promise was broken."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import apsw
import attrs
import click
from rich.console import Console
from rich.progress import Progress

from tools.arguments import Finite
from tools.arguments import run as run_command
from tools.ledger import Ledger
from tools.powercuts.run import SABOTAGE, run
from tools.simulate.campaign import Report, outcomes
from tools.simulate.run import Outcome

console = Console(stderr=True, highlight=False)

SEEDS_MAX = 10_000_000
LEDGER_SEEDS = 100
"""Seeds between two writes of the ledger."""

EPILOG = """
Examples:

\b
  python -m tools.powercuts --cuts 5000
  python -m tools.powercuts --seed 17                    replay one, with its story
  python -m tools.powercuts --cuts 500 --sabotage normal   it must find losses
  python -m tools.powercuts --cuts 100000 --ledger docs/proof/powercuts.jsonl
"""


@click.command(epilog=EPILOG)
@click.option("--cuts", default=5000, show_default=True, type=click.IntRange(1), help="How many cuts, at least.")
@click.option("--first", type=click.IntRange(0), help="The first seed; 1, or the one after the last of the ledger.")
@click.option("--seed", type=click.IntRange(0), help="Run this seed alone and tell its story.")
@click.option("--jobs", default=os.cpu_count() or 1, show_default="cores", type=click.IntRange(1), help="Processes.")
@click.option("--minutes", type=Finite(0, min_open=True), help="Stop after this time.")
@click.option("--sabotage", type=click.Choice(SABOTAGE), help="Break durability on purpose, to see it found.")
@click.option("--ledger", type=click.Path(path_type=Path, dir_okay=False), help="Go on from this file, and add to it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def main(
    cuts: int, first: int | None, seed: int | None, jobs: int, minutes: float | None, sabotage: str | None,
    ledger: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Run the embedded store on a disk that loses power, life after life, and check what was acknowledged."""
    if seed is not None:
        sys.exit(_replay(seed, sabotage, as_json))
    if ledger is not None and sabotage is not None:
        raise click.UsageError("a sabotaged run proves nothing: leave --ledger or --sabotage away")
    book = Ledger(ledger, {"sqlite": apsw.sqlite_lib_version()}) if ledger else None
    begin = first if first is not None else book.next_seed if book else 1
    tally = Tally(begin, sabotage)
    seeds = outcomes(range(begin, begin + SEEDS_MAX), jobs, partial(run, sabotage=sabotage))
    with Progress(console=console, transient=True, disable=as_json or not console.is_terminal) as progress:
        task = progress.add_task("power cuts", total=cuts)
        for outcome in _until(seeds, tally, cuts, minutes):
            progress.update(task, completed=tally.cuts)
            if outcome.violations and not as_json:
                tally.tell(outcome)
            if book and tally.report.seeds % LEDGER_SEEDS == 0:
                book.write(tally.seeds, tally.figures())
    if book:
        book.write(tally.seeds, tally.figures())
    click.echo(json.dumps(tally.as_json()) if as_json else tally.as_text())
    sys.exit(1 if tally.report.failures else 0)


@attrs.define
class Tally:
    """What came of the seeds so far."""

    first: int
    sabotage: str | None
    report: Report = attrs.Factory(Report)

    @property
    def cuts(self) -> int:
        return self.report.counts["cuts"]

    @property
    def seeds(self) -> tuple[int, int]:
        """The first and the last."""
        return self.first, self.first + self.report.seeds - 1

    def figures(self) -> dict[str, int | float]:
        """What the ledger keeps."""
        counts = self.report.counts
        return {
            "cuts": self.cuts,
            "acknowledged": counts["acknowledged entries"],
            "lost": counts["lost entries"],
            "damaged": counts["damaged files"],
            "failures": len(self.report.failures),
            "cpu_seconds": round(self.report.cpu_seconds, 1),
        }

    def as_json(self) -> dict[str, object]:
        return {**self.figures(), **self.report.as_json()}

    def as_text(self) -> str:
        report = self.report
        lines = [f"{report.seeds} seeds, {len(report.failures)} broke a promise, {report.cpu_seconds:.0f} s CPU"]
        lines += [f"  {name:32} {count:12,}" for name, count in sorted(report.counts.items())]
        return "\n".join(lines)

    def tell(self, outcome: Outcome) -> None:
        again = f"python -m tools.powercuts --seed {outcome.seed}"
        click.echo(f"{outcome.violations[0]}    {again}{f' --sabotage {self.sabotage}' if self.sabotage else ''}")


def _until(seeds: Iterator[Outcome], tally: Tally, cuts: int, minutes: float | None) -> Iterator[Outcome]:
    """Each outcome, counted, until there are enough cuts or the time is over."""
    end = None if minutes is None else time.monotonic() + 60 * minutes
    for outcome in seeds:
        tally.report.add(outcome)
        yield outcome
        if tally.cuts >= cuts or (end is not None and time.monotonic() > end):
            return


def _replay(seed: int, sabotage: str | None, as_json: bool) -> int:
    outcome = run(seed, None if as_json else click.echo, sabotage)
    if as_json:
        tally = Tally(seed, sabotage)
        tally.report.add(outcome)
        click.echo(json.dumps(tally.as_json()))
    else:
        click.echo(f"seed {seed}: trace {outcome.hash}, {outcome.counts['cuts']} cuts, {outcome.verdict}")
        for violation in outcome.violations:
            click.echo(violation)
    return 1 if outcome.violations else 0


if __name__ == "__main__":
    run_command(main, "python -m tools.powercuts")

"""`python -m tools.simulate`: run seeds, replay one, hunt planted bugs. Exit status 1 when a promise was broken."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import attrs
import click
import trio
from rich.console import Console
from rich.progress import Progress

from tools.arguments import Finite
from tools.arguments import run as run_command
from tools.ledger import Ledger
from tools.simulate import bugs as bank
from tools.simulate.campaign import Report, outcomes
from tools.simulate.run import Outcome, run

LEDGER_SEEDS = 100
"""Seeds between two writes of the ledger."""

console = Console(stderr=True, highlight=False)


@click.group(invoke_without_command=True)
@click.option("--seeds", default=200, show_default=True, type=click.IntRange(1), help="How many seeds to run.")
@click.option("--first", type=click.IntRange(0), help="The first of them; 1, or the one after the last of the ledger.")
@click.option("--seed", type=click.IntRange(0), help="Run this seed alone and tell its story.")
@click.option("--jobs", default=os.cpu_count() or 1, show_default="cores", type=click.IntRange(1), help="Processes.")
@click.option("--minutes", type=Finite(0, min_open=True), help="Stop after this time.")
@click.option("--ledger", type=click.Path(path_type=Path, dir_okay=False), help="Go on from this file, and add to it.")
@click.option("--until-found", is_flag=True, help="Stop at the first seed that breaks a promise.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@click.pass_context
def main(
    context: click.Context, seeds: int, first: int | None, seed: int | None, jobs: int, minutes: float | None,
    ledger: Path | None, until_found: bool, as_json: bool,
) -> None:  # fmt: skip
    """Run server, store and clients in one simulated world for each seed, break it, and check the promises."""
    if context.invoked_subcommand is not None:
        return
    if seed is not None:
        if ledger is not None:
            raise click.UsageError("one seed is no range for a ledger: leave --seed or --ledger away")
        sys.exit(1 if _replay(seed, as_json) else 0)
    if ledger is not None and first is not None:
        raise click.UsageError("a ledger says where to go on: leave --first or --ledger away")
    book = Ledger(ledger, {"trio": trio.__version__}) if ledger else None
    first = book.next_seed if book else 1 if first is None else first
    end = None if minutes is None else time.monotonic() + 60 * minutes
    sys.exit(1 if _run_many(range(first, first + seeds), jobs, end, book, until_found, as_json) else 0)


def _replay(seed: int, as_json: bool) -> bool:
    outcome = run(seed, None if as_json else click.echo)
    report = Report()
    report.add(outcome)
    if as_json:
        click.echo(json.dumps(report.as_json()))
    else:
        click.echo(f"seed {seed}: trace {outcome.hash}, {outcome.seconds:.1f} simulated seconds, {outcome.verdict}")
        for violation in outcome.violations:
            click.echo(violation)
    return bool(outcome.violations)


def _run_many(
    seeds: range, jobs: int, end: float | None, book: Ledger | None, until_found: bool, as_json: bool
) -> bool:
    report = Report()
    began = time.monotonic()

    def write_down() -> None:
        if book:
            book.write((seeds[0], seeds[0] + report.seeds - 1), report.figures())

    with Progress(console=console, transient=True, disable=as_json or not console.is_terminal) as progress:
        task = progress.add_task("seeds", total=len(seeds))
        for outcome in outcomes(seeds, jobs):
            report.add(outcome)
            progress.advance(task)
            if outcome.violations and not as_json:
                _tell(outcome)
            if report.seeds % LEDGER_SEEDS == 0:
                write_down()
            if (outcome.violations and until_found) or (end is not None and time.monotonic() > end):
                break
    write_down()
    if as_json:
        click.echo(json.dumps(report.as_json()))
    else:
        _sum_up(report, time.monotonic() - began)
    return bool(report.failures)


def _tell(outcome: Outcome) -> None:
    click.echo(f"{outcome.violations[0]}    python -m tools.simulate --seed {outcome.seed}")


def _sum_up(report: Report, seconds: float) -> None:
    click.echo(
        f"{report.seeds} seeds, {len(report.failures)} broke a promise, {seconds:.0f} s, {report.cpu_seconds:.0f} s CPU"
    )
    for name, count in sorted(report.counts.items()):
        click.echo(f"  {name:28} {count:12,}")


@main.command("branches")
@click.option("--seeds", default=1500, show_default=True, type=click.IntRange(1), help="How many seeds to run.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def tell_branches(seeds: int, as_json: bool) -> None:
    """Run seeds and tell which branches of the server and its store none of them took. Exit status 1 when some are
    neither excused in tests/simulation/unreached.toml nor forced by a test that is named there.
    """
    from tools.simulate.branches import Watch  # coverage is for developers alone

    watch, report = Watch(), Report()
    with Progress(console=console, transient=True, disable=as_json or not console.is_terminal) as progress:
        for seed in progress.track(range(1, seeds + 1), description="seeds"):
            report.add(watch(seed))
    watch.force()
    reach = watch.reach()
    if as_json:
        click.echo(json.dumps({**report.as_json(), **attrs.asdict(reach)}))
    else:
        for branch in reach.missing:
            click.echo(f"{branch}")
        for excuse in reach.idle:
            click.echo(f"excused and yet taken, or not there: {excuse}")
        click.echo(
            f"{seeds} seeds took {reach.taken} branches, tests {reach.forced} more; {reach.excused} are excused,"
            f" {len(reach.missing)} not"
        )
    sys.exit(1 if reach.missing or report.failures else 0)


@main.command("bugs")
@click.argument("names", nargs=-1)
@click.option(
    "--seeds", default=bank.SEEDS_MAX, show_default=True, type=click.IntRange(1), help="Seeds to try for each."
)
@click.option("--jobs", default=os.cpu_count() or 1, show_default="cores", type=click.IntRange(1), help="Processes.")
def hunt_bugs(names: tuple[str, ...], seeds: int, jobs: int) -> None:
    """Plant each bug in a copy of the source and look for it, by seeds or by its forced vector. NAMES: those alone."""
    try:
        chosen = bank.bugs(names)
    except KeyError as error:
        raise click.UsageError(f"no planted bug is called {error.args[0]}") from None
    missed = 0
    for bug in chosen:
        try:
            found = bank.hunt(bug, seeds, jobs)
        except bank.StalePatch as error:
            click.echo(f"{bug.name:40} STALE       {error}")
            missed += 1
            continue
        missed += not found.by
        click.echo(f"{bug.name:45} {found.by or f'NOT FOUND of {found.seeds}':10} {found.violation[:110]}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    run_command(main, "python -m tools.simulate")

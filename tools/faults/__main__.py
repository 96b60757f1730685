"""`python -m tools.faults`: hurt a real server in every way we know. Exit status 1 when a promise was broken."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import attrs
import click
import trio
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tools.arguments import Finite
from tools.arguments import run as run_command
from tools.faults import report
from tools.faults.fault import Fault
from tools.faults.kinds import ALL
from tools.faults.run import FAILED, SKIPPED, Outcome, run
from tools.faults.stage import Options
from tools.simulate import bugs as bank

PIPED_COLUMNS = 120
INTERRUPTED = 130
"""Exit status after a signal: whatever was started has ended with its block."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
EPILOG = """
Examples:

\b
  python -m tools.faults                                all of them, some ten minutes
  python -m tools.faults --only kill --only chaos
  REQUIRE_ALL=1 python -m tools.faults                  what cannot be done here is an error
  python -m tools.faults --only quota --bug p1-acknowledge-before-the-commit   it must be found
"""


@click.command(epilog=EPILOG)
@click.option("--only", multiple=True, metavar="NAME", help="This fault; may be repeated. --list shows all.")
@click.option(
    "--seconds",
    default=Options().seconds,
    show_default=True,
    type=Finite(0.5, 3600),
    help="Of load before and after each fault, and of a fault that lasts.",
)
@click.option(
    "--seed", default=1, show_default=True, type=click.IntRange(0), help="Of what people do and of the chaos."
)
@click.option(
    "--require-all", is_flag=True, envvar="REQUIRE_ALL", help="What is skipped is an error; or REQUIRE_ALL=1."
)
@click.option("--bug", metavar="NAME", help="Run a server with this bug of tests/simulation/bugs, to see it found.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@click.option("--list", "only_list", is_flag=True, help="Say which faults there are, and what cannot be done here.")
def main(
    only: Sequence[str], seconds: float, seed: int, require_all: bool, bug: str | None, as_json: bool, only_list: bool
) -> None:
    """Hurt a real server while real clients talk, and judge what everybody was told and has in the end."""
    faults = _chosen(only)
    if only_list:
        for fault in faults:
            lacking = fault.lacks()
            click.echo(f"{fault.name:20} {fault.about}{f' (not here: {lacking})' if lacking else ''}")
        return
    options = Options(seconds=seconds, seed=seed)
    with ExitStack() as stack:
        if bug is not None:
            tree = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wirechat-bug-")))
            _plant(bug, tree)
            options = attrs.evolve(options, tree=tree)
        outcomes = _run_all(faults, options, hidden=as_json)
    if as_json:
        click.echo(json.dumps(report.as_json(outcomes)))
    else:
        console = Console()
        report.print_table(outcomes, console if console.is_terminal else Console(width=PIPED_COLUMNS))
    bad = {FAILED, SKIPPED} if require_all else {FAILED}
    sys.exit(1 if any(outcome.status in bad for outcome in outcomes) else 0)


def _chosen(names: Sequence[str]) -> list[Fault]:
    kinds = {kind.name: kind for kind in ALL}
    unknown = [name for name in names if name not in kinds]
    if unknown:
        raise click.UsageError(f"no fault is called {unknown[0]}; there are {', '.join(kinds)}")
    return [kinds[name]() for name in names or kinds]


def _plant(name: str, tree: Path) -> None:
    try:
        (bug,) = bank.bugs([name])
        bank.plant(bug, tree)
    except KeyError:
        raise click.UsageError(f"no planted bug is called {name}; see tests/simulation/bugs") from None
    except bank.StalePatch as error:
        raise click.UsageError(str(error)) from None


def _run_all(faults: Sequence[Fault], options: Options, hidden: bool) -> list[Outcome]:
    console = Console(stderr=True)
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    outcomes = []
    with Progress(*columns, console=console, transient=True, disable=hidden or not console.is_terminal) as progress:
        for number, fault in enumerate(faults, start=1):
            task = progress.add_task("")

            def tell(phase: str, about: str = f"{number} of {len(faults)}  {fault.name}: ") -> None:
                progress.update(task, description=about + phase)  # noqa: B023  used before the next one

            outcome = trio.run(_run, fault, options, tell)
            if outcome is None:
                sys.exit(INTERRUPTED)
            outcomes.append(outcome)
            progress.remove_task(task)
    return outcomes


async def _run(fault: Fault, options: Options, tell: Callable[[str], None]) -> Outcome | None:
    """None when a signal ended it; a second one, while everything ends, would leave something behind."""
    outcome = None
    with trio.open_signal_receiver(*SIGNALS) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_on_signal, signals, nursery.cancel_scope)
            outcome = await run(fault, options, tell)
            nursery.cancel_scope.cancel()
    return outcome


async def _cancel_on_signal(signals: AsyncIterator[int], work: trio.CancelScope) -> None:
    async for _ in signals:
        work.cancel()


if __name__ == "__main__":
    run_command(main, "python -m tools.faults")

"""`python -m bench`: all benchmarks, or those named, or another measure as a subcommand. Bad input is one line and exit
status 2; a run that proves nothing is one line and exit status 1.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from bench import enumeration, history, peers, report, results, suite
from bench.benchmark import NAMES, ROOT, BenchError, Benchmark, load
from bench.process import can_trace
from tools.arguments import run as run_command
from tools.loadgen import machine


class Commands(click.Group):
    """`run` is what is meant when no command is named."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ("-h", "--help")):
            args = ["run", *args]
        return super().parse_args(context, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """Measures of the server. docs/performance.md says how to read them.

    Without a command, or with names of benchmarks, it is `run`.
    """


def _names(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := [name for name in value if name not in NAMES]:
        raise click.BadParameter(f"{unknown[0]!r} is no benchmark; there are {', '.join(NAMES)}")
    return tuple(name for name in NAMES if name in value) or NAMES


def _split(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
    return tuple(filter(None, value.split(","))) if value else ()


OPTIONS: Sequence[Callable[[Any], Any]] = (
    click.argument("names", nargs=-1, metavar="[NAME]...", callback=_names),
    click.option("--rows", callback=_split, metavar="A,B", help="Only these rows."),
    click.option(
        "--seconds", type=click.FloatRange(0.1, 60), default=3.0, show_default=True, help="Measured time of a load."
    ),
    click.option("--repeat", type=click.IntRange(1, 50), default=3, show_default=True, help="Runs of each row."),
    click.option("--quick", is_flag=True, help="Once, and small: to see that it runs, not for its figures."),
    click.option("--strace/--no-strace", default=None, help="Count fsyncs with strace [default: if it works here]."),
    click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables."),
    results.option,
)


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@main.command(name="run")
@_options
@click.option(
    "--against",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path, resolve_path=True),
    help="Another work tree that runs in turns with this one. May be repeated.",
)
def run_benchmarks(against: tuple[Path, ...], **options: Any) -> None:
    """Run the benchmarks of these names, or all."""
    _run((ROOT, *against), **options)


@main.command(name="compare")
@click.argument("revision", metavar="REV")
@_options
def compare(revision: str, **options: Any) -> None:
    """Run benchmarks on this work tree and on a revision, in turns."""
    with _checkout(revision) as tree:
        _run((ROOT, tree), **options)


@contextmanager
def _checkout(revision: str) -> Iterator[Path]:
    """A work tree of a revision, gone afterwards."""
    commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if commit is None:
        raise click.UsageError(f"git knows no revision {revision!r} here")
    with tempfile.TemporaryDirectory(prefix="wirechat-bench-") as folder:
        tree = Path(folder) / "tree"
        if _git("worktree", "add", "--detach", "--quiet", str(tree), commit) is None:
            raise click.ClickException(f"git cannot make a work tree of {revision}")
        try:
            yield tree
        finally:
            _git("worktree", "remove", "--force", str(tree))


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _run(
    roots: tuple[Path, ...], names: tuple[str, ...], rows: tuple[str, ...], seconds: float, repeat: int, quick: bool,
    strace: bool | None, as_json: bool, save: Path | None,
) -> None:  # fmt: skip
    if strace and not can_trace():
        raise click.UsageError("strace is not installed, or may not trace here")
    trace = can_trace() if strace is None else strace
    if quick:
        seconds, repeat = min(seconds, 0.2), 1
    plan = suite.Plan(_wanted(names, rows), roots, repeat, seconds, quick, trace, _tell)
    place, began = machine.about(), time.time()
    outcome = suite.measure(plan)
    command = shlex.join(["python", "-m", "bench", *sys.argv[1:]])
    plain = report.as_plain(plan, outcome, command, place, began, time.time() - began)
    if as_json:
        click.echo(report.to_json(plain), nl=False)
    else:
        report.show(plan, outcome)
    if save is not None:
        _save(save, plain)
    if outcome.failure is not None:
        raise click.ClickException(outcome.failure)


def _save(folder: Path, plain: dict[str, Any]) -> None:
    from bench.page import page

    saved = results.save(folder, "bench", plain, plain["commits"][0], report.to_json(plain), page(plain))
    _tell(f"{saved} and .html")


def _tell(text: str) -> None:
    click.echo(f"  {text}", err=True)


def _wanted(names: tuple[str, ...], rows: tuple[str, ...]) -> list[tuple[Benchmark, tuple[str, ...]]]:
    benchmarks = [load(name) for name in names]
    known = [row for benchmark in benchmarks for row in benchmark.rows]
    if unknown := [row for row in rows if row not in known]:
        there = ", ".join(known) if len(names) == 1 else "those of python -m bench list"
        raise click.UsageError(f"{unknown[0]!r} is no row; there are {there}")
    return [(benchmark, wanted) for benchmark in benchmarks if (wanted := benchmark.wanted(rows))]


@main.command(name="list")
def list_command() -> None:
    """Say which benchmarks there are, and their rows."""
    for name in NAMES:
        benchmark = load(name)
        click.echo(f"{name}: {benchmark.question}")
        for row, about in benchmark.rows.items():
            if row not in benchmark.on_demand:
                click.echo(f"  {row:<22} {about}")


main.add_command(peers.command)


@main.command(name="history")
@click.option("--events", type=click.IntRange(1_000), default=1_000_000, show_default=True, help="About so many.")
@click.option("--members", type=click.IntRange(1, 1_000), default=20, show_default=True, help="Who see each message.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def history_command(events: int, members: int, as_json: bool) -> None:
    """Measure the judge of histories."""
    found = list(history.measure(events, members))
    click.echo(history.as_json(found) if as_json else history.as_text(found))


@main.command(name="enumeration")
@click.option("--samples", type=click.IntRange(2, 100_000), default=500, show_default=True, help="Of each kind.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def enumeration_command(samples: int, as_json: bool) -> None:
    """Measure whether the time of a failed login tells who exists."""

    def tell(done: int) -> None:
        if done % 100 == 0:
            _tell(f"{done} of {samples}")

    try:
        kinds = enumeration.measure(samples, tell)
    except (BenchError, OSError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(enumeration.as_json(kinds) if as_json else enumeration.as_text(kinds))


if __name__ == "__main__":
    run_command(main, "python -m bench")

"""`python -m bench`: measures, each as a subcommand. Bad input is one line and exit status 2; a run that proves nothing
is one line and exit status 1.
"""

from __future__ import annotations

from pathlib import Path

import click

from bench import enumeration, history, hot_path, report
from bench.client import BenchError
from bench.process import can_trace


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """Measures of the server. docs/benchmarks.md says how to read them."""


def _rows(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
    wanted = value.split(",") if value else list(hot_path.ROWS)
    if unknown := [row for row in wanted if row not in hot_path.ROWS]:
        raise click.BadParameter(f"{unknown[0]!r} is no row; there are {', '.join(hot_path.ROWS)}")
    return tuple(row for row in hot_path.ROWS if row in wanted)


@main.command(name="hot_path")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--rows", callback=_rows, metavar="A,B", help="Only these rows.")
@click.option(
    "--seconds", type=click.FloatRange(0.2, 60), default=3.0, show_default=True, help="Measured time of a run."
)
@click.option("--repeat", type=click.IntRange(1, 20), default=3, show_default=True, help="Runs of each row.")
@click.option(
    "--against",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path, resolve_path=True),
    help="Another work tree whose server runs in turns with this one's. May be repeated.",
)
@click.option("--strace/--no-strace", default=None, help="Count fsyncs with strace [default: if it works here].")
def hot_path_command(
    as_json: bool, rows: tuple[str, ...], seconds: float, repeat: int, against: tuple[Path, ...], strace: bool | None
) -> None:
    """Measure the way of a message through the server, and the cost of idle connections."""
    if strace and not can_trace():
        raise click.UsageError("strace is not installed, or may not trace here")
    trace = can_trace() if strace is None else strace
    roots = (hot_path.ROOT, *against)
    plan = hot_path.Plan(rows, roots, seconds, repeat, trace, lambda text: click.echo(f"  {text}", err=True))
    try:
        result = hot_path.measure(plan)
    except (BenchError, OSError) as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(report.to_json(result))
    else:
        report.show(result)


@main.command(name="history")
@click.option("--events", type=click.IntRange(1_000), default=1_000_000, show_default=True, help="About so many.")
@click.option("--members", type=click.IntRange(1, 1_000), default=20, show_default=True, help="Who see each message.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def history_command(events: int, members: int, as_json: bool) -> None:
    """Measure the judge of histories."""
    results = list(history.measure(events, members))
    click.echo(history.as_json(results) if as_json else history.as_text(results))


@main.command(name="enumeration")
@click.option("--samples", type=click.IntRange(2, 100_000), default=500, show_default=True, help="Of each kind.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def enumeration_command(samples: int, as_json: bool) -> None:
    """Measure whether the time of a failed login tells who exists."""

    def tell(done: int) -> None:
        if done % 100 == 0:
            click.echo(f"  {done} of {samples}", err=True)

    try:
        kinds = enumeration.measure(samples, tell)
    except (BenchError, OSError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(enumeration.as_json(kinds) if as_json else enumeration.as_text(kinds))


if __name__ == "__main__":
    main()

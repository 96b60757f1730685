"""`wirechat replay`: plays IRC logs for real and proves that nothing was lost.

Exit status: 0 all is well, 1 something is not, 2 the arguments are wrong.
"""

import os
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tools.arguments import Finite
from tools.replay import report
from tools.replay.log import BadLog, read_log
from tools.replay.meter import Bars
from tools.replay.plan import Plan, plan
from tools.replay.run import Options
from tools.replay.sabotage import Sabotage
from tools.replay.shares import replay_shared
from wirechat.client.errors import ClientError, ConnectionFailed
from wirechat.client.transport import parse_url, trusting
from wirechat.settings.urls import shown

SPARE_FILES = 64  # descriptors beyond one for each connection


class BadArgument(click.ClickException):
    """One line, exit status 2."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"error: {self.message}", err=True)


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--url", "urls", multiple=True, required=True, help="Where the server is; repeat it for several nodes.")
@click.option(
    "--speed", type=Finite(min=0, min_open=True), help="Times the original pace; default: as fast as it goes."
)
@click.option(
    "--drop",
    type=Finite(0, 1, max_open=True),
    default=0.0,
    help="Probability that a connection breaks at a frame.",
)
@click.option(
    "--sabotage",
    type=click.Choice([kind.value for kind in Sabotage]),
    help="Spoil the evidence, to see the comparison fail.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the breaks.")
@click.option("--limit", type=click.IntRange(min=1), help="Play only the first lines of each file.")
@click.option("--ca", type=click.Path(exists=True, dir_okay=False), help="Certificates to trust, as a PEM file.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes to play in; default: one for each core.")
def replay(
    files: Sequence[Path],
    urls: Sequence[str],
    speed: float | None,
    drop: float,
    sabotage: str | None,
    as_json: bool,
    seed: int,
    limit: int | None,
    ca: str | None,
    jobs: int | None,
) -> None:
    """Play IRC logs on a server, each nick an account with its own connection, and prove that nothing was lost.

    Beside each FILE name.raw.txt may stand name.annotation.txt, which says what answers what. Each file is a group.
    In the end a reader that shares nothing with server and client compares the log with every acknowledgement and with
    every device.
    """
    plans = [_plan(path, limit) for path in files]
    for url in urls:
        _check_url(url)
    _check_authority(ca)
    _make_room(sum(1 + len(each.accounts) for each in plans))
    options = Options(plans, urls, ca, speed, drop, seed, None if sabotage is None else Sabotage(sabotage))
    notes = Console(stderr=True)
    with _progress(notes, hidden=as_json) as progress:
        try:
            result = replay_shared(options, Bars(progress), jobs or os.cpu_count() or 1)
        except ClientError as error:
            raise click.ClickException(f"{error}. {error.to_do}") from None
    (report.print_json if as_json else report.print_table)(result, Console())
    if not result.verdict.clean:
        report.print_findings(result, notes)
        sys.exit(1)


def _plan(path: Path, limit: int | None) -> Plan:
    try:
        return plan(read_log(path), limit)
    except BadLog as error:
        raise BadArgument(str(error)) from None
    except OSError as error:
        raise BadArgument(f"{path}: {error.strerror}") from None


def _check_url(url: str) -> None:
    if "," in url:
        raise BadArgument("give --url once for each node, without commas")
    try:
        parse_url(url)
    except ValueError as error:
        raise BadArgument(shown(f"bad URL: {error}")) from None


def _check_authority(ca: str | None) -> None:
    try:
        trusting(ca)
    except ConnectionFailed as error:
        raise BadArgument(error.message) from None


def _make_room(connections: int) -> None:
    """Every connection is an open file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + SPARE_FILES
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise BadArgument(f"{connections} connections need {needed} open files, and this system allows {hard}")
    if soft != resource.RLIM_INFINITY and needed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _progress(console: Console, *, hidden: bool) -> Progress:
    columns = TextColumn("{task.description:9}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    return Progress(*columns, console=console, transient=True, disable=hidden or not console.is_terminal)

"""`wirechat plan`: how many people this machine carries.

Exit status: 0 there is an answer; 2 the arguments are wrong, or no server can be started here; 3 the answer is not
valid, because the machine was busy with something else or the time was too short; 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import click
import trio
from rich.console import Console

from tools.arguments import Finite
from tools.cluster.server import ServerFailed
from tools.loadgen.live import live
from tools.loadgen.run import Failed, Tell
from tools.plan import table
from tools.plan.answer import answer
from tools.plan.kernel import SPARE_FILES, lines
from tools.plan.probe import BATCH, BATCHES, WARM, Measured, probe

NOT_VALID = 3
FEW_FILES = WARM + BATCHES * BATCH + SPARE_FILES
"""Less, and nothing can be measured."""
SIGNALS = (signal.SIGTERM, signal.SIGHUP)
"""Which end it in order, unless they are ignored, as after `nohup`. Ctrl-C does without us."""


class Wrong(click.ClickException):
    """What is wrong, in one line."""

    exit_code = 2


class _Signalled(Exception):
    """Which signal came is its argument."""


@click.command()
@click.option(
    "--seconds",
    type=Finite(8, 3600),
    default=75,
    show_default=True,
    help="How long it measures, about; it takes some 10 s more.",
)
@click.option(
    "--directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    show_default=True,
    help="On the disk that the data will be on; what is written there is removed again.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def plan(seconds: float, directory: Path, as_json: bool) -> None:
    """Probe this machine: how many people and texts a server carries here, what breaks first, and what to change.

    Starts a server of its own on loopback with a temporary store, and loads it until people wait too long. Exit status
    3: the answer is not valid, for this machine was busy with something else, or the time too short.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = 2**31 if hard == resource.RLIM_INFINITY else hard
    if files < FEW_FILES:
        raise Wrong(f"{files} open files are too few to measure anything: ulimit -n 4096, as root")
    measured = _measure(directory, seconds, files, as_json)
    found = answer(measured)
    wanted = list(lines(found.idle_possible.people, 2**31 if soft == resource.RLIM_INFINITY else soft))
    if as_json:
        plain = {
            "measured": attrs.asdict(measured),
            "answer": attrs.asdict(found),
            "limits": [{**attrs.asdict(line), "enough": line.enough} for line in wanted],
        }
        click.echo(json.dumps(plain))
    else:
        table.show(measured, found, wanted, Console())
    sys.exit(NOT_VALID if found.busy else 0)


def _measure(directory: Path, seconds: float, files: int, hidden: bool) -> Measured:
    failed: BaseException | None = None
    try:
        with TemporaryDirectory(prefix=".wirechat-plan-", dir=directory) as place, live(hidden) as tell:
            return trio.run(_probed, Path(place).resolve(), seconds, files, tell)
    except* _Signalled as group:
        failed = SystemExit(128 + _first(group).args[0])
    except* ServerFailed as group:
        failed = Wrong(str(_first(group)))
    except* Failed as group:
        click.echo(f"wirechat: not valid: {_first(group)}; try more --seconds", err=True)
        failed = SystemExit(NOT_VALID)
    except* OSError as group:
        error = _first(group)
        assert isinstance(error, OSError)
        failed = Wrong(f"cannot write in {directory}: {error.strerror}")
    assert failed is not None
    raise failed


async def _probed(directory: Path, seconds: float, files: int, tell: Tell) -> Measured:
    """As `probe`. Raises _Signalled, too."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_until_signalled)
        measured = await probe(directory, seconds, files, tell)
        nursery.cancel_scope.cancel()
    return measured


async def _until_signalled() -> None:
    heeded = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    with trio.open_signal_receiver(*heeded) as signals:
        raise _Signalled(await anext(signals))


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first

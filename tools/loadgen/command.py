"""`wirechat loadgen`: loads a server, measures it honestly, and checks that nothing was lost.

Exit status: 0 all is well; 1 a promise was broken; 2 the arguments are wrong or the server cannot be reached; 3 the run
is not valid, because the generator or the machine was the bottleneck, or it ended before its time.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import attrs
import click
import trio
from rich.console import Console

from tools.arguments import Finite
from tools.loadgen import descriptors, hosts, scenario, targets
from tools.loadgen.live import live
from tools.loadgen.place import BadPlace
from tools.loadgen.report import comparison, file, table
from tools.loadgen.report.figures import verdict
from tools.loadgen.run import Failed, Interrupted, Options, Result, Run, Tell
from tools.loadgen.scenario import BadScenario, Scenario
from tools.loadgen.scrape import BadMetrics, open_metrics
from wirechat.settings.urls import HIDDEN, shown

BROKEN, NOT_VALID = 1, 3
TOKEN_LENGTH = 16


class Wrong(click.ClickException):
    """What is wrong with the command line, in one line without a password."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(shown(message))


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def loadgen() -> None:
    """Load a server, measure it honestly, check that nothing was lost.

    Exit status of run and merge: 0 valid; 1 a promise was broken; 2 the input was bad, or there is no server; 3 the run
    is not valid, for the generator or the machine was too slow, or partial, also after Ctrl-C.
    """


@loadgen.command("list")
def list_command() -> None:
    """Print the scenarios that come with the program."""
    for name in scenario.shipped():
        click.echo(f"{name:18} {scenario.load(name).about}")


@loadgen.command("show")
@click.argument("name", metavar="SCENARIO")
def show_command(name: str) -> None:
    """Print a scenario, to begin one of your own."""
    _scenario(name)
    place = scenario.SHIPPED / f"{name}.toml"
    click.echo((place if name in scenario.shipped() else Path(name)).read_text(), nl=False)


@loadgen.command("run")
@click.argument("name", metavar="SCENARIO")
@click.option("--url", required=True, help="Where the server is: wirechat://, wirechats://, ws:// or wss://.")
@click.option("--target", type=click.Choice(targets.NAMES), default=targets.OWN, help="Load another kind of server.")
@click.option("--people", type=click.IntRange(1), help="Connections, instead of the scenario's number.")
@click.option("--rate", type=Finite(0, min_open=True), help="Texts a second, instead of the scenario's.")
@click.option("--seconds", type=Finite(1, 86_400), help="Of the measured phases together.")
@click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="On each host.")
@click.option("--worker", multiple=True, metavar="HOST:PORT", help="A `loadgen worker` to make the load; repeatable.")
@click.option("--token", envvar="LOADGEN_TOKEN", help="Which the workers know; better as LOADGEN_TOKEN.")
@click.option("--share", metavar="K/N", help="Only the K-th of N parts: for several hosts; then merge their files.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the times at which things happen.")
@click.option("--check/--no-check", default=True, show_default=True, help="Judge every delivery.")
@click.option("--ca", type=click.Path(exists=True, dir_okay=False), help="Certificates to trust, as a PEM file.")
@click.option("--pid", type=click.IntRange(1), help="The server's process, if it is not found by its port.")
@click.option("--metrics", metavar="URL", help="The server's /metrics; tried at the port of ws:// or wss://.")
@click.option("--report", type=click.Path(path_type=Path), help="Write an HTML report to this file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def run_command(
    name: str,
    url: str,
    target: str,
    people: int | None,
    rate: float | None,
    seconds: float | None,
    processes: int,
    worker: tuple[str, ...],
    token: str | None,
    share: str | None,
    seed: int,
    check: bool,
    ca: str | None,
    pid: int | None,
    metrics: str | None,
    report: Path | None,
    as_json: bool,
) -> None:
    """Run a scenario: a name from `wirechat loadgen list`, or a TOML file."""
    plan = _changed(_scenario(name), people, rate, seconds)
    part = _share(plan, share)
    options = Options(Path(name).stem, plan, url, ca, processes, seed, check, pid, target, share=part)
    try:
        targets.check(target, plan)
        assert options.place
    except (BadPlace, BadScenario) as error:
        raise Wrong(str(error)) from None
    if worker:
        options = attrs.evolve(options, workers=_workers(worker), token=_token(token))
    else:
        _enough_files(options.part, processes)
    _writable(report)
    try:
        options = attrs.evolve(options, scraper=open_metrics(metrics, url, ca))
    except BadMetrics as error:
        raise Wrong(str(error)) from None
    with live(as_json) as tell:
        result = trio.run(_run, options, tell)
    if isinstance(result, Interrupted):
        click.echo(f"wirechat: not valid: {result}", err=True)
        sys.exit(NOT_VALID)
    if isinstance(result, Failed):
        raise Wrong(f"no load on {url}: {result}")
    _show(result, report, as_json)


def _workers(addresses: tuple[str, ...]) -> tuple[str, ...]:
    for address in addresses:
        _address(address)
    return addresses


def _token(token: str | None) -> str:
    if token is None:
        raise Wrong("a worker wants to be told its token: set LOADGEN_TOKEN to what it printed")
    return token


def _address(text: str) -> tuple[str, int]:
    try:
        return hosts.parse_address(text)
    except ValueError as error:
        raise Wrong(f"bad address of a worker: {error}") from None


@loadgen.command("worker")
@click.option("--listen", default="127.0.0.1:7990", show_default=True, metavar="HOST:PORT", help="Where to wait.")
@click.option(
    "--token",
    envvar="LOADGEN_TOKEN",
    help="At least 16 characters, which whoever comes must know; better as LOADGEN_TOKEN.",
)
def worker_command(listen: str, token: str | None) -> None:
    """Wait for `run --worker HOST:PORT` on another host, and make its load from here.

    Without a token it makes one and prints it. What goes over the connection is not encrypted.
    """
    if token is not None and len(token) < TOKEN_LENGTH:
        raise Wrong(f"the token is too short: at least {TOKEN_LENGTH} characters")
    host, port = _address(listen)
    try:
        trio.run(_wait, host, port, token)
    except* OSError as group:
        failed = hosts.reason(group)
    raise Wrong(f"cannot listen on {listen}: {failed}")


async def _wait(host: str, port: int, token: str | None) -> None:
    listeners = await trio.open_tcp_listeners(port, host=host)
    name, number = listeners[0].socket.getsockname()[:2]
    if token is None:
        token = secrets.token_urlsafe(16)
        click.echo(f"LOADGEN_TOKEN={token}")
    click.echo(f"waiting on {name}:{number}")
    await hosts.serve(listeners, token, click.echo)


def _writable(report: Path | None) -> None:
    """Known before the run rather than after it."""
    if report is None:
        return
    if not os.access(report.parent, os.W_OK):
        raise Wrong(f"cannot write {report}: {report.parent} is no directory that can be written to")
    if report.is_dir():
        raise Wrong(f"cannot write {report}: it is a directory")


def _scenario(name: str) -> Scenario:
    try:
        return scenario.load(name)
    except BadScenario as error:
        raise Wrong(str(error)) from None


def _changed(plan: Scenario, people: int | None, rate: float | None, seconds: float | None) -> Scenario:
    """With what was said instead."""
    spoken = sum(each.rate or 0 for each in plan.activities if isinstance(each, scenario.Messages | scenario.Hour))
    if rate is not None and not spoken:
        raise Wrong("this scenario has no rate of texts that could be changed")
    try:
        plan = plan.at_scale((people or plan.people) / plan.people, 1.0 if rate is None else rate / spoken)
    except ValueError as error:
        raise Wrong(str(error)) from None
    if seconds is not None:
        measured = scenario.total_seconds([phase for phase in plan.phases if phase.measured])
        phases = [
            attrs.evolve(phase, seconds=phase.seconds * seconds / measured) if phase.measured else phase
            for phase in plan.phases
        ]
        plan = attrs.evolve(plan, phases=tuple(phases))
    return plan


def _share(plan: Scenario, share: str | None) -> tuple[int, int]:
    if share is None:
        return 1, 1
    number, _, of = share.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise Wrong(f"--share {share}: must be K/N, such as 2/3")
    try:
        plan.share(int(number) - 1, int(of))
    except BadScenario as error:
        raise Wrong(str(error)) from None
    return int(number), int(of)


def _enough_files(plan: Scenario, processes: int) -> None:
    """Better now than when they are made."""
    processes = min(processes, plan.units)
    if why := descriptors.too_few(max(plan.share(number, processes).people for number in range(processes))):
        raise Wrong(why)


async def _run(options: Options, tell: Tell) -> Result | Failed:
    run = Run(options, tell)
    result: list[Result | Failed] = []

    async def stopped() -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            for why in ("it was stopped", "it was stopped at once"):
                await anext(signals)
                run.stop(why)
        raise Interrupted(why)  # nobody waits for the last texts any more

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stopped)
            result.append(await run.run())
            nursery.cancel_scope.cancel()
    except* Failed as group:
        result.append(_first(group))
    return result[0]


def _first(group: BaseExceptionGroup[Failed]) -> Failed:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _show(result: Result, report: Path | None, as_json: bool) -> None:
    failed = [why for why in (_print(result, as_json), _report(result, report)) if why]
    for why in failed:
        click.echo(f"wirechat: {why}", err=True)
    status = {"valid": 0, "broken": BROKEN}.get(verdict(result)[0], NOT_VALID)
    sys.exit(status or (Wrong.exit_code if failed else 0))


def _print(result: Result, as_json: bool) -> str:
    """What is wrong with standard output, such as a full disk; empty if nothing is."""
    try:
        if as_json:
            click.echo(file.to_json(result), nl=False)
        else:
            table.show(result, Console())
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would try again at its end
        return f"cannot print the result: {error.strerror}"
    return ""


def _report(result: Result, path: Path | None) -> str:
    """Why it cannot be written; empty if it is, or is not wanted."""
    if path is None:
        return ""
    from tools.loadgen.report import page  # matplotlib takes a second

    try:
        file.write(path, page.page(result, _typed(), _commit()))
    except file.BadFile as error:
        return str(error)
    click.echo(f"The report is in {path}.", err=True)
    return ""


def _typed() -> str:
    """The command, without what is secret in it."""
    command = shlex.join(["wirechat", *map(shown, sys.argv[1:])])
    return re.sub(r"(--token[= ])\S+", rf"\1{HIDDEN}", command)


def _commit() -> str:
    """Of this program; "unknown" when it does not run from a checkout."""
    command = ["git", "describe", "--always", "--abbrev=12", "--dirty=+"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


files = click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))


@loadgen.command("merge")
@files
@click.option("--report", type=click.Path(path_type=Path), help="Write an HTML report to this file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def merge_command(files: tuple[Path, ...], report: Path | None, as_json: bool) -> None:
    """Make one result of several: what each host's `run --share K/N --json` printed, all shares of one run."""
    try:
        merged = file.merge([(path, file.read(path)) for path in files])
    except file.BadFile as error:
        raise Wrong(str(error)) from None
    _show(merged, report, as_json)


@loadgen.command("compare")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def compare_command(first: Path, second: Path, as_json: bool) -> None:
    """Put two results side by side: what `run --json` printed."""
    try:
        plain = file.read(first), file.read(second)
        lines = list(comparison.lines(*plain))
    except file.BadFile as error:
        raise Wrong(str(error)) from None
    except (KeyError, TypeError, AttributeError):
        raise Wrong("one of the files is damaged") from None
    if as_json:
        told = {line.name: {"first": line.first, "second": line.second, "ratio": line.ratio} for line in lines}
        differences = comparison.differences(*plain)
        click.echo(json.dumps({"figures": told, "spread": comparison.NO_SPREAD, "differences": differences}))
    else:
        comparison.show(*plain, Console())

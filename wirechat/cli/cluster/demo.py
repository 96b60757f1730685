"""`wirechat cluster demo`: PostgreSQL, NATS and a few nodes on this machine, people on different nodes, a replay across
all of them, and what to type next.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click
import trio
from rich.console import Console

from wirechat.cli.demo import PEOPLE, accounts_line, sample
from wirechat.cli.running import Stop, die, leaf, run
from wirechat.client import ClientError
from wirechat.settings.urls import BusUrl

if TYPE_CHECKING:
    from tools.cluster.site import Site

NODES_MAX = 16
INTERRUPTED = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
EPILOG = """\b
wirechat cluster demo                                    stays until Ctrl-C
wirechat cluster demo --once --nodes 2                   ends with one line of figures
wirechat cluster demo --json --kill --drop 0.02 logs/*.raw.txt"""


@attrs.define
class Figures:
    """What came of it. `seconds` and the rest: of the replay, see `wirechat replay`; kills by what was killed."""

    nodes: int
    p50_ms_across_nodes: float = 0.0
    """Of a message, from sending on one node until the client on another has it on disk."""
    replayed: dict[str, Any] = attrs.Factory(dict)
    kills: dict[str, int] = attrs.Factory(dict)
    consistent: bool = True
    """What `wirechat verify` says of the database in the end."""

    @property
    def well(self) -> bool:
        """Nothing is lost, doubled or anything else that it should not be."""
        wrong = ("lost", "duplicated", "gaps", "reordered", "differences")
        return self.consistent and not any(self.replayed.get(name, 0) for name in wrong)

    def as_json(self) -> dict[str, Any]:
        """One object."""
        return {
            "nodes": self.nodes, "p50_ms_across_nodes": round(self.p50_ms_across_nodes, 1), **self.replayed,
            "kills": self.kills, "consistent": self.consistent,
        }  # fmt: skip

    def line(self) -> str:
        """For people."""
        told = {"nodes": self.nodes, "p50 across nodes": f"{self.p50_ms_across_nodes:.1f} ms"}
        names = ("entries", "lost", "duplicated", "gaps", "reconnects", "seconds")
        told |= {name: self.replayed[name] for name in names if name in self.replayed}
        told |= {f"{what} killed": count for what, count in self.kills.items()}
        return ", ".join(f"{name} {value}" for name, value in told.items()) + (
            "; everything is consistent" if self.well else "; something is wrong"
        )


@attrs.frozen
class Wish:
    """What is to be shown. `stay`: until Ctrl-C; `quiet`: nothing but the figures in the end."""

    nodes: int
    files: Sequence[str]
    drop: float
    kill: bool
    stay: bool
    quiet: bool


@click.command(epilog=EPILOG)
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False))
@click.option("--nodes", default=3, show_default=True, type=click.IntRange(1, NODES_MAX), help="How many servers.")
@click.option(
    "--drop", default=0.0, type=click.FloatRange(0, 1, max_open=True), help="As in wirechat replay: breaks connections."
)
@click.option("--kill", is_flag=True, help="During the replay, kill -9 nodes, PostgreSQL and NATS in turn.")
@click.option("--once", is_flag=True, help="End with one line of figures, instead of staying until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="The same, and nothing else, as one JSON object.")
def demo(files: Sequence[str], nodes: int, drop: float, kill: bool, once: bool, as_json: bool) -> None:
    """Run a cluster on this machine: PostgreSQL and NATS from Python packages, in a temporary directory, and servers
    over both. Two people chat on different nodes, then IRC logs (FILES, or a short one) are replayed across all nodes.

    Everything ends with this command. Exit status 1 when a message was lost, doubled, or anything else is wrong.
    """
    stay = not (once or as_json)
    figures = run(_demonstrate, Wish(nodes, files or sample(), drop, kill, stay, quiet=as_json))
    if figures is None:
        sys.exit(0 if stay else INTERRUPTED)
    click.echo(json.dumps(figures.as_json()) if as_json else figures.line())
    sys.exit(0 if figures.well else 1)


async def _demonstrate(wish: Wish) -> Figures | None:
    """None when a signal ended it; a second one, while everything ends, would leave something behind."""
    figures = None
    with trio.open_signal_receiver(*SIGNALS) as signals, trio.CancelScope() as work:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_on_signal, signals, work)
                figures = await _run(wish)
                nursery.cancel_scope.cancel()
        except* Stop:
            if not work.cancel_called:  # Ctrl-C ends the programs that make the database, too
                raise
            click.echo("wirechat: interrupted", err=True)
    return figures


async def _cancel_on_signal(signals: AsyncIterator[int], work: trio.CancelScope) -> None:
    async for _ in signals:
        work.cancel()


async def _run(wish: Wish) -> Figures:
    with tempfile.TemporaryDirectory(prefix="wirechat-cluster-") as folder:
        try:
            async with _running(Path(folder), wish.nodes) as site:
                return await _show(site, wish)
        except* (ClientError, trio.TooSlowError) as group:
            die(f"the demo failed: {leaf(group)}")


@asynccontextmanager
async def _running(folder: Path, nodes: int) -> AsyncIterator[Site]:
    from tools.cluster.engine import INSTALL, EngineError

    try:
        from tools.cluster.site import Site
    except ModuleNotFoundError as error:
        die(f"the demo needs the package {error.name}: {INSTALL}")
    from tools.cluster.server import ServerFailed

    site = None
    try:
        site = await trio.to_thread.run_sync(Site, folder, nodes)
        await site.start()
        yield site
    except* (EngineError, ServerFailed) as group:
        die(f"the demo failed: {leaf(group)}")
    finally:
        if site is not None:
            await site.clear()


async def _show(site: Site, wish: Wish) -> Figures:
    from tools.cluster.talk import talk

    console = Console(highlight=False, quiet=wish.quiet)
    figures, urls = Figures(wish.nodes), [node.urls["wirechat"] for node in site.nodes]
    there = f"{wish.nodes} nodes run. On two of them" if wish.nodes > 1 else "one node run. On it"
    console.print(f"PostgreSQL, NATS and {there}:\n")
    seconds = await talk((urls[0], urls[-1]), PEOPLE, lambda line: console.print(f"  {line}", soft_wrap=True))
    figures.p50_ms_across_nodes = 1000 * seconds
    if wish.files:
        console.print("\nA replay across all nodes, as fast as it goes:")
        figures.replayed, figures.kills = await _replay(site, urls, wish)
    figures.consistent = await _verify(site)
    if wish.stay:
        console.print(f"\n{figures.line()}\n{_greeting(site, urls)}", soft_wrap=True)
        await trio.sleep_forever()
    return figures


async def _replay(site: Site, urls: Sequence[str], wish: Wish) -> tuple[dict[str, Any], dict[str, int]]:
    """(what `wirechat replay` says, kills)."""
    from tools.cluster.nemesis import Nemesis

    nemesis = Nemesis(site)
    words = ["replay", *wish.files, "--drop", str(wish.drop), "--json"]
    async with trio.open_nursery() as nursery:
        if wish.kill:
            nursery.start_soon(nemesis.run)
        told = await _wirechat(*words, *(word for url in urls for word in ("--url", url)))
        nursery.cancel_scope.cancel()
    try:
        return json.loads(told), dict(nemesis.counts)
    except ValueError:
        die("the replay failed; it says why above")


async def _verify(site: Site) -> bool:
    return bool(json.loads(await _wirechat("verify", "--store", site.postgres.url, "--json"))["consistent"])


async def _wirechat(*words: str) -> str:
    """What a command of ours prints; it ends with us, and all processes it has made."""
    from tools.cluster.guard import Guard

    command = [sys.executable, "-m", "wirechat.cli.main", *words]
    with closing(Guard(signal.SIGKILL)) as guard:
        done = await trio.run_process(
            command, check=False, capture_stdout=True, stdin=subprocess.DEVNULL, process_group=guard.group,
            deliver_cancel=_end_group,
        )  # fmt: skip
    return done.stdout.decode()


async def _end_group(process: trio.Process) -> None:
    os.killpg(os.getpgid(process.pid), signal.SIGKILL)


def _greeting(site: Site, urls: Sequence[str]) -> str:
    one, other = urls[0], urls[-1]
    return f"""
[bold]The cluster is running.[/bold]

  accounts    {accounts_line()}
  nodes       {"   ".join(url for node in site.nodes for url in node.urls.values())}
  PostgreSQL  {site.postgres.url}
  NATS        {BusUrl(site.nats.url)}

Talk to it from two other terminals, on different nodes (F1 shows the keys):

  .venv/bin/wirechat chat {one} --handle alice
  .venv/bin/wirechat chat {other} --handle bob

See how it is, and check what is stored:

  .venv/bin/wirechat cluster status --config {site.configuration}
  .venv/bin/wirechat verify --store {site.postgres.url}

Ctrl-C ends all of it, and nothing is kept."""

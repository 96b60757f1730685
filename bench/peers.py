"""`python -m bench peers`: our server and its rivals on the same work, in the same run.

Rules:
* All servers of a round stand side by side, fresh, with empty stores; each cell goes through all of them in turn, in
  the opposite order in every second round, so that a slow moment of the machine hits all alike.
* Everybody is loaded by the same loop (`bench.rivals.loop`) with clients that cost about the same.
* A ratio is taken within a round; what is told is the median of the rounds and the lowest and highest of them.
* What a rival lost or doubled is told beside its figures. What ours loses ends the run.
"""

from __future__ import annotations

import datetime
import gc
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
import click

from bench import results
from bench.benchmark import BenchError
from bench.hot_path import WARM_UP
from bench.rivals import figures, page
from bench.rivals.ejabberd import Ejabberd
from bench.rivals.loop import Flow, Loop
from bench.rivals.mosquitto import Mosquitto
from bench.rivals.nats import Nats
from bench.rivals.own import Floor, Wirechat
from bench.rivals.prosody import Prosody
from bench.rivals.rival import Rival
from bench.rivals.server import Server
from bench.rivals.socketio import SocketIo
from tools.loadgen import descriptors, machine

PAIRS = 100
IDLE_FIRST = 100
"""Connections before the first look at the memory: what only the first ones cost is no price of the others."""
IDLE = 1000
SETTLE_SECONDS = 3.0
FAR_BEHIND = 0.5
"""Of an open loop's rate: a rival that delivers less is spared higher ones."""

OWN = Wirechat()
FLOOR = Floor()
RIVALS: tuple[Rival, ...] = (Mosquitto(), Nats(), Ejabberd(), Prosody(), SocketIo())

Run = dict[str, Any]
"""What a round showed of one server in one cell: the fields of `Seen`, or `kib`; or `failed`, why there is nothing."""
Tell = Callable[[str], None]


@attrs.frozen
class Cell:
    """A kind of work. kind: pairs, group or idle; transport: of those who are idle, tcp, tls or ws."""

    about: str
    kind: str
    window: int = 0
    per_second: float = 0.0
    size: int = PAIRS
    transport: str = ""

    @property
    def unit(self) -> str:
        """Of the figure that is compared."""
        return "KiB" if self.kind == "idle" else "us"


CELLS = {
    "pairs_w10": Cell("100 pairs, each sender keeps 10 texts under way", "pairs", window=10),
    "pairs_w1": Cell("100 pairs, each sender keeps one text under way", "pairs", window=1),
    "pairs_500": Cell("100 pairs, 500 texts a second in all", "pairs", per_second=500),
    "pairs_2000": Cell("100 pairs, 2,000 texts a second in all", "pairs", per_second=2000),
    "group_100": Cell("a group of 100, one text at a time", "group", window=1, size=100),
    "group_1000": Cell("a group of 1,000, one text at a time", "group", window=1, size=1000),
    "idle_tcp": Cell("connections that are logged in and say nothing", "idle", transport="tcp"),
    "idle_tls": Cell("the same over TLS", "idle", transport="tls"),
    "idle_ws": Cell("the same over WebSocket", "idle", transport="ws"),
}


@attrs.frozen
class Plan:
    """What to measure, and how thoroughly."""

    rivals: tuple[Rival, ...]
    cells: tuple[str, ...]
    rounds: int
    seconds: float
    tell: Tell
    """Progress, for people."""

    @property
    def sides(self) -> list[Rival]:
        """In the order of the first round."""
        return [OWN, FLOOR, *self.rivals]


Runs = dict[str, dict[str, list[Run]]]
"""By cell and server, a run for each round."""


def measure(plan: Plan) -> Runs:
    """Run the plan. Raises BenchError when our own server or the floor fails."""
    sides = plan.sides
    runs: Runs = {cell: {each.name: [] for each in sides if _does(each, CELLS[cell])} for cell in plan.cells}
    for number in range(plan.rounds):
        for cell, name, run in _round(plan, sides if number % 2 == 0 else sides[::-1], number):
            runs[cell][name].append(run)
    return runs


def _does(rival: Rival, cell: Cell) -> bool:
    return cell.kind in rival.kinds and (not cell.transport or cell.transport in rival.transports)


def _round(plan: Plan, sides: Sequence[Rival], number: int) -> Iterator[tuple[str, str, Run]]:
    with ExitStack() as stack:
        tables = {each.name: stack.enter_context(_table(each)) for each in sides}
        for name in plan.cells:
            cell = CELLS[name]
            for rival in sides:
                if _does(rival, cell):
                    plan.tell(f"round {number + 1} of {plan.rounds}: {name}, {rival.name}")
                    yield name, rival.name, _try(tables[rival.name], cell, plan.seconds)


def _try(table: Table, cell: Cell, seconds: float) -> Run:
    gc.collect()
    try:
        run = _idle(table.rival, cell.transport) if cell.kind == "idle" else _load(table, cell, seconds)
    except BenchError as error:
        table.clear()
        run = {"failed": str(error)}
    if table.rival in (OWN, FLOOR) and (why := run.get("failed") or _fault(run)):
        raise BenchError(f"{table.rival.name}, {cell.about}: {why}")
    return run


def _fault(run: Run) -> str:
    return f"{run['missing']} did not come, {run['wrong']} wrong" if run.get("missing") or run.get("wrong") else ""


class Table:
    """A server of this round and who sits at it. It is started when somebody wants to sit down."""

    def __init__(self, rival: Rival) -> None:
        self.rival = rival
        self.too_slow = False
        """It could not keep up with an open loop."""
        self._stack = ExitStack()
        self._server: Server | None = None

    @property
    def server(self) -> Server:
        """Where they sit. Raises BenchError."""
        if self._server is None:
            self._server = self._stack.enter_context(_serving(self.rival))
        return self._server

    @contextmanager
    def flows(self, cell: Cell) -> Iterator[list[Flow]]:
        """People for this cell, who leave afterwards: nobody answers for them while others have their turn. Raises
        BenchError.
        """
        people = self.rival.pairs if cell.kind == "pairs" else self.rival.group
        flows = people(self.server, cell.size)
        try:
            yield flows
        finally:
            for flow in flows:
                for seat in (flow.sender, *flow.receivers):
                    seat.close()

    def clear(self) -> None:
        """The server ends."""
        self._server = None
        self._stack.close()


@contextmanager
def _table(rival: Rival) -> Iterator[Table]:
    table = Table(rival)
    try:
        yield table
    finally:
        table.clear()


def _load(table: Table, cell: Cell, seconds: float) -> Run:
    if cell.per_second and table.too_slow:
        return {"failed": "it could not keep up with less"}
    with table.flows(cell) as flows:
        loop = Loop(flows)
        try:
            seen = loop.run(cell.window, cell.per_second, WARM_UP * seconds, seconds, table.server.processes)
        finally:
            loop.close()
    table.too_slow = table.too_slow or (table.rival is not OWN and seen.per_second < cell.per_second * FAR_BEHIND)
    if seen.missing or table.rival.forgets_nobody:
        table.clear()  # what is under way would be taken for something of the next cell
    return attrs.asdict(seen)


def _idle(rival: Rival, transport: str) -> Run:
    """On a fresh server: what others have left behind would be used again and not be seen."""
    memory = []
    with _serving(rival, transport) as server, ExitStack() as stack:
        for first, count in ((0, IDLE_FIRST), (IDLE_FIRST, IDLE)):
            for seat in rival.idle(server, first, count):
                stack.callback(seat.close)
            time.sleep(SETTLE_SECONDS)
            memory.append(server.processes.private_dirty_kib())
    return {"kib": (memory[1] - memory[0]) / IDLE}


@contextmanager
def _serving(rival: Rival, transport: str = "tcp") -> Iterator[Server]:
    with (
        TemporaryDirectory(prefix="wirechat-peers-", ignore_cleanup_errors=True) as folder,
        rival.serve(Path(folder), transport) as server,
    ):
        yield server


def as_plain(plan: Plan, runs: Runs, absent: Sequence[Rival], command: str, place: Run, began: float) -> dict[str, Any]:
    """A result, for a file."""
    return {
        "format": figures.FORMAT,
        "began": datetime.datetime.fromtimestamp(began, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "took_seconds": round(time.time() - began),
        "command": command,
        "commit": OWN.version(),
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "machine": place,
        "servers": {
            each.name: {
                "version": each.version(),
                "store": each.store,
                "guarantee": attrs.asdict(each.guarantee) if each.guarantee else None,
                "install": each.install,
            }
            for each in plan.sides
        },
        "absent": {each.name: each.install for each in absent},
        "cells": {
            name: {
                "about": CELLS[name].about,
                "unit": CELLS[name].unit,
                "per_second": CELLS[name].per_second,
                "runs": of,
            }
            for name, of in runs.items()
        },
    }


def _some(known: Sequence[str], what: str) -> Callable[[click.Context, click.Parameter, str | None], tuple[str, ...]]:
    def chosen(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
        wanted = value.split(",") if value else list(known)
        if unknown := [name for name in wanted if name not in known]:
            raise click.BadParameter(f"{unknown[0]!r} is no {what}; there are {', '.join(known)}")
        return tuple(name for name in known if name in wanted)

    return chosen


@click.command(name="peers")
@click.option(
    "--rounds", type=click.IntRange(1, 100), default=5, show_default=True, help="Each goes through everything."
)
@click.option(
    "--seconds", type=click.FloatRange(0.1, 60), default=2.0, show_default=True, help="Measured time of a load."
)
@click.option(
    "--rivals", callback=_some([each.name for each in RIVALS], "rival"), metavar="A,B", help="Only these, beside ours."
)
@click.option("--cells", callback=_some(list(CELLS), "cell"), metavar="A,B", help="Only these.")
@results.option
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def command(
    rounds: int, seconds: float, rivals: tuple[str, ...], cells: tuple[str, ...], save: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Measure our server beside its rivals on the same work. docs/peers.md says how to read it."""
    wanted = [each for each in RIVALS if each.name in rivals]
    absent = [each for each in wanted if each.version() is None]
    for each in absent:
        click.echo(f"  absent: {each.name}; {each.install}", err=True)
    there = tuple(each for each in wanted if each not in absent)
    plan = Plan(there, cells, rounds, seconds, lambda text: click.echo(f"  {text}", err=True))
    place, began = machine.about(), time.time()
    descriptors.raise_limit()
    try:
        words = shlex.join(["python", "-m", "bench", *sys.argv[1:]])
        plain = as_plain(plan, measure(plan), absent, words, place, began)
    except (BenchError, OSError) as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(figures.to_json(plain), nl=False)
    else:
        page.show(plain)
    if save is not None:
        text = figures.to_json(plain)
        saved = results.save(save, "peers", plain, plain["commit"], text, page.page(plain))
        click.echo(f"  {saved} and .html; python -m tools.docs generate", err=True)

"""`wirechat cluster status`: how nodes, PostgreSQL and NATS are, and what needs attention."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import click
from rich import box
from rich.console import Console
from rich.table import Table

from wirechat.bus.errors import BusError
from wirechat.cli import logs
from wirechat.cli.opening import open_bus
from wirechat.cli.options import configured_by, load
from wirechat.cli.running import run
from wirechat.server.standing import Standing, ask
from wirechat.settings import schema
from wirechat.settings.reading import Sources
from wirechat.settings.schema import Log
from wirechat.settings.urls import StoreUrl
from wirechat.store.errors import DataError
from wirechat.store.features.activity import Activity, activity, servers
from wirechat.world import REAL

WRITER_SECONDS_MAX = 5.0
HORIZON_MS_MAX = 5_000
CONNECTIONS_SHARE_MAX = 0.9
PIPED_COLUMNS = 140
EPILOG = """\b
wirechat cluster status --store postgresql://wirechat@db/wirechat --bus nats://nats:4222
wirechat cluster status --config wirechat.toml --json"""


@attrs.define
class Report:
    """What was found. `epoch` and `servers` are those of the database. What does not answer is None; `attention` says
    why.
    """

    nodes: list[Standing]
    epoch: bytes | None = None
    servers: int = 0
    postgres: Activity | None = None
    nats_round_trip_ms: float | None = None
    attention: list[str] = attrs.Factory(list)

    def as_json(self) -> dict[str, Any]:
        """One object."""
        return {
            "well": not self.attention,
            "nodes": [
                {"node": name(each.node), "clock_ahead_ms": each.ahead_ms, **each.about,
                 "last_word_ms": last_word_ms(self.nodes, each.node), "troubles": each.troubles}
                for each in self.nodes
            ],
            "postgres": None if self.postgres is None else attrs.asdict(self.postgres),
            "nats": None if self.nats_round_trip_ms is None else {"round_trip_ms": self.nats_round_trip_ms},
            "attention": self.attention,
        }  # fmt: skip


@click.command(epilog=EPILOG)
@configured_by("store.url", "bus.url", "bus.prefix")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(sources: Sources, as_json: bool) -> None:
    """Ask all nodes of a cluster how they are, and look at PostgreSQL and NATS. Changes nothing.

    Exit status 1 when something needs attention.
    """
    logs.configure(Log(level="error"))  # what is wrong stands in the report
    settings = load(sources).settings
    if settings.store.url is None or settings.bus.url is None:
        raise click.UsageError("say which cluster: --store and --bus, or store.url and bus.url in the configuration")
    report = run(_look, settings.store.url, settings.bus)
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        console = Console(highlight=False)
        _print(report, console if console.is_terminal else Console(highlight=False, width=PIPED_COLUMNS))
    sys.exit(1 if report.attention else 0)


async def _look(store: StoreUrl, bus: schema.Bus) -> Report:
    report = Report([])
    await _ask_nodes(bus, report)
    try:
        from wirechat.store import postgres  # asyncpg takes a fifth of a second

        report.postgres = await postgres.look(store.text, activity)
        report.epoch = await postgres.look(store.text, postgres.epoch_of)
        report.servers = await postgres.look(store.text, servers)
    except DataError as error:
        report.attention.append(str(error))
    report.attention += [*_of_nodes(report.nodes), *_of_stores(report), *_of_postgres(report.postgres)]
    return report


async def _ask_nodes(settings: schema.Bus, report: Report) -> None:
    try:
        async with open_bus(settings) as bus:
            assert bus is not None
            if bus.trouble is not None:
                report.attention.append(f"the bus is away: {bus.trouble}")
                return
            report.nodes = await ask(bus, REAL.now_ms)
            report.nats_round_trip_ms = round(1000 * bus.round_trip, 2)
    except BusError as error:
        report.attention.append(f"the bus cannot be used: {error}")
        return
    if not report.nodes:
        report.attention.append("no node answers; start one, or correct bus.prefix")


def _of_nodes(nodes: Sequence[Standing]) -> Iterator[str]:
    if len({node.epoch for node in nodes}) > 1:
        yield "nodes of several clusters answer; give each cluster a bus.prefix of its own"
    for node in nodes:
        yield from (f"node {name(node.node)}: {trouble}" for trouble in node.troubles)
        horizon = node.about.get("horizon_ms", 0)
        if horizon > HORIZON_MS_MAX:
            yield (
                f"node {name(node.node)}: its last pass over the store is {horizon / 1000:.1f} s ago;"
                " look at its log and at PostgreSQL"
            )
    answered = {node.node for node in nodes}
    heard = sorted({each.node for node in nodes for each in node.heard} - answered)
    for number in heard:
        age = last_word_ms(nodes, number) or 0
        yield f"node {name(number)} does not answer, and was heard {age / 1000:.1f} s ago; look at its machine"


def _of_stores(report: Report) -> Iterator[str]:
    if report.epoch is None:
        return
    here = [node for node in report.nodes if node.epoch == report.epoch]
    if others := [name(node.node) for node in report.nodes if node.epoch != report.epoch]:
        yield (
            f"these nodes work on another store than this one: {', '.join(others)}; correct --store or --bus-prefix, or"
            " restart them if the database was restored or has failed over"
        )
    if report.nodes and report.servers > len(here):
        yield (
            f"servers connected to the database: {report.servers}, but answering on this bus: {len(here)}; give all of"
            " them the same --bus and --bus-prefix"
        )


def last_word_ms(nodes: Sequence[Standing], number: int) -> int | None:
    """How long ago the others heard a node, at least; None when none of them does."""
    return min((each.age_ms for node in nodes for each in node.heard if each.node == number), default=None)


def _of_postgres(found: Activity | None) -> Iterator[str]:
    if found is None:
        return
    if found.oldest_writer_seconds > WRITER_SECONDS_MAX:
        yield (
            f"a transaction has been writing for {found.oldest_writer_seconds:.0f} s; until it ends, every return of a"
            " client costs more: look for it in pg_stat_activity"
        )
    if found.connections > CONNECTIONS_SHARE_MAX * found.connections_max:
        yield (
            f"PostgreSQL has {found.connections} connections of {found.connections_max}; raise max_connections,"
            " or run fewer nodes"
        )


def name(node: int) -> str:
    """Of a node, as logs and subjects write it."""
    return f"{node:014x}"


def _print(report: Report, console: Console) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("node", "version", "host", "addresses"):
        table.add_column(column)
    for column in ("users", "connections", "last word s", "clock ms", "horizon s"):
        table.add_column(column, justify="right")
    for node in report.nodes:
        table.add_row(*_row(node, report.nodes))
    if report.nodes:
        console.print(table)
    if (found := report.postgres) is not None:
        console.print(
            f"PostgreSQL  {found.version}, {found.connections} of {found.connections_max} connections,"
            f" {found.ours} of them wirechat's; oldest writer {found.oldest_writer_seconds:.1f} s"
        )
    if report.nats_round_trip_ms is not None:
        console.print(f"NATS        answers in {report.nats_round_trip_ms:.1f} ms")
    for line in report.attention or ["nothing needs attention"]:
        console.print(f"[red]{line}[/red]" if report.attention else f"\n{line}", soft_wrap=True)


def _row(node: Standing, nodes: Sequence[Standing]) -> list[str]:
    about, age = node.about, last_word_ms(nodes, node.node)
    horizon = about.get("horizon_ms")
    return [
        name(node.node), str(about.get("version", "")), str(about.get("host", "")),
        "\n".join(map(str, about.get("addresses", ()))), str(about.get("users", "")),
        str(about.get("connections", "")), "" if age is None else f"{age / 1000:.1f}", f"{node.ahead_ms:+d}",
        "" if horizon is None else f"{horizon / 1000:.1f}",
    ]  # fmt: skip

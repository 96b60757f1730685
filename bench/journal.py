"""Entries through the journal into SQLite, by the size of the batch: from the request to the answer, nobody online.

What it costs more than the store's own append is the journal: queue, answers, encoding of the push, and for one and for
ten entries the wait until the next commit may begin (docs/design/commits.md), for different people write them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import trio

from bench.benchmark import BenchError, Benchmark, Row, Run
from bench.founding import Founding, Writers, sqlite
from bench.process import counted_syncs, scratch
from bench.store import BATCHES
from wirechat import wire
from wirechat.server.hub import Hub
from wirechat.server.journal import Journal, Submission
from wirechat.server.session import Session
from wirechat.store.records import Append, Appended

ROWS = {f"batch_{size}": f"{size:,} {'entry' if size == 1 else 'entries'} at a time" for size in BATCHES}


class _Asker:
    """A session, as far as the journal knows one."""

    def __init__(self) -> None:
        self.left = 0
        self.answered = trio.Event()
        self.refusals = 0

    def reply(self, message: wire.Message) -> None:
        message.encode()
        self.left -= 1
        if not self.left:
            self.answered.set()

    def refused(self, code: int) -> None:
        self.refusals += 1


def measure(run: Run) -> Iterator[Row]:
    """Each size."""
    found: list[Row] = []
    with scratch() as folder:
        trio.run(_measure, run, folder, found)
    yield from found


async def _measure(run: Run, folder: Path, found: list[Row]) -> None:
    async with sqlite(folder) as store, trio.open_nursery() as nursery:
        founding = Founding(store)
        writers = await Writers.found(founding, run.size(1_000, 50), run.size(100, 5))
        for batch in writers.batches(1_000, run.size(20_000, 500)):
            await founding.append(batch)
        journal, asker = Journal(store, Hub(), lambda: int(time.time() * 1000)), _Asker()
        nursery.start_soon(journal.run)
        for size in BATCHES:
            if run.wants(row := f"batch_{size}"):
                batches = writers.batches(size, run.size(BATCHES[size], size))
                cpu, wall = time.process_time(), time.perf_counter()
                await _submit(journal, asker, batches)
                cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
                entries = size * len(batches)
                found.append(Row(row, {"us_per_entry": 1e6 * cpu / entries, "us_wall": 1e6 * wall / entries}))
        if run.trace:
            await _traced(run, folder, writers, journal, asker, found)
        nursery.cancel_scope.cancel()


async def _traced(run: Run, folder: Path, writers: Writers, journal: Journal, asker: _Asker, found: list[Row]) -> None:
    for size in BATCHES:
        if run.wants(row := f"batch_{size}"):
            batches = writers.batches(size, size * 20)
            with counted_syncs(folder / f"trace-{size}") as count:
                await _submit(journal, asker, batches)
            found.append(Row(row, {"entries_per_fsync": size * len(batches) / count()}))


async def _submit(journal: Journal, asker: _Asker, batches: list[list[Append]]) -> None:
    content = wire.Content(1, "t" * 64)
    session = cast(Session, asker)
    for batch in batches:
        asker.left, asker.answered = len(batch), trio.Event()
        for append in batch:
            journal.submit(Submission(append, content, session, 700, _reply, lambda: None))
        journal.start()
        await asker.answered.wait()
    if asker.refusals:
        raise BenchError(f"{asker.refusals} entries were refused")


def _reply(rid: int, done: Appended) -> wire.Message:
    return wire.SendOk(rid, done.seq, done.ts, done.dup)


BENCHMARK = Benchmark("journal", "What does an entry cost on its way to disk?", ROWS, measure)

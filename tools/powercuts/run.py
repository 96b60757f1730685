"""One seed: life after life of one store on one disk, each ended by a power cut, each begun with an inspection."""

from __future__ import annotations

import re
import secrets
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import apsw
import trio

from tools.powercuts import acknowledged, worlds
from tools.powercuts.acknowledged import Book
from tools.powercuts.disk import Disk
from tools.powercuts.phases import labelled
from tools.powercuts.plan import Life, Plan, draw
from tools.powercuts.vfs import FileSystem, Machine, mounted
from tools.powercuts.work import Crowd
from tools.powercuts.worlds import Transaction, Worlds
from tools.simulate.chance import Chance
from tools.simulate.clock import JumpingClock, make_repeatable
from tools.simulate.lane import SimLane
from tools.simulate.run import Outcome, memory
from tools.simulate.sealed import describe
from tools.simulate.trace import Trace
from wirechat.cli.verify import checking
from wirechat.store import migrations, sqlite
from wirechat.store.database import open_sqlite
from wirechat.store.errors import OutcomeUnknown, StoreError, Unavailable
from wirechat.store.migrations import Migration
from wirechat.store.records import Commit
from wirechat.store.sqlite import SqliteStore
from wirechat.store.tx import Row, Tx

SABOTAGE = ("normal", "lies")
"""synchronous=NORMAL instead of FULL; a disk that does nothing when it is told to sync."""

DAMAGED = re.compile("^damaged|Damaged|not a database")
LANE_SECONDS = 0.001
INTEGRITY = "PRAGMA integrity_check(5)"

UPGRADE = """
    CREATE TABLE upgraded AS SELECT conv, seq, cid FROM entry;
    CREATE UNIQUE INDEX upgraded_place ON upgraded (conv, seq);
    UPDATE entry SET rev = rev;
    CREATE INDEX upgraded_ts ON entry (ts);
"""
"""A migration as they come: it copies a table, rewrites another and indexes it."""

Found = tuple[worlds.State, list[Row], list[str], int | None]
"""Every table, every entry, what `verify` says, rows that the migration made."""


class Lives:
    """The store and its judges through all lives of a seed."""

    def __init__(
        self,
        seed: int,
        plan: Plan,
        system: FileSystem,
        folder: Path,
        trace: Trace,
        sabotage: str | None,
        watch: Callable[[str], None] | None,
    ) -> None:
        self.broken: list[str] = []
        self._plan = plan
        self._system = system
        self._folder = folder
        self._trace = trace
        self._sabotage = sabotage
        self._watch = watch
        self._chance = Chance(seed)
        self._deeds = self._chance.stream("deeds")
        self._disk = Disk()
        self._migrations = migrations.migrations("sqlite")
        self._number = 0
        self.book = Book()
        self._worlds = Worlds()
        self._crowd = Crowd(plan.users, self.book, self._chance.stream("crowd"))
        self._again: deque[Transaction] = deque()
        """To be sent again, with the same cids, because nobody heard of it."""
        self._flight: list[Transaction] = []
        """In the order in which they were begun; not answered."""
        self._connections: list[apsw.Connection] = []
        self._guests: list[apsw.Connection] = []
        """Of the connections those of another process that reads, as a backup does."""
        self._landed = trio.Event()
        self._upgraded: int | None = None
        self._machine: Machine

    def phase(self) -> list[str]:
        """What the machine is doing now, and within what."""
        return self._machine.phase

    async def main(self) -> float:
        """Until something is broken. Returns the simulated seconds it took."""
        began = trio.current_time()
        for number in range(len(self._plan.lives)):
            await self._live(number)
            if self.broken:
                break
        self._worlds.close()
        return trio.current_time() - began

    async def _live(self, number: int) -> None:
        machine = self._machine = self._system.machine = Machine(
            self._disk,
            self._plan.lives[number],
            self._sabotage == "lies",
            self._chance.stream("machine"),
            self._trace,
            self._watch,
        )
        self._number = number
        self._trace.event("life", number + 1)
        await self._until_dark(number)
        self._disconnect()
        if not machine.dead:
            machine.cut("rest", "rest")
        self._trace.count("cuts")
        self._disk = machine.end()

    def migrations(self, engine: str) -> list[Migration]:
        """From some life on the program has one more than before."""
        more = Migration(len(self._migrations) + 1, "upgrade", UPGRADE)
        return [*self._migrations, more] if self._number >= self._plan.upgrade else self._migrations

    async def _until_dark(self, number: int) -> None:
        machine = self._machine
        try:
            with trio.CancelScope() as power:
                lanes: list[SimLane] = []

                def make_lane(name: str) -> SimLane:
                    lanes.append(SimLane(LANE_SECONDS, self._chance.stream(name), lambda: None))
                    return lanes[-1]

                def died() -> None:
                    for lane in lanes:
                        lane.cut_power(False)
                    power.cancel()

                machine.died = died
                await self._serve(make_lane, self._plan.lives[number])
        except Exception as error:  # noqa: BLE001  whatever it is, it is judged
            self._judge(error)

    def _judge(self, error: Exception) -> None:
        """Without power, or with a flawed disk, a store may fail in its own way; otherwise it does not fail."""
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        if self._machine.dead and isinstance(error, StoreError | apsw.Error):
            return
        if self._machine.flaws and isinstance(error, StoreError | apsw.IOError | apsw.FullError | apsw.CantOpenError):
            self._trace.count("lives ended by a flaw")
            return
        self._break(f"P1 the store fails: {describe(error)}".replace(f"{self._folder}/", ""))

    async def _serve(self, make_lane: Callable[[str], SimLane], life: Life) -> None:
        machine = self._machine
        machine.phase = ["open"]
        async with open_sqlite(self._folder, lane=make_lane, connect=self._connect, locked=False, copy=False) as store:
            machine.quiet = True
            await self._inspect(store)
            machine.quiet = False
            machine.cut_after(life.work_calls)
            machine.phase = ["work"]
            await self._found(store)
            for _ in range(life.steps):
                if self.broken or self._crowd.founding():
                    break
                await self._step(store)
            await self._land()
            with self._visiting("backup"):
                self._part_with_guests()
            machine.phase = ["close"]

    # connections

    def opened(self, db: apsw.Connection) -> None:
        """Remember each connection, so that none stays open when the power is gone."""
        if db.filename.startswith(str(self._folder)):
            self._connections.append(db)

    def _connect(self, path: str, *, write: bool) -> apsw.Connection:
        """The store's own way to connect, or a worse one."""
        db = sqlite.connect(path, write=write)
        if self._sabotage == "normal" and write:
            db.pragma("synchronous", "normal")
        return db

    def _disconnect(self) -> None:
        for db in self._connections:
            try:
                db.close(True)
            except apsw.Error:
                pass
        self._connections.clear()
        self._guests.clear()

    def _guest(self, write: bool) -> apsw.Connection:
        return self._connect(str(self._folder / sqlite.FILE), write=write)

    def _part_with_guests(self) -> None:
        while self._guests:
            self._guests.pop().close()

    # judging

    def _break(self, text: str | None) -> None:
        if text is not None:
            self._trace.event("BROKEN", text)
            self.broken.append(text)

    async def _inspect(self, store: SqliteStore) -> None:
        """After each opening: is it a state that may be, and is everything there that was acknowledged?"""
        tables, rows, problems, copied = await store.read(_examine)
        for text in (*problems, *self.book.check(rows)):
            self._break(text)
        if self._worlds.begun:
            self._break(self._worlds.find(tables, self._flight))
        elif rows:
            self._break(f"P2 entries in a store that was never open: {rows}")
        else:
            self._worlds.begin(tables)
            self._break(self._worlds.find(tables, ()))
        if copied is not None and self._upgraded is None:
            self._upgraded = copied
            self._trace.count("migrations of a store in use")
            if copied != len(rows):
                self._break(f"P1 the migration copied {copied} of {len(rows)} entries")
        self._trace.event("inspected", len(rows), "entries,", len(self._flight), "in doubt")
        self._trace.count("inspections")
        self._trace.count("cuts with something in doubt", bool(self._flight))
        self._again.extend(transaction for transaction in self._flight if transaction.batch)
        self._flight.clear()

    # working

    async def _found(self, store: SqliteStore) -> None:
        """Before anything else the accounts; in the next life if not in this one."""
        while not self.broken and (account := self._crowd.founding()) and await self._write(store, account):
            pass

    async def _step(self, store: SqliteStore) -> None:
        """One thing after the other, but appends do not wait for each other."""
        choice = self._deeds.random()
        if choice < 0.05:
            await self._look(store)
        elif choice < 0.09:
            self._checkpoint()
        elif choice < 0.13:
            self._backup()
        elif self._again and choice < 0.6:
            self._append(store, self._again.popleft())
        else:
            transaction = self._crowd.act()
            if transaction.batch:
                self._append(store, transaction)
            else:
                await self._write(store, transaction)
        if self._deeds.random() < 0.5:
            await self._land()

    def _append(self, store: SqliteStore, transaction: Transaction) -> None:
        batch, now_ms, known = transaction.args
        self._begin(transaction)
        store.start_append(batch, now_ms, known, lambda commit: self._told(transaction, commit))

    async def _write(self, store: SqliteStore, transaction: Transaction) -> bool:
        """Whether it was done."""
        self._begin(transaction)
        result: Any
        try:
            result = await store.write(transaction.feature, *transaction.args)
        except StoreError as error:
            result = error
        self._told(transaction, result)
        return _error(result) is None

    def _begin(self, transaction: Transaction) -> None:
        self._trace.event("begin", transaction)
        self._flight.append(transaction)
        self.book.asked(transaction.batch)

    def _told(self, transaction: Transaction, result: Any) -> None:
        """An answer. They come in the order of the transactions, or the store breaks its word."""
        error = _error(result)
        self._trace.event("answer", transaction, type(error).__name__ if error else "done")
        if self._flight.pop(0) is not transaction:
            self._break(f"P4 {transaction} is answered before one that was begun earlier")
        if error is None:
            self._trace.count("acknowledged transactions")
            self._break(self._worlds.answered(transaction, result))
            self._crowd.heard(transaction, result)
        elif isinstance(error, OutcomeUnknown):
            self._worlds.unknown(transaction)
        else:
            self._worlds.failed(transaction)
        if error is not None and transaction.batch:
            self._again.append(transaction)
        if error is not None:
            self._count_error(error)
        if isinstance(result, Commit):
            self.book.answered(transaction.batch, result.results)
            self.broken.extend(self.book.broken)
        if not self._flight:
            self._landed.set()

    def _count_error(self, error: StoreError) -> None:
        self._trace.count(f"answer {type(error).__name__}")
        if not self._machine.flaws:
            self._break(f"P12 a sound disk, and the store says {error!r}")

    async def _land(self) -> None:
        """Until everything is answered."""
        if self._flight:
            self._landed = trio.Event()
            await self._landed.wait()

    async def _look(self, store: SqliteStore) -> None:
        """P1 while it runs: a reader sees what was acknowledged."""
        await self._land()
        try:
            rows = await store.read(acknowledged.log)
        except Unavailable as error:
            self._count_error(error)
            return
        for text in self.book.check(rows):
            self._break(text)

    def _checkpoint(self) -> None:
        """As the command does beside a running server."""
        with self._visiting("checkpoint"):
            guest = self._guest(write=True)
            guest.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            guest.close()
            self._trace.count("checkpoints by a command")

    def _backup(self) -> None:
        """Hold a snapshot, so that no checkpoint gets beyond it; let go of the one before."""
        with self._visiting("backup"):
            if self._guests:
                self._part_with_guests()
                return
            self._guests.append(self._guest(write=False))
            self._guests[0].execute("BEGIN; SELECT value FROM stamp").fetchall()
            self._trace.count("snapshots held")

    @contextmanager
    def _visiting(self, phase: str) -> Iterator[None]:
        """What another process does, and may fail with on a disk that has flaws."""
        self._machine.phase.append(phase)
        try:
            yield
        except (apsw.Error, StoreError):
            if self._machine.dead or not self._machine.flaws:
                raise
        finally:
            self._machine.phase.pop()


def _error(result: Any) -> StoreError | None:
    """What went wrong with a whole transaction."""
    if isinstance(result, Commit):
        return next((each for each in result.results if isinstance(each, StoreError)), None)
    return result if isinstance(result, StoreError) else None


async def _examine(tx: Tx) -> Found:
    problems: list[str] = []
    await checking(lambda text: problems.append(f"damaged: {text}"))(tx)
    problems += [f"damaged: {text}" for (text,) in await tx.fetch(INTEGRITY) if text != "ok"]
    upgraded = await tx.fetchrow("SELECT 1 FROM sqlite_schema WHERE name = 'upgraded'")
    copied = None if upgraded is None else (await tx.fetch("SELECT count(*) FROM upgraded"))[0][0]
    return await worlds.state(tx), await acknowledged.log(tx), problems, copied


def run(seed: int, say: Callable[[str], None] | None = None, sabotage: str | None = None) -> Outcome:
    """All lives of one seed. `say` gets the story, line by line."""
    began = time.process_time()
    trace = Trace(say)
    chance = Chance(seed)
    plan = draw(chance.stream("plan"))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wirechat-powercuts-", dir=memory())))
        system = stack.enter_context(mounted(chance.stream("sqlite").randbytes))
        lives = Lives(seed, plan, system, folder, trace, sabotage, say)
        stack.enter_context(plan.tuned())
        stack.enter_context(mock.patch.object(migrations, "migrations", lives.migrations))
        stack.enter_context(labelled(lives.phase))
        stack.enter_context(mock.patch.object(secrets, "token_bytes", chance.stream("store").randbytes))
        stack.enter_context(mock.patch.object(apsw, "connection_hooks", [lives.opened]))
        make_repeatable(f"{seed}/scheduler")
        seconds = trio.run(lives.main, clock=JumpingClock())
    trace.count("acknowledged entries", len(lives.book.entries))
    trace.count("lost entries", sum(text.startswith(acknowledged.LOST) for text in lives.broken))
    trace.count("damaged files", any(DAMAGED.search(text) for text in lives.broken))
    cpu_seconds = time.process_time() - began
    return Outcome(seed, trace.hash(), seconds, lives.broken, dict(sorted(trace.counts.items())), cpu_seconds)

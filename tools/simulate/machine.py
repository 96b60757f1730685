"""The simulated server machine: the real server on the real SQLite store, through power cuts.

A power cut fences first and cancels then: the lanes stop, every connection is cut, and the database as it was
committed is copied to the next life. Whatever the dead process still does on its way out, it does to a disk that
nobody will read.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import trio

from tools.history.checker import History, Violation
from tools.simulate.clock import at
from tools.simulate.lane import SimLane
from tools.simulate.memory import MemoryDisk
from tools.simulate.network import Listener, Network
from tools.simulate.plan import Plan
from tools.simulate.sealed import describe
from tools.simulate.trace import Trace
from tools.simulate.truth import Truth
from wirechat.server import app
from wirechat.server.config import Config, Limits
from wirechat.store.database import open_sqlite
from wirechat.store.features import devices, meta
from wirechat.store.sqlite import SqliteTx, write
from wirechat.world import World

STARTING_SECONDS = 5.0
WRITER = "wirechat-writer"
"""The lane of the store that changes anything."""


def _nothing() -> None: ...


class ServerMachine:
    """Boots, serves, dies and boots again until it is cancelled."""

    name = "server"

    def __init__(
        self,
        plan: Plan,
        network: Network,
        world: World,
        disk: MemoryDisk,
        history: History,
        truth: Truth,
        trace: Trace,
        chance: Random,
        restored: Callable[[bytes, dict[int, int]], None],
    ) -> None:
        """`restored` is told the new epoch, and where the logs end, when it is about to come back with older data."""
        self._plan = plan
        self._network = network
        self._world = world
        self._disk = disk
        self._history = history
        self._truth = truth
        self._trace = trace
        self._chance = chance
        self._rate = plan.store_trouble
        self._overlap = plan.overlap
        self._copy: MemoryDisk | None = None
        self._restored = restored
        self.is_up = False
        """It serves; at the latest a moment later it did once."""
        self._old: list[MemoryDisk] = []
        self._lanes: list[SimLane] = []
        self._power: trio.CancelScope | None = None
        self._stop = trio.Event()

    async def run(self) -> None:
        """Live again and again."""
        while True:
            await self._live()
            await trio.sleep(self._chance.uniform(0.1, 3))

    async def _live(self) -> None:
        self._truth.open(self._disk.holder)
        self._stop = trio.Event()
        self._disk.trouble.rate = self._disk.trouble.full_until = 0.0
        self._disk.overlap.rate, self._disk.overlap.chance = self._overlap, self._chance
        with trio.CancelScope() as self._power:
            try:
                await self._serve()
            except Exception as error:  # noqa: BLE001  whatever it is, a server must not die of it
                self._history.violations.append(Violation("P10", "the server died", describe(error)))
        self._power = None
        self.is_up = False
        self._network.listener = None
        self._account_for(self._disk)
        self._lanes.clear()

    async def _serve(self) -> None:
        def lane(name: str) -> SimLane:
            ran = self._truth.look if name == WRITER else _nothing
            made = SimLane(self._plan.store_delay, self._chance, ran)
            self._lanes.append(made)
            return made

        async with open_sqlite("", lane=lane, connect=self._disk.connect, locked=False) as store:
            self._network.listener = Listener()
            self.is_up = True
            ail = at(trio.current_time() + STARTING_SECONDS, self._ail)
            config = Config(limits=Limits(inflight=self._plan.inflight))
            try:
                await app.serve(config, self._world, store, [self._network.listener], self._stop)
            finally:
                ail.off()

    def _ail(self) -> None:
        """The disk fails now and then, once the server is up."""
        self._disk.trouble.chance = self._chance
        self._disk.trouble.rate = self._rate

    def _account_for(self, disk: MemoryDisk) -> None:
        self._trace.count("commits out of order", disk.overlap.late)
        self._trace.count("commits without room", disk.trouble.refused)
        disk.overlap.late = disk.trouble.refused = 0

    def fill(self, seconds: float) -> bool:
        """The disk is full for so long. False while it is down: then there is nothing to write."""
        if self.is_up:
            self._disk.trouble.full_until = trio.current_time() + seconds
        return self.is_up

    def back_up(self) -> None:
        """Copy the data beside the running server."""
        if self._copy is not None:
            self._copy.close()
        self._copy = self._disk.copy()

    @property
    def has_copy(self) -> bool:
        """There is a backup."""
        return self._copy is not None

    def restore(self, forget_logins: bool) -> None:
        """A power cut, after which somebody puts the backup back, as `wirechat restore` does."""
        assert self._copy is not None
        self.crash()
        self._old.append(self._disk)
        self._disk, self._copy = self._copy, None
        tx = SqliteTx(self._disk.holder)
        epoch = write(self._disk.holder, meta.renew_epoch(tx, self._world.random_bytes))
        if forget_logins:
            write(self._disk.holder, devices.forget_resume(tx))
        heads: Any = self._disk.holder.execute("SELECT conv, head FROM conv")
        self._restored(epoch, dict(heads))

    def heal(self) -> None:
        """From now on the disk does what it should."""
        self._rate = self._overlap = self._disk.trouble.rate = self._disk.trouble.full_until = 0.0

    def crash(self) -> None:
        """A power cut."""
        if self._power is None:
            return
        lost = self._chance.random() < self._plan.commit_lost
        for lane in self._lanes:
            lane.cut_power(finish_one=lost)
        self._network.cut_all()
        self._truth.look()
        self._old.append(self._disk)
        self._account_for(self._disk)
        self._disk = self._disk.copy()
        self._power.cancel()
        self._power = None

    def restart(self) -> None:
        """A polite stop; the same data directory is opened again."""
        self._stop.set()

    def close(self) -> None:
        """Let go of every disk, when the run is over."""
        for disk in (*self._old, self._disk, *([self._copy] if self._copy else [])):
            disk.close()

"""The simulated server machine: the real server on the real SQLite store, through power cuts.

A power cut fences first and cancels then: the lanes stop, every connection is cut, and the database as it was
committed is copied to the next life. Whatever the dead process still does on its way out, it does to a disk that
nobody will read.
"""

from __future__ import annotations

from random import Random

import trio

from tools.history.checker import History, Violation
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
from wirechat.world import World

STARTING_SECONDS = 5.0


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
    ) -> None:
        self._plan = plan
        self._network = network
        self._world = world
        self._disk = disk
        self._history = history
        self._truth = truth
        self._trace = trace
        self._chance = chance
        self._rate = plan.store_trouble
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
        self._disk.trouble.rate = 0.0
        with trio.CancelScope() as self._power:
            try:
                async with trio.open_nursery() as hardware:
                    await self._serve(hardware)
                    hardware.cancel_scope.cancel()
            except Exception as error:  # noqa: BLE001  whatever it is, a server must not die of it
                self._history.violations.append(Violation("P10", "the server died", describe(error)))
        self._power = None
        self._network.listener = None
        self._lanes.clear()

    async def _serve(self, hardware: trio.Nursery) -> None:
        def lane(*_: object) -> SimLane:
            made = SimLane(hardware, self._plan.store_delay, self._chance, self._truth.look)
            self._lanes.append(made)
            return made

        async with open_sqlite("", lane=lane, connect=self._disk.connect, locked=False) as store:
            self._network.listener = Listener()
            hardware.start_soon(self._ail)
            config = Config(limits=Limits(inflight=self._plan.inflight))
            await app.serve(config, self._world, store, [self._network.listener], self._stop)

    async def _ail(self) -> None:
        """The disk fails now and then, once the server is up."""
        await trio.sleep(STARTING_SECONDS)
        self._disk.trouble.chance = self._chance
        self._disk.trouble.rate = self._rate

    def heal(self) -> None:
        """From now on the disk does what it should."""
        self._rate = self._disk.trouble.rate = 0.0

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
        self._disk = self._disk.copy()
        self._power.cancel()
        self._power = None

    def restart(self) -> None:
        """A polite stop; the same data directory is opened again."""
        self._stop.set()

    def close(self) -> None:
        """Let go of every disk, when the run is over."""
        for disk in (*self._old, self._disk):
            disk.close()

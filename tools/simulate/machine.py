"""A simulated server machine: the real server on the real SQLite store, through power cuts and pauses.

A power cut fences first and cancels then: the lanes stop, and every connection is cut. Whatever the dead process still
does on its way out, it does without a disk.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

import trio

from tools.history.checker import History, Violation
from tools.simulate.bus import Exchange, SimBus
from tools.simulate.clock import at
from tools.simulate.freezing import freeze, is_below, thaw
from tools.simulate.lane import SimLane
from tools.simulate.memory import MemoryDisk, Trouble
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
WRITER = "wirechat-writer"
"""The lane of the store that changes anything."""
NOTICED_SECONDS = 2.0
"""A database that nodes share notices so late, at most, that one of them is gone."""


def _nothing() -> None: ...


class ServerMachine:
    """Boots, serves, dies and boots again until it is cancelled."""

    def __init__(
        self,
        name: str,
        plan: Plan,
        network: Network,
        exchange: Exchange | None,
        world: World,
        disk: Callable[[], MemoryDisk],
        history: History,
        truth: Truth,
        trace: Trace,
        chance: Random,
    ) -> None:
        """`disk`: the one that holds the data now; other machines may use it too, and then there is an `exchange`."""
        self.name = name
        self._plan = plan
        self._network = network
        self._exchange = exchange
        self._world = world
        self._disk = disk
        self._history = history
        self._truth = truth
        self._trace = trace
        self._chance = chance
        self._rate = plan.store_trouble
        self._trouble = Trouble(chance=chance)
        self.is_up = False
        """It serves; at the latest a moment later it did once."""
        self.server: app.Server | None = None
        """The process that runs, or ran last."""
        self.awake_since = 0.0
        """It has not stood still since."""
        self.informed_since = 0.0
        """Nor has it been without its store, but for single transactions. Perhaps in the future."""
        self._lanes: list[SimLane] = []
        self._bus: SimBus | None = None
        self._task: trio.lowlevel.Task | None = None
        self._paused = False
        self._power: trio.CancelScope | None = None
        self._stop = trio.Event()

    async def run(self) -> None:
        """Live again and again."""
        self._task = trio.lowlevel.current_task()
        while True:
            await self._live()
            await trio.sleep(self._chance.uniform(0.1, 3))

    def runs(self, task: trio.lowlevel.Task) -> bool:
        """It is a task of this machine."""
        return is_below(task, self._task)

    async def _live(self) -> None:
        self._truth.open(self._disk().holder)
        self._stop = trio.Event()
        self._trouble.rate = self._trouble.away_until = 0.0
        self._disk().room.full_until = 0.0  # nobody starts on a full disk
        with trio.CancelScope() as self._power:
            try:
                await self._serve()
            except Exception as error:  # noqa: BLE001  whatever it is, a server must not die of it
                self._history.violations.append(Violation("P10", "the server died", describe(error)))
        self._power = None
        self.is_up = False
        self._network.close(self.name)
        self._lanes.clear()

    async def _serve(self) -> None:
        disk = self._disk()

        def lane(name: str) -> SimLane:
            writes = name == WRITER
            stamps = disk.overlap if writes and self._exchange is not None else None
            made = SimLane(self._plan.store_delay, self._chance, self._truth.look if writes else _nothing, stamps)
            self._lanes.append(made)
            return made

        connect = partial(disk.connect, trouble=self._trouble)
        async with open_sqlite("", lane=lane, connect=connect, locked=False) as store:
            listener = Listener()
            self._network.open(self.name, listener)
            self.is_up = True
            ail = at(trio.current_time() + STARTING_SECONDS, self._ail)
            config = Config(limits=Limits(inflight=self._plan.inflight))
            self._bus = None if self._exchange is None else self._exchange.join(self.name)
            self.server = app.Server(config, self._world, store, self._bus)
            try:
                await self.server.run([listener], self._stop)
            finally:
                ail.off()

    def _ail(self) -> None:
        """Its store fails now and then, once it is up."""
        self._trouble.rate = self._rate

    def heal(self) -> None:
        """From now on it lives undisturbed."""
        self.resume()
        self._rate = self._trouble.rate = self._trouble.away_until = 0.0

    def crash(self) -> None:
        """A power cut. While it is down, what it had sent is lost all the same."""
        if self._power is None:
            self._network.cut_all(self.name)
            return
        lost = self._chance.random() < self._plan.commit_lost
        after = 0.0 if self._exchange is None else self._chance.uniform(0, NOTICED_SECONDS)
        for lane in self._lanes:
            lane.cut_power(finish_one=lost, after=after)
        if self._bus is not None:
            self._bus.cut_power()
        self.resume()  # who is gone does not stand still
        self._network.cut_all(self.name)
        self._truth.look()
        self._power.cancel()
        self._power = None

    def restart(self) -> None:
        """A polite stop; then it starts again."""
        self._stop.set()

    def cut_off(self, seconds: float) -> bool:
        """Its store is out of reach for so long. False while it is down, or has just come up."""
        begun = self.is_up and self.server is not None and self.server.hub.horizon > 0  # its first question is answered
        if begun:
            self._trouble.away_until = self.informed_since = trio.current_time() + seconds
        return begun

    def pause(self, seconds: float) -> bool:
        """It gets no time for so long, and then goes on as if nothing had been. False when it is down or stands still
        already.
        """
        if not self.is_up or self._paused or self._power is None:
            return False
        assert self._task is not None
        self._paused = True
        freeze(self._task)
        for lane in self._lanes:
            lane.pause()
        at(trio.current_time() + seconds, self.resume)
        return True

    def resume(self) -> None:
        """It gets time again. Harmless when it has it."""
        if not self._paused:
            return
        assert self._task is not None
        self._paused = False
        self.awake_since = trio.current_time()
        self.informed_since = max(self.informed_since, self.awake_since)
        thaw(self._task)
        for lane in self._lanes:
            lane.resume()

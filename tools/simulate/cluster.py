"""The servers of one world: one or several nodes, the one database that they share, and the bus between them.

A database outlives its nodes: a crash of one takes nothing from it. Only a restored backup puts another in its place,
and for that all nodes are down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import trio

from tools.history.checker import History
from tools.simulate.bus import Exchange
from tools.simulate.chance import Chance
from tools.simulate.machine import ServerMachine
from tools.simulate.memory import MemoryDisk
from tools.simulate.network import Network
from tools.simulate.plan import Plan
from tools.simulate.trace import Trace
from tools.simulate.truth import Truth
from wirechat.server.session import Session
from wirechat.store.features import devices, meta
from wirechat.store.sqlite import SqliteTx, write
from wirechat.world import World


class Cluster:
    """All nodes. One alone is named "server" and has no bus."""

    def __init__(
        self,
        plan: Plan,
        network: Network,
        world: Callable[[str], World],
        disk: MemoryDisk,
        history: History,
        truth: Truth,
        trace: Trace,
        chance: Chance,
        restored: Callable[[bytes, dict[int, int]], None],
    ) -> None:
        """`world`: that of the process with this name. `restored` is told the new epoch, and where the logs end, when
        the servers are about to come back with older data.
        """
        self._truth = truth
        self._trace = trace
        self._chance = chance.stream("server")
        self._overlap = plan.overlap
        self._restored = restored
        self._random_bytes = world("server").random_bytes
        self._copy: MemoryDisk | None = None
        self._old: list[MemoryDisk] = []
        is_shared = plan.nodes > 1
        self._is_overlapping = is_shared or plan.overlap > 0
        self._adopt(disk)
        self.exchange = Exchange(plan.bus_loss, plan.bus_delay, chance.stream("bus"), trace)
        names = ["server", *(f"server{number}" for number in range(2, plan.nodes + 1))]
        self.nodes = [
            ServerMachine(
                name,
                plan,
                network,
                self.exchange if is_shared else None,
                world(name),
                lambda: self._disk,
                history,
                truth,
                trace,
                chance.stream(name),
            )
            for name in names
        ]

    def node(self, name: str) -> ServerMachine:
        """The one with this name."""
        return next(node for node in self.nodes if node.name == name)

    @property
    def up(self) -> list[ServerMachine]:
        """The nodes that serve."""
        return [node for node in self.nodes if node.is_up]

    def sessions(self) -> Iterator[tuple[str, Session]]:
        """(node, session) of everyone who is logged in."""
        for node in self.up:
            if node.server is not None:
                for session in node.server.hub.sessions():
                    yield node.name, session

    def node_of(self, task: trio.lowlevel.Task) -> ServerMachine | None:
        """The node that is up and has this task."""
        return next((node for node in self.up if node.runs(task)), None)

    def heal(self) -> None:
        """From now on everything does what it should."""
        self._overlap = self._disk.overlap.rate = self._disk.room.full_until = 0.0
        self.exchange.heal()
        for node in self.nodes:
            node.heal()

    # the database

    def _adopt(self, disk: MemoryDisk) -> None:
        self._disk = disk
        disk.overlap.matters = self._is_overlapping
        disk.overlap.rate, disk.overlap.chance = self._overlap, self._chance
        disk.overlap.highest = int(disk.holder.execute("SELECT value FROM stamp").get)

    def fill(self, seconds: float) -> bool:
        """The disk is full for so long. False while nobody is up: then there is nothing to write."""
        if self.up:
            self._disk.room.full_until = trio.current_time() + seconds
        return bool(self.up)

    def back_up(self) -> None:
        """Copy the data beside the running servers."""
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
        for node in self.nodes:
            node.crash()
        self.exchange.forget()
        self._account_for(self._disk)
        self._old.append(self._disk)
        self._adopt(self._copy)
        self._copy = None
        tx = SqliteTx(self._disk.holder)
        epoch = write(self._disk.holder, meta.renew_epoch(tx, self._random_bytes))
        if forget_logins:
            write(self._disk.holder, devices.forget_resume(tx))
        heads: Any = self._disk.holder.execute("SELECT conv, head FROM conv")
        self._restored(epoch, dict(heads))
        self._truth.open(self._disk.holder)  # what still reaches the old disk is nobody's business

    def _account_for(self, disk: MemoryDisk) -> None:
        self._trace.count("commits out of order", disk.overlap.late)
        self._trace.count("commits without room", disk.room.refused)

    def close(self) -> None:
        """Let go of every disk, when the run is over."""
        self._account_for(self._disk)
        for disk in (*self._old, self._disk, *([self._copy] if self._copy else [])):
            disk.close()

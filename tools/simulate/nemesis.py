"""What goes wrong, and when. Each kind of fault is a task with its own stream of chance, so that leaving one out
shifts no other."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

import trio

from tools.simulate.chance import Chance
from tools.simulate.network import Connection, Network
from tools.simulate.plan import Faults
from tools.simulate.trace import Trace

CLOCK_JUMP_MS_MAX = 3_600_000


class Machine(Protocol):
    """Something that can crash and comes back by itself."""

    name: str

    def crash(self) -> None:
        """End it now, as a power cut would. Harmless while it is down."""


class Client(Machine, Protocol):
    """A device."""

    def reinstall(self) -> None:
        """Crash, and lose everything that was stored."""


class Node(Machine, Protocol):
    """A server's machine."""

    def restart(self) -> None:
        """Stop politely and start again."""

    def pause(self, seconds: float) -> bool:
        """It gets no time for so long. False while it is down, or gets none already."""

    def cut_off(self, seconds: float) -> bool:
        """Its store is out of reach for so long. False while it is down, or has just come up."""


class Exchange(Protocol):
    """The bus between the nodes."""

    def leave(self, seconds: float) -> None:
        """Be away for so long."""

    def split(self, one: str, other: str, seconds: float) -> None:
        """These two nodes do not reach each other for so long."""


class Servers(Protocol):
    """The servers' machines and what they share."""

    @property
    def nodes(self) -> Sequence[Node]:
        """Each of them."""

    @property
    def exchange(self) -> Exchange:
        """What is between them."""

    def fill(self, seconds: float) -> bool:
        """The disk is full for so long. False while all are down."""

    @property
    def has_copy(self) -> bool:
        """There is a backup."""

    def back_up(self) -> None:
        """Make one."""

    def restore(self, forget_logins: bool) -> None:
        """Put it back in the place of what there is."""

    def heal(self) -> None:
        """Everything works again."""


class Nemesis:
    """Breaks things until it is healed."""

    def __init__(
        self,
        faults: Faults,
        network: Network,
        servers: Servers,
        clients: list[Client],
        skew: Callable[[int], None],
        chance: Chance,
        trace: Trace,
    ) -> None:
        self._faults = faults
        self._network = network
        self._servers = servers
        self._clients = clients
        self._skew = skew
        self._chance = chance
        self._trace = trace

    async def rage(self) -> None:
        """Break things, each kind at its own rate, until cancelled."""
        kinds: dict[str, Callable[[Random], str | None]] = {
            "cut": self._cut,
            "half_open": self._half_open,
            "straggler": self._straggle,
            "slow_reader": self._slow_reader,
            "server_crash": self._crash_server,
            "server_restart": self._restart_server,
            "full_disk": self._fill_disk,
            "restored_backup": self._restore,
            "client_crash": self._crash_client,
            "reinstall": self._reinstall,
            "clock_jump": self._jump,
            "node_pause": self._pause,
            "store_cut": self._cut_store,
            "bus_away": self._lose_bus,
            "bus_split": self._split_bus,
        }
        async with trio.open_nursery() as nursery:
            for kind, strike in kinds.items():
                mean = getattr(self._faults, kind)
                if not math.isinf(mean):
                    nursery.start_soon(self._strike, kind, mean, strike)

    async def _strike(self, kind: str, mean: float, strike: Callable[[Random], str | None]) -> None:
        chance = self._chance.stream(f"fault {kind}")
        while True:
            await trio.sleep(chance.expovariate(1 / mean))
            victim = strike(chance)
            if victim is not None:
                self._trace.event("fault", kind, victim)
                self._trace.count(f"fault {kind}")

    def heal(self) -> None:
        """Undo what does not end by itself. Half-open connections stay: the two ends must find out alone."""
        self._network.calm = True
        for connection in self._network.alive():
            connection.pace = 0.0
        self._servers.heal()
        self._skew(0)

    def _connection(self, chance: Random) -> Connection | None:
        alive = self._network.alive()
        return chance.choice(alive) if alive else None

    def _cut(self, chance: Random) -> str | None:
        connection = self._connection(chance)
        if connection is None:
            return None
        connection.cut()
        return str(connection)

    def _half_open(self, chance: Random) -> str | None:
        connection = self._connection(chance)
        if connection is None:
            return None
        for pipe in chance.choice([(connection.up,), (connection.down,), (connection.up, connection.down)]):
            pipe.hole = True
        return str(connection)

    def _straggle(self, chance: Random) -> str | None:
        """One that has something under way, if there is one: it is the one whose entry is sent again meanwhile."""
        alive = [connection for connection in self._network.alive() if connection.up.laden]
        if not alive:
            return None
        connection, seconds = chance.choice(alive), chance.choice([0.5, 5.0, 30.0])
        connection.straggle(seconds)
        return f"{connection} {seconds} s"

    def _slow_reader(self, chance: Random) -> str | None:
        connection = self._connection(chance)
        if connection is None:
            return None
        connection.pace = chance.choice([0.0, 0.2, 2.0])
        return f"{connection} {connection.pace}"

    def _node(self, chance: Random) -> Node:
        nodes = self._servers.nodes
        return nodes[0] if len(nodes) == 1 else chance.choice(nodes)

    def _crash_server(self, chance: Random) -> str:
        node = self._node(chance)
        node.crash()
        return node.name

    def _restart_server(self, chance: Random) -> str:
        node = self._node(chance)
        node.restart()
        return node.name

    def _pause(self, chance: Random) -> str | None:
        node, seconds = self._node(chance), chance.choice([0.5, 2.0, 8.0])
        return f"{node.name} for {seconds} s" if node.pause(seconds) else None

    def _cut_store(self, chance: Random) -> str | None:
        node, seconds = self._node(chance), chance.choice([0.5, 3.0, 10.0])
        return f"{node.name} for {seconds} s" if node.cut_off(seconds) else None

    def _lose_bus(self, chance: Random) -> str:
        seconds = chance.choice([1.0, 5.0, 20.0])
        self._servers.exchange.leave(seconds)
        return f"for {seconds} s"

    def _split_bus(self, chance: Random) -> str:
        one, other = chance.sample([node.name for node in self._servers.nodes], 2)
        seconds = chance.choice([1.0, 5.0, 20.0])
        self._servers.exchange.split(one, other, seconds)
        return f"{one} and {other} for {seconds} s"

    def _fill_disk(self, chance: Random) -> str | None:
        seconds = chance.choice([0.2, 2.0, 10.0])
        return f"for {seconds} s" if self._servers.fill(seconds) else None

    def _restore(self, chance: Random) -> str | None:
        """Each time the backup that was made the time before."""
        if not self._servers.has_copy:
            self._servers.back_up()
            return None
        self._servers.restore(forget_logins=chance.random() < 0.3)
        return ", ".join(node.name for node in self._servers.nodes)

    def _crash_client(self, chance: Random) -> str:
        client = chance.choice(self._clients)
        client.crash()
        return client.name

    def _reinstall(self, chance: Random) -> str:
        client = chance.choice(self._clients)
        client.reinstall()
        return client.name

    def _jump(self, chance: Random) -> str:
        ms = chance.randint(-CLOCK_JUMP_MS_MAX, CLOCK_JUMP_MS_MAX)
        self._skew(ms)
        return f"{ms} ms"

"""The bus between simulated nodes: it loses, repeats, reorders and delays what it carries, is away, and splits."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from random import Random

import trio

from tools.simulate.clock import at
from tools.simulate.trace import Trace

REPEATED = 0.2
"""Share of the messages that come twice."""


class SimBus:
    """One process at the bus. See `wirechat.bus.base.Bus`."""

    def __init__(self, name: str, node: int, exchange: Exchange) -> None:
        self.name = name
        self.node = node
        self._exchange = exchange
        self._hand: trio.MemorySendChannel[bytes] | None = None
        self._dead = False

    @property
    def trouble(self) -> str | None:
        """See `Bus`."""
        return "simulated: the bus is away" if self._exchange.is_away else None

    def send(self, node: int | None, data: bytes) -> None:
        """See `Bus`."""
        if not self._dead:
            self._exchange.carry(self, node, data)

    def cut_power(self) -> None:
        """Nothing comes from it any more, not even a goodbye."""
        self._dead = True

    async def run(self, receive: Callable[[bytes], None]) -> None:
        """See `Bus`."""
        self._hand, coming = trio.open_memory_channel[bytes](math.inf)
        try:
            async for data in coming:
                receive(data)
        finally:
            self._hand = None

    def arrive(self, data: bytes) -> None:
        """A message is here. One for a process that does not listen is lost."""
        if self._hand is not None:
            self._hand.send_nowait(data)


class Exchange:
    """What is between the nodes."""

    def __init__(self, loss: float, delay: float, chance: Random, trace: Trace) -> None:
        """`loss`: share of the messages that never come; `delay`: mean seconds until one comes."""
        self._loss = loss
        self._delay = delay
        self._chance = chance
        self._trace = trace
        self._members: dict[str, SimBus] = {}
        self._age = 0
        self._away_until = 0.0
        self._apart: dict[frozenset[str], float] = {}

    def join(self, name: str) -> SimBus:
        """A process of this machine begins; the one before it hears nothing any more."""
        self._members[name] = SimBus(name, self._chance.getrandbits(52), self)
        return self._members[name]

    def carry(self, sender: SimBus, node: int | None, data: bytes) -> None:
        """From one to another, or to all others."""
        for name, member in self._members.items():
            if member is not sender and node in (None, member.node):
                self._trace.count("hints sent")
                self._trace.traffic(f"{sender.name} hints {name}", data, data.hex)
                if self._reaches(sender.name, name):
                    self._bring(member, data)

    def _reaches(self, sender: str, name: str) -> bool:
        is_apart = trio.current_time() < self._apart.get(frozenset((sender, name)), 0.0)
        return not self.is_away and not is_apart and self._chance.random() >= self._loss

    def _bring(self, member: SimBus, data: bytes) -> None:
        for _ in range(2 if self._chance.random() < REPEATED else 1):
            when = trio.current_time() + self._chance.expovariate(1 / self._delay)
            at(when, partial(self._arrive, self._age, member, data))

    def _arrive(self, age: int, member: SimBus, data: bytes) -> None:
        if age == self._age:
            self._trace.count("hints brought")
            member.arrive(data)

    # faults

    @property
    def is_away(self) -> bool:
        """Nothing gets through."""
        return trio.current_time() < self._away_until

    def leave(self, seconds: float) -> None:
        """Be away for so long."""
        self._away_until = trio.current_time() + seconds

    def split(self, one: str, other: str, seconds: float) -> None:
        """These two do not reach each other for so long."""
        self._apart[frozenset((one, other))] = trio.current_time() + seconds

    def forget(self) -> None:
        """Everything stops for longer than any hint is under way."""
        self._age += 1

    def heal(self) -> None:
        """From now on it loses only what it always loses."""
        self._away_until = 0.0
        self._apart.clear()

"""What a rival is: how it is started, who sits at it, and what it guarantees."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import attrs

from bench.rivals.loop import Flow
from bench.rivals.seats import Guest, Seat, enter
from bench.rivals.server import Server
from tools.loadgen.targets.dialect import Dialect, Person


@attrs.frozen
class Guarantee:
    """What its users can rely on, in this configuration."""

    acknowledged: str
    """What has happened when the sender is told."""
    delivery: str
    duplicates: str
    order: str
    offline: str


class Rival(ABC):
    """A kind of server."""

    name: str
    store: str
    """In a few words."""
    guarantee: Guarantee | None = None
    install: str = ""
    """How one gets it."""
    forgets_nobody = False
    """Whoever has left still has his place, so that the next ones need a new server."""
    kinds: tuple[str, ...] = ("pairs", "group", "idle")
    """Of cells, that it can do."""
    transports: tuple[str, ...] = ("tcp", "tls")
    """Over which people can be idle at it."""

    @abstractmethod
    def version(self) -> str | None:
        """None where it is not installed."""

    @abstractmethod
    def serve(self, scratch: Path, transport: str = "tcp") -> AbstractContextManager[Server]:
        """Start it with an empty store in this directory. Raises BenchError."""

    @abstractmethod
    def pairs(self, server: Server, count: int) -> list[Flow]:
        """So many pairs, one of each speaks."""

    @abstractmethod
    def group(self, server: Server, size: int) -> list[Flow]:
        """A group, one of whom speaks."""

    @abstractmethod
    def idle(self, server: Server, first: int, count: int) -> Sequence[Seat]:
        """People who are logged in and can be reached, and say nothing; of the numbers from `first` on."""


class Foreign(Rival):
    """One of the others."""

    dialect: type[Dialect]

    def __init__(self) -> None:
        self._visits = itertools.count(1)
        """Nobody comes twice: he would be sent what he had not acknowledged when he left."""

    def _guest(
        self, server: Server, number: int, name: str, groups: tuple[str, ...], inbox: bool
    ) -> Callable[[], Guest]:
        person = Person(name, groups=groups, inbox=inbox)
        return lambda: Guest(server.connect(), self.dialect(person, "localhost"), number)

    def pairs(self, server: Server, count: int) -> list[Flow]:
        visit = next(self._visits)
        guests = enter([self._guest(server, number, f"p{visit}-{number}", (), True) for number in range(2 * count)])
        flows = []
        for number in range(0, 2 * count, 2):
            guests[number].speaks_to(f"p{visit}-{number + 1}", False)
            flows.append(Flow(guests[number], [guests[number + 1]]))
        return flows

    def group(self, server: Server, size: int) -> list[Flow]:
        name = f"g{next(self._visits)}"
        make = [self._guest(server, number, f"{name}-{number}", (name,), False) for number in range(size)]
        first, *others = [*enter(make[:1]), *enter(make[1:])]  # some servers let the first one make the group
        first.speaks_to(name, True)
        return [Flow(first, others)]

    def idle(self, server: Server, first: int, count: int) -> Sequence[Seat]:
        return enter([self._guest(server, number, f"i{number}", (), True) for number in range(first, first + count)])


def first_line(*command: str) -> str | None:
    """Of what a program says; None when it is not there."""
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0] if lines else ""

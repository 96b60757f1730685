"""Everything in place for one fault: a server, accounts, conversations, crowds of clients, and a way between them."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import attrs
import trio

from tools.cluster.server import ROOT, Server
from tools.faults.crowd import Member
from tools.faults.judge import Case, Log, lacking
from tools.faults.roll import Crowd
from tools.replay.people import Person, Registrar
from tools.replay.pulse import Pulse

LOOK_SECONDS = 0.05
REGISTER_SECONDS = 30.0
SCHEMES = ("wirechat", "ws")
"""The first crowd comes over TCP, the second over WebSocket."""


DATA = "data"
"""The server's directory, in the folder of its stage."""


class NotConverged(Exception):
    """Somebody still lacks something; one line."""


@attrs.frozen
class Options:
    """How hard. `seconds`: of load before, and of a fault that lasts; `tree`: the source of the server."""

    seconds: float = 6.0
    seed: int = 1
    people: int = 8
    pause: float = 0.15
    """Mean seconds between two deeds of one device."""
    crowd: int = 2000
    """Connections of a storm."""
    readers: int = 200
    """Those who never read."""
    patience: float = 60.0
    """Seconds after which a device that lacks something, although everything is well again, will lack it for ever."""
    tree: Path = ROOT


@attrs.define
class Stage:
    """One fault's world. `told`: what the fault has to say for itself, name to value."""

    folder: Path
    options: Options
    nursery: trio.Nursery
    tell: Callable[[str], None] = lambda phase: None
    environment: Mapping[str, str] = attrs.Factory(dict)
    """Of the server."""
    server: Server = attrs.field(init=False)
    told: dict[str, Any] = attrs.Factory(dict)
    crowds: list[Crowd] = attrs.Factory(list)
    members: list[Member] = attrs.Factory(list)
    others: list[Crowd] = attrs.Factory(list)
    """Processes that a fault has added; they end with the stage."""
    also: list[Callable[[], Awaitable[None]]] = attrs.Factory(list)
    """What else has to come true for everybody to have everything."""
    everybody: int = 0
    """The conversation that all are in."""
    earlier: list[Case] = attrs.Factory(list)
    """What is judged beside the end: a world that a restore has replaced."""
    case: Case = attrs.field(init=False)
    """What is judged in the end."""
    chance: Random = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        data, log = self.folder / DATA, self.folder / "server.log"
        self.server = Server(("--data", str(data)), log, self.environment, self.options.tree)
        self.case = Case(data, self.members, [])
        self.chance = Random(f"{self.options.seed}/fault")

    async def prepare(self, urls: Callable[[], Any]) -> None:
        """Start the server and the crowds. `urls`: gives where the crowds connect, by scheme, once the server runs."""
        self.tell("starting")
        await self.begin()
        people = await self.register(self.options.people)
        self.members += [self.member(person) for person in people]
        route: Mapping[str, str] = await urls()
        for number, scheme in enumerate(SCHEMES):
            members = self.members[number :: len(SCHEMES)]
            crowd = Crowd(scheme, self.folder, route[scheme], members, self.options.seed)
            self.crowds.append(crowd)
            self.case.notebooks.append(crowd.notebook)
            await crowd.start(self.nursery)
        for crowd in self.crowds:
            await crowd.hear("ready")
        await self._converse([member.user for member in self.members])

    async def begin(self) -> None:
        """Start the server. Raises ServerFailed."""
        await self.server.start()

    async def look(self) -> None:
        """Have in the directory of the case what is stored now."""

    async def end(self) -> None:
        """Let the server end in order. Raises ServerFailed."""
        await self.server.terminate()

    @property
    def resident_bytes(self) -> int:
        """Memory of the server that is in RAM."""
        return self.server.resident_bytes

    def last_words(self) -> str:
        """What the server has said last."""
        return self.server.last_words()

    async def register(self, count: int) -> list[Person]:
        """So many new accounts, each with a device."""
        registrar = Registrar([self.server.urls["wirechat"]], f"f{os.urandom(5).hex()}", None, Pulse(REGISTER_SECONDS))
        return await registrar.register([f"person {number}" for number in range(count)])

    async def _converse(self, users: list[int]) -> None:
        """One group of all, two of about half, and a direct conversation."""
        self.everybody = await self.make("group", title="everybody", users=users[1:])
        await self.make("group", title="some", users=users[2::2])
        await self.make("group", title="others", users=users[1::2])
        await self.make("direct", user=users[1])

    async def make(self, what: str, **how: Any) -> int:
        """A conversation, made by the first of all members; its id."""
        await self.crowds[0].tell(do=what, **how)
        return int((await self.crowds[0].hear("made"))["conv"])

    def member(self, person: Person) -> Member:
        """A person as a crowd wants him."""
        cache = str(self.folder / f"{person.device}.cache")
        return Member(person.handle, person.user, person.device, person.key.hex(), cache)

    async def busy(self, seconds: float = 0.0) -> None:
        """From now on everybody acts; return after so long."""
        for crowd in self.crowds:
            await crowd.tell(do="load", pause=self.options.pause)
        await trio.sleep(seconds)

    async def talk(self, conv: int, text: str) -> int:
        """The first of all members says something; its seq once the server has it. Raises CrowdFailed."""
        await self.crowds[0].tell(do="say", conv=conv, text=f"{os.urandom(6).hex()} {text}")
        return int((await self.crowds[0].hear("said", self.options.patience))["seq"])

    async def probe(self) -> int:
        """A message to everybody."""
        return await self.talk(self.everybody, "probe")

    async def converge(self) -> float:
        """Begin nothing new, let one message go through, and wait until every device has everything.

        Returns the seconds that took. Raises NotConverged, CrowdFailed.
        """
        began, patience = time.monotonic(), self.options.patience
        for crowd in self.crowds:
            await crowd.tell(do="rest")
        await self.probe()
        for crowd in self.crowds:
            await crowd.hear("resting", patience)
        for wait in self.also:
            await wait()
        await self.look()
        log = Log(self.case.data)
        try:
            while lack := await self._lack(log):
                if time.monotonic() - began > patience:
                    raise NotConverged(f"{len(lack)} things are missing after {patience:g} s, such as {lack[0]}")
                await trio.sleep(LOOK_SECONDS)
        finally:
            log.close()
        return time.monotonic() - began

    async def _lack(self, log: Log) -> list[str]:
        await self.look()
        return await trio.to_thread.run_sync(lacking, log, self.members)

    async def part(self) -> None:
        """Everybody leaves."""
        for crowd in (*self.crowds, *self.others):
            await crowd.stop()

    async def clear(self) -> None:
        """Nothing runs any more, whatever happened."""
        with trio.CancelScope(shield=True):
            for crowd in (*self.crowds, *self.others):
                await crowd.kill()
            await self.server.kill()

    async def close(self) -> None:
        """What was judged is needed no more."""

"""`python -m tools.faults.crowd SPEC`: a process of real clients, each with its file, that stay through every fault.

It is told what to do by lines of JSON on standard input and answers by lines of JSON on standard output.

    {"do": "load", "pause": 0.2}                    everybody acts about that often, in seconds
    {"do": "rest"}                                  nothing new is begun -> {"event": "resting"} when all is done
    {"do": "group", "title": "some", "users": [7]}  by the first device -> {"event": "made", "conv": 5}
    {"do": "direct", "user": 7}                     the same
    {"do": "say", "conv": 5, "text": "hello"}       by the first device -> {"event": "said", "seq": 7}
    {"do": "stop"}                                  leave politely -> {"event": "stopped"}

{"event": "ready"} comes when everybody has logged in and has what there is.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from random import Random
from typing import Any

import attrs
import trio

from tools.faults.deeds import Person
from tools.faults.notebook import Notebook, What
from tools.faults.orders import orders, say
from tools.replay.actor import EAGER
from tools.simulate.file import DeviceFile
from tools.simulate.wording import Frames
from wirechat import wire
from wirechat.client import Client, ClientError, Disconnected, MessageAdded, Refused, Resynced, open_client
from wirechat.client.errors import cause
from wirechat.client.transport import Network, Transport

AT_ONCE = 4
"""Deeds of one device that may wait for the server."""
LOOK_SECONDS = 0.02
EVENTS_MAX = 100_000
JUMP_ENTRIES = 1_000_000
"""Nobody jumps: whoever comes back must fetch everything."""


@attrs.frozen
class Member:
    """A device of the crowd. `key` and `cache` as the client wants them."""

    handle: str
    user: int
    device: int
    key: str
    cache: str


@attrs.frozen
class Spec:
    """What a crowd is. `notebook`: path; `life`: so that a crowd that begins again does something else."""

    url: str
    notebook: str
    members: list[Member]
    seed: int
    life: int = 0

    def text(self) -> str:
        return json.dumps(attrs.asdict(self))

    @classmethod
    def parse(cls, text: str) -> Spec:
        fields = json.loads(text)
        return cls(**{**fields, "members": [Member(**each) for each in fields["members"]]})


@attrs.define
class Tap:
    """A transport that writes down what it carries."""

    inner: Transport
    device: _Device
    line: int
    _up: Frames = attrs.Factory(Frames)
    _down: Frames = attrs.Factory(Frames)

    @property
    def certificate_digest(self) -> bytes | None:
        return self.inner.certificate_digest

    async def send(self, data: bytes) -> None:
        for body in self._up.feed(data):
            if body[1] == wire.Ack.CODE:
                self.device.note(self.line, What.HELD, self.device.held())
            self.device.note(self.line, What.SENT, body)
        await self.inner.send(data)

    async def recv(self) -> bytes:
        data = await self.inner.recv()
        for body in self._down.feed(data):
            self.device.note(self.line, What.RECEIVED, body)
        return data

    async def aclose(self) -> None:
        await self.inner.aclose()

    def abort(self) -> None:
        self.inner.abort()


class _Device:
    """One client, from its start to the end of the process."""

    def __init__(self, member: Member, spec: Spec, book: Notebook, nursery: trio.Nursery) -> None:
        self.client: Client | None = None
        self.ready = trio.Event()
        self.deeds = 0
        """Those that wait for the server."""
        self._member = member
        self._spec = spec
        self._book = book
        self._network = Network(nursery)
        self._file: DeviceFile | None = None
        self._chance = Random(f"{spec.seed}/{spec.life}/{member.device}")
        self._person = Person(self._chance)

    def note(self, line: int, what: What, body: Any = None) -> None:
        """Write something down about this device."""
        self._book.note(self._member.device, line, what, body)

    def held(self) -> list[tuple[int, int, int]]:
        """[conv, low, pos] as they are on its disk."""
        if self._file is None:
            self._file = DeviceFile(Path(self._member.cache))
        return [(conv, each.low, each.pos) for conv, each in self._file.positions().items()]

    async def live(self, load: Load) -> None:
        """Stay connected, act while there is load. A client that gives up is written down."""
        member = self._member
        try:
            async with (
                open_client(
                    self._spec.url,
                    handle=member.handle,
                    device_key=bytes.fromhex(member.key),
                    device=member.device,
                    cache=member.cache,
                    world=EAGER,
                    connect=self._connect,
                    jump_entries=JUMP_ENTRIES,
                ) as client,
                trio.open_nursery() as nursery,
            ):
                self.client = client
                nursery.start_soon(self._watch, client)
                nursery.start_soon(self._settle, client)
                await self._act(client, load, nursery)
        except* ClientError as group:
            self.note(0, What.GAVE_UP, str(cause(group)))

    async def _connect(self, url: str) -> Tap:
        inner = await self._network.connect(url)
        return Tap(inner, self, self._book.line(self._member.device))

    async def _watch(self, client: Client) -> None:
        async for event in client.events(EVENTS_MAX):
            if isinstance(event, MessageAdded):
                self.note(self._spec.life, What.SHOWN, (event.conv, event.record.seq))
            elif isinstance(event, Resynced):
                self.note(self._spec.life, What.RESYNCED)
            elif isinstance(event, Disconnected):
                self.note(0, What.LOST, str(event.error))

    async def _settle(self, client: Client) -> None:
        await client.synced()
        self.ready.set()

    async def _act(self, client: Client, load: Load, nursery: trio.Nursery) -> None:
        while True:
            await trio.sleep(self._chance.expovariate(1 / await load.pause()))
            if load.on and self.deeds < AT_ONCE:
                self.deeds += 1
                nursery.start_soon(self._deed, client)

    async def _deed(self, client: Client) -> None:
        """What is refused is no fault: a message may be deleted before it is edited."""
        try:
            await self._person.act(client)
        except Refused:
            pass
        finally:
            self.deeds -= 1


class Load:
    """How busy everybody is."""

    def __init__(self) -> None:
        self._pause: float | None = None
        self._changed = trio.Event()

    def set(self, pause: float | None) -> None:
        """Mean seconds between two deeds of one device; None: rest."""
        self._pause = pause
        self._changed.set()
        self._changed = trio.Event()

    @property
    def on(self) -> bool:
        """There is load."""
        return self._pause is not None

    async def pause(self) -> float:
        """The pause now, once there is load."""
        while self._pause is None:
            await self._changed.wait()
        return self._pause


async def run(spec: Spec) -> None:
    """The whole life of the process."""
    book, load = Notebook(Path(spec.notebook), spec.life), Load()
    async with trio.open_nursery() as wires, trio.open_nursery() as nursery:
        devices = [_Device(member, spec, book, wires) for member in spec.members]
        for device in devices:
            nursery.start_soon(device.live, load)
        nursery.start_soon(_tell_when_ready, devices)
        async for order in orders():
            if order["do"] in ("load", "rest"):
                load.set(order.get("pause"))
            nursery.start_soon(_carry_out, order, devices)
        nursery.cancel_scope.cancel()
        wires.cancel_scope.cancel()
    book.close()
    say("stopped")


async def _tell_when_ready(devices: list[_Device]) -> None:
    for device in devices:
        await device.ready.wait()
    say("ready")


async def _carry_out(order: dict[str, Any], devices: list[_Device]) -> None:
    client = devices[0].client
    assert client is not None
    match order["do"]:
        case "rest":
            while any(device.deeds for device in devices):  # noqa: ASYNC110  a few times in a run
                await trio.sleep(LOOK_SECONDS)
            say("resting")
        case "group":
            say("made", conv=await client.conversations.create_group(order["title"], order["users"]))
        case "direct":
            say("made", conv=await client.conversations.direct(order["user"]))
        case "say":
            say("said", seq=(await client.messages.send(order["conv"], order["text"])).seq)


if __name__ == "__main__":
    trio.run(run, Spec.parse(Path(sys.argv[1]).read_text()))

"""`python -m tools.faults.light SPEC`: many small clients in one process, for storms and for those who never read.

They keep no records, only how far they have every entry of a conversation without a hole; a hole is fetched. Nothing
before their first login concerns them. Orders and answers are lines of JSON, as those of a crowd:

    {"do": "cut"}                          all connections are reset at once, and everybody comes back at once
    {"do": "deafen"} / {"do": "listen"}    nobody reads any more / everybody reads again
    {"do": "reach", "heads": {"5": 12}}    -> {"event": "reached"} when everybody is in and has that much
    {"do": "count"}                        -> {"event": "counted", "connections": 2000}, since the start
    {"do": "stop"}                         -> {"event": "stopped"}

{"event": "ready"} comes when everybody has logged in.
"""

from __future__ import annotations

import random
import socket
import sys
from pathlib import Path

import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tools.faults.crowd import Member, Spec
from tools.faults.orders import orders, say
from tools.faults.proxy import reset
from wirechat import wire
from wirechat.wire.registries import AuthMethod

WINDOW = 1024
ACK_EVERY = 16
PAGE = 200
RECEIVE_BYTES = 65536
BUFFER_BYTES = 8192
"""Of the kernel, for what arrives: little, so that those who do not read are noticed."""
AGAIN_SECONDS = 1.0
"""At most between two attempts to connect."""
AT_ONCE = 100
"""First logins under way."""
LOOK_SECONDS = 0.05


class Light:
    """One device: a connection and its positions."""

    connections = 0

    def __init__(self, member: Member, url: str, hearing: Gate) -> None:
        self.in_sync = False
        """Logged in, and told of everything there is."""
        self._member = member
        self._key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(member.key))
        self._url = url
        self._hearing = hearing
        self._token: bytes | None = None
        self._at: dict[int, int] = {}
        self._want: dict[int, int] = {}
        self._stream: trio.SocketStream | None = None
        self._begin(wire.Connection(wire.CLIENT))

    def _begin(self, connection: wire.Connection) -> None:
        self._connection = connection
        self._out: list[bytes] = []
        self._rid = self._pushes = self._acked = 0
        self._got_in = False
        self._fetching: set[int] = set()
        self._asked: dict[int, int] = {}

    def has(self, heads: dict[int, int]) -> bool:
        """It is in sync and has that much of each conversation that it is in."""
        return self.in_sync and all(self._at[conv] >= head for conv, head in heads.items() if conv in self._at)

    def cut(self) -> None:
        """Its connection is reset."""
        self.in_sync = False
        if self._stream is not None:
            reset(self._stream)

    async def live(self, room: trio.CapacityLimiter) -> None:
        """Connect, stay, and come back, for ever."""
        while True:
            try:
                async with room:
                    await self._connect()
                await self._serve()
            except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            self.in_sync = False
            if not self._got_in:
                await trio.sleep(random.uniform(0, AGAIN_SECONDS))

    async def _connect(self) -> None:
        host, _, port = self._url.partition("://")[2].rpartition(":")
        plain = trio.socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        try:
            await plain.connect((host, int(port)))
        except BaseException:
            plain.close()
            raise
        Light.connections += 1
        self._stream = trio.SocketStream(plain)
        self._begin(wire.Connection(wire.CLIENT))
        self._post(wire.Hello("WC", 1, 1, (), "wirechat-faults", WINDOW))

    async def _serve(self) -> None:
        assert self._stream is not None
        async with self._stream:
            while True:
                if self._out:
                    data, self._out = b"".join(self._out), []
                    await self._stream.send_all(data)
                await self._hearing.wait()
                received = await self._stream.receive_some(RECEIVE_BYTES)
                if not received:
                    return
                self._connection.feed(bytes(received))
                while (message := self._connection.next_message()) is not None:
                    self._handle(message)
                if self._pushes - self._acked >= ACK_EVERY:
                    self._acked = self._pushes
                    self._post(wire.Ack(self._pushes))

    def _post(self, message: wire.Message) -> None:
        self._connection.sent(message)
        self._out.append(message.encode())

    def _ask(self, request: wire.Request) -> None:
        self._rid += 1
        request.rid = self._rid  # type: ignore[misc]  # every request class has the slot, the base class has none
        self._post(request)

    def _handle(self, message: wire.Message) -> None:
        kind = message.range if isinstance(message, wire.Unknown) else message.RANGE
        self._pushes += kind == "counted"
        match message:
            case wire.Welcome():
                signed = wire.auth.signed_bytes(message.nonce, self._member.device, 0, b"")
                proof = self._key.sign(signed)
                self._ask(wire.Auth(0, AuthMethod.DEVICE_KEY, proof=proof, device=self._member.device))
            case wire.AuthOk():
                self._ask(wire.Sync(0, self._token))
            case wire.SyncOk():
                self._take(message.rows)
                if message.cursor is not None:
                    self._ask(wire.Sync(0, self._token, cursor=message.cursor))
                else:
                    self._token = message.token
                    self.in_sync = self._got_in = True
            case wire.Rows():
                self._take(message.rows)
                self._token = message.token or self._token
            case wire.Event():
                self._reach(message.conv, message.seq)
            case wire.ChangesOk():
                self._page(message)
            case wire.Ping():
                self._post(wire.Pong(message.t))
            case wire.Error():
                raise OSError(f"error {message.code}")

    def _take(self, rows: tuple[wire.Row, ...]) -> None:
        for row in rows:
            if self._token is None:
                self._at.setdefault(row.conv, row.head)
            self._fetch(row.conv, row.head)

    def _reach(self, conv: int, seq: int) -> None:
        if seq == self._at.setdefault(conv, seq - 1) + 1 and conv not in self._fetching:
            self._at[conv] = seq
        else:
            self._fetch(conv, seq)

    def _fetch(self, conv: int, upto: int) -> None:
        self._want[conv] = max(self._want.get(conv, 0), upto)
        if self._want[conv] > self._at.setdefault(conv, 0) and conv not in self._fetching:
            self._fetching.add(conv)
            self._ask(wire.Changes(0, conv, self._at[conv], PAGE))
            self._asked[self._rid] = conv

    def _page(self, page: wire.ChangesOk) -> None:
        conv = self._asked.pop(page.rid)
        self._at[conv] = max(self._at[conv], page.upto)
        self._fetching.discard(conv)
        if page.more or self._want[conv] > self._at[conv]:
            self._fetch(conv, page.upto + page.more)


class Gate:
    """Open while everybody reads."""

    def __init__(self) -> None:
        self._open = trio.Event()
        self._open.set()

    async def wait(self) -> None:
        await self._open.wait()

    def open(self) -> None:
        self._open.set()

    def shut(self) -> None:
        self._open = trio.Event()


async def run(spec: Spec) -> None:
    """The whole life of the process."""
    gate, room = Gate(), trio.CapacityLimiter(AT_ONCE)
    lights = [Light(member, spec.url, gate) for member in spec.members]
    async with trio.open_nursery() as nursery:
        for light in lights:
            nursery.start_soon(light.live, room)
        nursery.start_soon(_tell, "ready", lights, {})
        async for order in orders():
            match order["do"]:
                case "cut":
                    room.total_tokens = len(lights)
                    for light in lights:
                        light.cut()
                case "deafen":
                    gate.shut()
                case "listen":
                    gate.open()
                case "reach":
                    heads = {int(conv): head for conv, head in order["heads"].items()}
                    nursery.start_soon(_tell, "reached", lights, heads)
                case "count":
                    say("counted", connections=Light.connections)
        nursery.cancel_scope.cancel()
    say("stopped")


async def _tell(event: str, lights: list[Light], heads: dict[int, int]) -> None:
    """Once everybody has that much."""
    while not all(light.has(heads) for light in lights):  # noqa: ASYNC110  a few times in a run
        await trio.sleep(LOOK_SECONDS)
    say(event)


if __name__ == "__main__":
    trio.run(run, Spec.parse(Path(sys.argv[1]).read_text()))

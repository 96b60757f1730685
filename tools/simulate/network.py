"""Simulated TCP: pipes with delay, segments and bounded buffers, between the server's endpoints and the clients'
transports.

What it keeps of TCP: bytes arrive in order or not at all; a full buffer makes a send come up short; a cut is an
error for both sides and loses what was under way; a half-open connection takes bytes until its buffer is full and
never delivers one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from random import Random
from typing import Protocol

import attrs
import trio

from tools.simulate.clock import Alarm, at, pause
from tools.simulate.trace import Trace
from wirechat.client.errors import network_errors
from wirechat.server.endpoint import CLOSE_SECONDS, Peer

_READ_BYTES_MAX = 65536
SLOW_SECONDS = 1.0


@attrs.frozen
class Weather:
    """How the network behaves in one run."""

    delay: float
    """Mean delay of a segment, in seconds."""
    cut_up: float
    """Probability that a write travels as more than one segment."""
    buffer_bytes: int
    """Bytes one direction holds before a write comes up short."""
    slow: float
    """Share of clients that read slowly from the start."""
    tick: float
    """Arrivals are rounded up to a multiple of this many seconds, so that much happens at once. 0: no rounding."""

    def arrival(self, chance: Random) -> float:
        at = trio.current_time() + chance.expovariate(1 / self.delay)
        return at if not self.tick else (int(at / self.tick) + 1) * self.tick


class Pipe:
    """One direction of a connection: one writer, one reader."""

    def __init__(self, weather: Weather, chance: Random) -> None:
        self.hole = False
        self._weather = weather
        self._chance = chance
        self._segments: deque[tuple[float, bytes]] = deque()
        self._held_bytes = 0
        self._ended = False
        self._broken = False
        self._readable = trio.lowlevel.ParkingLot()
        self._writable = trio.lowlevel.ParkingLot()
        self._arriving: Alarm | None = None

    def write(self, data: bytes) -> int:
        """Take as much of `data` as fits and return how many bytes that was. Raises BrokenResourceError after a cut."""
        if self._broken or self._ended:
            raise trio.BrokenResourceError
        taken = min(len(data), self._weather.buffer_bytes - self._held_bytes)
        self._held_bytes += taken
        if not self.hole:
            self._travel(data[:taken])
        return taken

    def _travel(self, data: bytes) -> None:
        while data:
            size = len(data)
            if size > 1 and self._chance.random() < self._weather.cut_up:
                size = self._chance.randint(1, size)
            last = self._segments[-1][0] if self._segments else 0.0
            self._segments.append((max(last, self._weather.arrival(self._chance)), data[:size]))
            data = data[size:]
        self._expect()

    def _expect(self) -> None:
        """Wake the reader when the next segment is there."""
        if self._segments and self._arriving is None:
            self._arriving = at(self._segments[0][0], self._arrived)

    def _arrived(self) -> None:
        self._arriving = None
        self._readable.unpark()

    async def wait_writable(self) -> None:
        """Until a write would take something, or fail."""
        while self._held_bytes >= self._weather.buffer_bytes and not self.over:
            await self._writable.park()

    async def read(self, bytes_max: int = _READ_BYTES_MAX) -> bytes:
        """The next bytes that arrived; b"" at the end. Raises BrokenResourceError after a cut."""
        while True:
            if self._broken:
                raise trio.BrokenResourceError
            if self._segments and self._segments[0][0] <= trio.current_time():
                return self._take(bytes_max)
            if self._ended and not self._segments:
                return b""
            self._expect()
            await self._readable.park()

    def _take(self, bytes_max: int) -> bytes:
        parts: list[bytes] = []
        room, now = bytes_max, trio.current_time()
        while room and self._segments and self._segments[0][0] <= now:
            arrival, data = self._segments.popleft()
            if len(data) > room:
                self._segments.appendleft((arrival, data[room:]))
            parts.append(data[:room])
            room -= len(parts[-1])
        taken = b"".join(parts)
        self._held_bytes -= len(taken)
        self._writable.unpark_all()
        return taken

    @property
    def over(self) -> bool:
        return self._ended or self._broken

    def end(self) -> None:
        """The writer closes: the reader gets what is under way, then b""."""
        self._ended = not self.hole
        self._readable.unpark_all()
        self._writable.unpark_all()

    @property
    def laden(self) -> bool:
        """Something is under way."""
        return bool(self._segments) and not self.hole

    def lag(self, seconds: float) -> None:
        """Its writer is gone; what he wrote arrives so much later, and the end with it."""
        self._segments = deque((arrival + seconds, data) for arrival, data in self._segments)
        if self._arriving is not None:
            self._arriving.off()
            self._arriving = None
        self.end()
        self._expect()

    def break_(self) -> None:
        """Lose everything under way; both ends notice."""
        self._broken = True
        self._segments.clear()
        self._readable.unpark_all()
        self._writable.unpark_all()


class Tap(Protocol):
    """Sees every byte of one connection at the client's end, in order."""

    def sent(self, data: bytes) -> None:
        """The client hands these to its network."""

    def received(self, data: bytes) -> None:
        """The client got these, and has not looked at them yet. b"" at the end."""


class Connection:
    """Two pipes and who stands at their ends."""

    def __init__(self, number: int, owner: str, weather: Weather, chance: Random, node: str = "") -> None:
        self.number = number
        self.owner = owner
        self.node = node
        self.up = Pipe(weather, chance)
        self.down = Pipe(weather, chance)
        self._chance = chance
        self.pace = 0.0  # seconds the client takes for each read: a slow reader
        self.busy_until = 0.0  # before that it does not read again
        self.sending = False  # the client's network has not taken all of what it was handed
        self.posted_at = 0.0  # the client had decided to send at this time, or later, what its network took last

    def cut(self) -> None:
        """Both sides see a reset."""
        self.up.break_()
        self.down.break_()

    def straggle(self, seconds: float) -> None:
        """The client's network has gone for good, but what it sent reaches the server so much later."""
        self.down.break_()
        self.up.lag(seconds)

    @property
    def over(self) -> bool:
        """One of its directions has ended."""
        return self.up.over or self.down.over

    def hang_up(self, mine: Pipe, theirs: Pipe) -> None:
        """One side closes its socket: what it sent may still arrive, or be lost with a reset."""
        if self._chance.random() < 0.5:
            mine.end()
        else:
            mine.break_()
        theirs.break_()

    def __str__(self) -> str:
        return f"{self.owner}#{self.number}"


class SimEndpoint:
    """The server's end of a connection: the Endpoint protocol of the server over two pipes."""

    def __init__(
        self, connection: Connection, leaving: Callable[[Sequence[bytes]], None] = lambda frames: None
    ) -> None:
        self._leaving = leaving
        address = f"10.0.{connection.number // 250}.{connection.number % 250}"
        self.peer = Peer(address, "tcp", loopback=True)
        self.opened_at = self.sent_at = trio.current_time()
        self._connection = connection
        self._rest = b""

    @property
    def blocked(self) -> bool:
        return bool(self._rest)

    async def handshake(self, nursery: trio.Nursery) -> None:
        await trio.lowlevel.checkpoint()

    def try_send(self, frames: Sequence[bytes]) -> bool:
        assert not self._rest, "try_send while blocked"
        self._leaving(frames)
        return self._push(b"".join(frames))

    def _push(self, data: bytes) -> bool:
        try:
            taken = self._connection.down.write(data)
        except trio.BrokenResourceError:
            taken = len(data)  # as with a socket: the reader will notice
        if taken:
            self.sent_at = trio.current_time()
        self._rest = data[taken:]
        return not self._rest

    async def wait_sent(self) -> None:
        while self._rest:
            await self._connection.down.wait_writable()
            self._push(self._rest)

    async def recv(self) -> bytes:
        try:
            return await self._connection.up.read()
        except trio.BrokenResourceError:
            return b""

    def gone(self) -> bool:
        return self._connection.up.over

    def abort(self) -> None:
        self._connection.hang_up(self._connection.down, self._connection.up)

    async def aclose(self, code: int) -> None:
        with trio.move_on_after(CLOSE_SECONDS):
            await self.wait_sent()
        self._connection.down.end()
        self._connection.up.break_()


class SimTransport:
    """The client's end: the Transport of the client library over two pipes, watched by `tap`."""

    certificate_digest: bytes | None = None

    def __init__(self, connection: Connection, tap: Tap) -> None:
        self._connection = connection
        self._tap = tap
        self._began_at = self._done_at = 0.0

    async def send(self, data: bytes) -> None:
        now = trio.current_time()
        self._connection.posted_at = now if now > self._done_at else self._began_at
        self._began_at = now
        self._connection.sending = True
        self._tap.sent(data)
        up = self._connection.up
        with network_errors():
            while data:
                await up.wait_writable()
                data = data[up.write(data) :]
        self._done_at = trio.current_time()
        self._connection.sending = False

    async def recv(self) -> bytes:
        wait = max(self._connection.pace, self._connection.busy_until - trio.current_time())
        if wait > 0:
            await pause(wait)
        with network_errors():
            data = await self._connection.down.read()
        self._tap.received(data)
        return data

    async def aclose(self) -> None:
        self._connection.up.end()
        self._connection.down.break_()
        await trio.lowlevel.checkpoint()

    def abort(self) -> None:
        self._connection.hang_up(self._connection.up, self._connection.down)


class Listener:
    """What a server listens on: an async iterator of endpoints."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[SimEndpoint](1000)

    def offer(self, endpoint: SimEndpoint) -> None:
        self._send.send_nowait(endpoint)

    def __aiter__(self) -> AsyncIterator[SimEndpoint]:
        return self._receive.__aiter__()


REFUSED = 0.1
"""Share of attempts that go to any node, also to one that is down."""


class Network:
    """Every connection of one run, and the one address that clients connect to, behind which all nodes are."""

    def __init__(
        self,
        weather: Weather,
        chance: Random,
        trace: Trace,
        leaving: Callable[[Connection, Sequence[bytes]], None],
        loyalty: float = 0.0,
    ) -> None:
        """`leaving` hears what a node hands to a socket. `loyalty`: share of attempts that go to the node of the one
        before, if it is up.
        """
        self._leaving = leaving
        self._loyalty = loyalty
        self._listeners: dict[str, Listener | None] = {}
        """Node -> what it listens on; None: connection refused."""
        self._before: dict[str, str] = {}
        self._connections: list[Connection] = []
        self._weather = weather
        self._chance = chance
        self._trace = trace
        self._number = 0
        self.calm = False  # from now on nobody is slow

    async def connect(self, owner: str) -> Connection:
        """A new connection of `owner`. Raises OSError when nobody listens."""
        await pause(self._chance.expovariate(1 / self._weather.delay))
        node = self._choose(owner)
        listener = self._listeners.get(node)
        if listener is None:
            raise ConnectionRefusedError("nobody listens")
        self._number += 1
        connection = Connection(self._number, owner, self._weather, self._chance, node)
        if not self.calm and self._chance.random() < self._weather.slow:
            connection.pace = SLOW_SECONDS
        self._connections.append(connection)
        listener.offer(SimEndpoint(connection, partial(self._leaving, connection)))
        self._trace.count("connections")
        return connection

    def _choose(self, owner: str) -> str:
        """The node that an attempt comes to; empty when there is none."""
        nodes = list(self._listeners)
        if len(nodes) < 2:
            return nodes[0] if nodes else ""
        up = [node for node in nodes if self._listeners[node] is not None]
        node = self._before.get(owner, "")
        if node not in up or self._chance.random() >= self._loyalty:
            node = self._chance.choice(nodes if not up or self._chance.random() < REFUSED else up)
        if self._before.get(owner, node) != node:
            self._trace.count("clients on another node")
        self._before[owner] = node
        return node

    def open(self, node: str, listener: Listener) -> None:
        """This node listens."""
        self._listeners[node] = listener

    def close(self, node: str) -> None:
        """It does not any more."""
        self._listeners[node] = None

    def alive(self) -> list[Connection]:
        """The connections that are not over, oldest first."""
        return [connection for connection in self._connections if not connection.over]

    def cut_all(self, node: str) -> None:
        """A server's machine lost power: it does not listen, and every connection to it breaks. One that is over may
        still have had something under way.
        """
        self.close(node)
        for connection in self._connections:
            if connection.node == node:
                connection.cut()
        self._connections = [connection for connection in self._connections if connection.node != node]

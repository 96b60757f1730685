"""A TCP proxy between the clients and the server, in which the network misbehaves as TCP allows it to.

Bytes come late, in other pieces than they were sent in, one at a time, or not at all; a connection ends anywhere, also
inside of a frame. What TCP excludes does not happen: nothing is changed, and nothing comes after something missing.
"""

from __future__ import annotations

import enum
import socket
import struct
from collections import Counter
from functools import partial
from random import Random

import attrs
import trio

CHUNK_BYTES = 65536
TRICKLED_BYTES = 300
"""Of a chunk; what follows them comes in one piece."""
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends RST instead of FIN."""


class Way(enum.Enum):
    """One direction of a connection."""

    UP = "to the server"
    DOWN = "to the client"


@attrs.frozen
class Weather:
    """How a chunk fares: probabilities, and the longest delay in seconds."""

    delay_seconds: float = 0.0
    cut: float = 0.0
    """The connection ends before, inside or behind the chunk, by RST."""
    truncate: float = 0.0
    """The first part comes, then an orderly end."""
    trickle: float = 0.0
    """It comes byte by byte."""


CALM = Weather()


@attrs.define(eq=False)
class _Line:
    """One connection through a proxy."""

    swallows: set[Way]
    scope: trio.CancelScope = attrs.Factory(trio.CancelScope)


@attrs.define
class Proxy:
    """One port in front of another. `weather` may be changed at any time."""

    target: str
    """host:port"""
    chance: Random
    weather: Weather = CALM
    counts: Counter[str] = attrs.Factory(Counter)
    port: int = 0
    severed: bool = False
    """Nothing gets through, over connections of now and new ones."""
    _lines: list[_Line] = attrs.Factory(list)

    async def start(self, nursery: trio.Nursery) -> None:
        """Listen on a port of loopback and serve in `nursery`."""
        listeners = await nursery.start(partial(trio.serve_tcp, self._serve, 0, host="127.0.0.1"))
        self.port = listeners[0].socket.getsockname()[1]

    def swallow(self, way: Way) -> None:
        """Half-open: all connections of now take bytes in this direction for ever and never deliver one."""
        for line in self._lines:
            line.swallows.add(way)
        self.counts[f"half-open {way.value}"] += len(self._lines)

    def sever(self) -> None:
        """As if a cable were pulled: bytes vanish, and nobody is told."""
        self.severed = True
        for way in Way:
            self.swallow(way)

    def mend(self) -> None:
        """The cable is back; connections that have lost something end."""
        self.severed = False
        for line in self._lines:
            if line.swallows:
                line.scope.cancel()

    async def _connect(self) -> trio.SocketStream:
        """To whom a new connection leads. Raises OSError."""
        return await _open(self.target)

    async def _serve(self, client: trio.SocketStream) -> None:
        try:
            server = await self._connect()
        except OSError:
            reset(client)
            return
        line = _Line(set(Way) if self.severed else set())
        self._lines.append(line)
        try:
            with line.scope:
                async with client, server, trio.open_nursery() as nursery:
                    nursery.start_soon(self._pass, Way.UP, client, server, line.swallows)
                    nursery.start_soon(self._pass, Way.DOWN, server, client, line.swallows)
        except* (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            pass
        finally:
            self._lines.remove(line)

    async def _pass(self, way: Way, source: trio.SocketStream, to: trio.SocketStream, swallowed: set[Way]) -> None:
        while chunk := await source.receive_some(CHUNK_BYTES):
            if way not in swallowed and not await self._deliver(bytes(chunk), to):
                reset(source)
                reset(to)
                return
        if way not in swallowed:
            await to.send_eof()

    async def _deliver(self, chunk: bytes, to: trio.SocketStream) -> bool:
        """False when the connection ends here."""
        weather, chance = self.weather, self.chance
        if weather.delay_seconds:
            await trio.sleep(chance.uniform(0, weather.delay_seconds))
        fate = chance.random()
        if fate < weather.cut:
            self.counts["cut"] += 1
            await to.send_all(chunk[: chance.randint(0, len(chunk))])
            return False
        if fate < weather.cut + weather.truncate:
            self.counts["truncated"] += 1
            await to.send_all(chunk[: chance.randint(0, len(chunk) - 1)])
            await to.send_eof()
            await trio.sleep(weather.delay_seconds)
            return False
        if fate < weather.cut + weather.truncate + weather.trickle:
            self.counts["trickled"] += 1
            for place in range(min(len(chunk), TRICKLED_BYTES)):
                await to.send_all(chunk[place : place + 1])
            chunk = chunk[TRICKLED_BYTES:]
        await to.send_all(chunk)
        return True


@attrs.define
class Balancer(Proxy):
    """Each new connection goes to the next of several, or to the one behind it when it is away."""

    targets: list[str] = attrs.field(factory=list, kw_only=True)
    _turn: int = 0

    async def _connect(self) -> trio.SocketStream:
        """Raises OSError when all are away."""
        for _ in self.targets:
            self._turn += 1
            try:
                return await _open(self.targets[self._turn % len(self.targets)])
            except OSError:
                continue
        raise ConnectionRefusedError


async def _open(target: str) -> trio.SocketStream:
    host, _, port = target.rpartition(":")
    return await trio.open_tcp_stream(host, int(port))


def reset(stream: trio.SocketStream) -> None:
    """End a connection as a crash or a firewall does."""
    try:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    except OSError:
        pass
    stream.socket.close()

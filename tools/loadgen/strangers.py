"""Connections that mean no good, beside the people whose latencies are measured (P10).

Each stranger comes, does one thing, and waits for what the server does with it: it is counted how many were sent away
and how many it still keeps.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tools.loadgen.crowd import Crowd
from tools.loadgen.line import Line
from wirechat import wire

STAY_SECONDS = 15.0
"""Longer than the server lets a stranger be silent (hello_ms); who is still there then was not noticed."""

HELLO = wire.Hello("WC", 1, 1, (), "stranger").encode()
PING = wire.Ping(1).encode()


def _garbage(chance: Random) -> bytes:
    return chance.randbytes(chance.randint(1, 4000))


def _too_long(chance: Random) -> bytes:
    return chance.randint(1 << 20, (1 << 32) - 1).to_bytes(4, "big") + chance.randbytes(64)


def _bomb(chance: Random) -> bytes:
    body = b"\x91" * chance.randint(20, 4000)
    return len(body).to_bytes(4, "big") + body


def _half(chance: Random) -> bytes:
    return HELLO[: chance.randrange(1, len(HELLO))]


def _silent(chance: Random) -> bytes:
    return b""


def _noisy(chance: Random) -> bytes:
    return HELLO + PING * chance.randint(100, 3000)


def _out_of_turn(chance: Random) -> bytes:
    return HELLO + wire.Send(1, 1, bytes(8), 1, wire.Content(1, "x")).encode() * 50


DEEDS: dict[str, Callable[[Random], bytes]] = {
    "garbage": _garbage,
    "too long": _too_long,
    "bomb": _bomb,
    "half": _half,
    "silent": _silent,
    "noisy": _noisy,
    "out of turn": _out_of_turn,
}


class Stranger:
    """One of them."""

    def __init__(self, crowd: Crowd, chance: Random) -> None:
        self._crowd = crowd
        self._chance = chance
        self._name = chance.choice(list(DEEDS))
        self._line: Line | None = None

    def come(self) -> None:
        """Connect, and leave by itself in the end."""
        self._count("strangers")
        self._line = Line(self._crowd.loop, self._crowd.place, self)
        self._crowd.loop.after(STAY_SECONDS, self._leave)

    def _count(self, what: str) -> None:
        self._crowd.measures.count(what, self._crowd.loop.now)

    def opened(self) -> None:
        assert self._line is not None
        self._line.write_bytes(DEEDS[self._name](self._chance))
        if self._chance.random() < 0.2:
            self._line.close()

    def received(self, bodies: list[bytes]) -> None:
        """What it is told does not matter."""

    def ended(self, why: str) -> None:
        self._count("strangers sent away")

    def _leave(self) -> None:
        if self._line is not None and not self._line.closed:
            self._count("strangers kept")
            self._line.close()

"""One connection under measurement, whatever it speaks: texts out, counts in, as cheaply as we can for everybody.

A text has 64 bytes: when it was sent, who said it, its number, filler. Whoever gets it adds up the numbers, so that one
that was lost or came twice is found even where others made up for it.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import attrs

from bench.benchmark import BenchError
from bench.client import EVENT, Client
from bench.frames import TEXT_BYTES, Texts
from bench.streams import PATIENCE, RECV_BYTES, Stream
from tools.loadgen.targets.dialect import Dialect, Refused

FILLER = b"t" * (TEXT_BYTES - 28)
TOGETHER = 50
"""Logins under way at a time."""


@attrs.frozen
class Heard:
    """What one chunk brought. `sent_ns`: when the text that came first was sent; 0 without any."""

    acknowledged: int
    delivered: int
    sent_ns: int


class Seat(Protocol):
    """A connection."""

    def fileno(self) -> int:
        """For epoll."""

    def say(self, count: int) -> None:
        """So many texts in one write."""

    def receive(self) -> Heard:
        """There is something to read. Raises BenchError."""

    @property
    def wrong(self) -> int:
        """Texts that were lost or came twice, as far as is known when nothing is under way."""

    def close(self) -> None:
        """Leave."""


class Own:
    """At our own server, or at the floor."""

    def __init__(self, client: Client, conv: int = 0) -> None:
        """`conv`: where it speaks."""
        self._client = client
        client.start_counting()
        if conv:
            client.texts = Texts(conv)

    def fileno(self) -> int:
        return self._client.fileno()

    def say(self, count: int) -> None:
        self._client.say(count)

    def receive(self) -> Heard:
        events = self._client.codes[EVENT]
        acknowledged, sent_ns = self._client.receive()
        return Heard(acknowledged, self._client.codes[EVENT] - events, sent_ns)

    wrong = 0
    """Counting is enough: a duplicate would be one too many."""

    def close(self) -> None:
        self._client.close()


class Guest:
    """At another server."""

    def __init__(self, sock: Stream, dialect: Dialect, number: int) -> None:
        self._sock = sock
        self._dialect = dialect
        self._stamp = b"%04x" % number
        self._address = b""
        self._said = 0
        self._numbers: dict[bytes, list[int]] = {}
        """By who said it: how many, and the sum of their numbers."""

    def fileno(self) -> int:
        return self._sock.fileno()

    def speaks_to(self, name: str, group: bool) -> None:
        """Where its texts go."""
        self._address = self._dialect.address(name, group)

    @property
    def is_live(self) -> bool:
        return self._dialect.is_live

    def begin(self) -> None:
        """Log in; `receive` until it is live. What came with the answer to a handshake is there already."""
        self._write(self._dialect.begin())
        self.receive()

    def say(self, count: int) -> None:
        now, first = time.monotonic_ns(), self._said + 1
        self._said += count
        head = b"%016x%b" % (now, self._stamp)
        texts = [b"%b%08x%b" % (head, number, FILLER) for number in range(first, first + count)]
        self._write(self._dialect.say(self._address, texts))

    def receive(self) -> Heard:
        dialect = self._dialect
        try:
            data = self._sock.recv(RECV_BYTES)
            if not data:
                raise BenchError("the server closed a connection")
            self._write(dialect.receive(data))
        except BlockingIOError:
            return Heard(0, 0, 0)
        except (OSError, Refused) as error:
            raise BenchError(str(error)) from None
        if dialect.refusals:
            raise BenchError("the server refused a text")
        acknowledged = len(dialect.acknowledged)
        dialect.acknowledged.clear()
        texts = dialect.texts
        if not texts:
            return Heard(acknowledged, 0, 0)
        dialect.texts = []
        return self._count(acknowledged, texts)

    def _count(self, acknowledged: int, texts: list[bytes]) -> Heard:
        delivered, first = 0, b""
        for text in texts:
            stamp = text[16:20]
            if stamp == self._stamp:
                continue  # a server that reflects what one says in a group
            delivered += 1
            first = first or text
            sums = self._numbers.get(stamp)
            if sums is None:
                sums = self._numbers[stamp] = [0, 0]
            sums[0] += 1
            sums[1] += int(text[20:28], 16)
        return Heard(acknowledged, delivered, int(first[:16], 16) if first else 0)

    @property
    def wrong(self) -> int:
        return sum(total != count * (count + 1) // 2 for count, total in self._numbers.values())

    def _write(self, data: bytes) -> None:
        if data and self._sock.send(data) < len(data):
            raise BenchError("the server does not read what it is sent")

    def close(self) -> None:
        self._sock.close()


def enter(make: Sequence[Callable[[], Guest]]) -> list[Guest]:
    """Log them all in, some at a time. Raises BenchError."""
    guests: list[Guest] = []
    for at in range(0, len(make), TOGETHER):
        some = [each() for each in make[at : at + TOGETHER]]
        for guest in some:
            guest.begin()
        _wait_until_live(some)
        guests += some
    return guests


def _wait_until_live(guests: Sequence[Guest]) -> None:
    waiting = {guest.fileno(): guest for guest in guests}
    deadline = time.monotonic() + PATIENCE
    with select.epoll() as epoll:
        for fd in waiting:
            epoll.register(fd, select.EPOLLIN)
        while waiting:
            if time.monotonic() > deadline:
                raise BenchError(f"{len(waiting)} logins took longer than {PATIENCE:.0f} s")
            for fd, _ in epoll.poll(1.0):
                guest = waiting[fd]
                guest.receive()
                if guest.is_live:
                    epoll.unregister(fd)
                    del waiting[fd]

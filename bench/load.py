"""The load: one epoll loop over all connections, and what was seen while it ran.

Rules:
* Warm-up and drain are not measured, but everything sent in them is checked: each entry was acknowledged to its sender
  and reached everybody else, none came twice, and the last one has the number it must have.
* A closed loop keeps a window of unanswered texts at each sender; an open one sends at a fixed rate, whatever comes
  back.
"""

from __future__ import annotations

import itertools
import select
import time
from collections.abc import Callable, Sequence

import attrs

from bench.benchmark import BenchError
from bench.client import EVENT, SEND_OK, Client
from bench.frames import Texts
from bench.people import Conversation
from wirechat import wire

DRAIN_SECONDS = 10.0

LONGER_SECONDS = 5.0
"""So much longer is measured while nothing has been delivered: a busy machine may leave out a short measurement."""
LATENCIES_MAX = 200_000

Counts = dict[Client, list[int]]
"""Frames by code at some time."""


@attrs.frozen
class Work:
    """Who says something where, and how fast: a window at each sender, or a rate for all together."""

    senders: Sequence[tuple[Client, Conversation]]
    window: int = 0
    per_second: float = 0.0

    @property
    def conversations(self) -> list[Conversation]:
        """Those written into, each once."""
        return list({id(each): each for _, each in self.senders}.values())


@attrs.frozen
class Seen:
    """What one run showed."""

    seconds: float
    """Length of the measured part."""
    cpu_ns: int
    """CPU time of the measured process in it."""
    measured: int
    """Deliveries in it."""
    latencies_ns: list[int]
    """From sending to delivery: the oldest text of each chunk that arrived in it."""
    entries: int
    """Acknowledged entries of the whole run."""
    delivered: int
    """Deliveries of the whole run."""


class Load:
    """The loop."""

    def __init__(self, clients: Sequence[Client]) -> None:
        self._clients = {client.fileno(): client for client in clients}
        self._epoll = select.epoll()
        for client in clients:
            client.start_counting()
            self._epoll.register(client, select.EPOLLIN)
        self._refill = False
        self._latencies: list[int] | None = None

    def run(self, work: Work, warm_up: float, seconds: float, cpu_ns: Callable[[], int]) -> Seen:
        """Do the work. Raises BenchError when something was lost, doubled or refused."""
        before = {client: client.codes[:] for client in self._clients.values()}
        for client, conversation in work.senders:
            client.texts = Texts(conversation.conv)
        drive = self._drive(work)
        drive(time.monotonic() + warm_up)
        events, cpu, started = self._total(EVENT), cpu_ns(), time.monotonic()
        latencies: list[int] = []
        self._latencies = latencies
        drive(started + seconds)
        while not latencies and time.monotonic() < started + LONGER_SECONDS:
            drive(time.monotonic() + seconds)
        self._latencies = None
        ended, cpu, events = time.monotonic(), cpu_ns() - cpu, self._total(EVENT) - events
        if not latencies:
            raise BenchError(f"nothing was delivered in {ended - started:.1f} s")
        self._refill = False
        entries, delivered = self._drain(work, before)
        for client, _ in work.senders:
            client.texts = None
        return Seen(ended - started, cpu, events, latencies, entries, delivered)

    def _drive(self, work: Work) -> Callable[[float], None]:
        """A function that goes on with the work until a time."""
        if not work.window:
            return self._paced(work)
        self._refill = True
        for client, _ in work.senders:
            client.say(work.window)
        return self._turn_until

    def _paced(self, work: Work) -> Callable[[float], None]:
        turns = itertools.cycle([client for client, _ in work.senders])
        due = time.monotonic()

        def drive(end: float) -> None:
            nonlocal due
            while (now := time.monotonic()) < end:
                while due <= now:
                    next(turns).say(1)
                    due += 1 / work.per_second
                self._turn(min(due, end) - now)

        return drive

    def _turn_until(self, end: float) -> None:
        while (now := time.monotonic()) < end:
            self._turn(end - now)

    def _turn(self, timeout: float) -> None:
        clients, latencies = self._clients, self._latencies
        for fd, _ in self._epoll.poll(max(timeout, 0)):
            client = clients[fd]
            replies, sent_ns = client.receive()
            if replies and self._refill and client.texts is not None:
                client.say(replies)
            if sent_ns and latencies is not None and len(latencies) < LATENCIES_MAX:
                latencies.append(time.monotonic_ns() - sent_ns)

    def _total(self, code: int) -> int:
        return sum([client.codes[code] for client in self._clients.values()])

    def _drain(self, work: Work, before: Counts) -> tuple[int, int]:
        """Wait for what is under way; returns (entries, deliveries) of the run."""
        events, replies = (sum(codes[code] for codes in before.values()) for code in (EVENT, SEND_OK))
        said = sum(_said(client) for client, _ in work.senders)
        due = sum(_said(client) * (len(each.members) - 1) for client, each in work.senders)
        deadline = time.monotonic() + DRAIN_SECONDS
        while self._total(SEND_OK) - replies < said or self._total(EVENT) - events < due:
            if time.monotonic() > deadline:
                break
            self._turn(0.1)
        self._turn(0)
        self._check(work, before)
        return self._total(SEND_OK) - replies, self._total(EVENT) - events

    def _check(self, work: Work, before: Counts) -> None:
        for client, codes_before in before.items():
            if codes := client.unexpected(codes_before):
                raise BenchError(f"frames arrived that have no place here, of the codes {codes}")
        for conversation in work.conversations:
            senders = [client for client, each in work.senders if each is conversation]
            said = sum(map(_said, senders))
            conversation.head += said
            for member in conversation.members:
                own = _said(member) if member in senders else 0
                replies = member.codes[SEND_OK] - before[member][SEND_OK]
                events = member.codes[EVENT] - before[member][EVENT]
                if replies != own:
                    raise BenchError(f"of {own} entries {replies} were acknowledged")
                if events != said - own:
                    raise BenchError(f"of {said - own} entries {events} were delivered")
                if said and not own:
                    _check_head(member, conversation)


def _said(client: Client) -> int:
    return client.texts.made if client.texts is not None else 0


def _check_head(member: Client, conversation: Conversation) -> None:
    """As many came as were said; with the right number on the last one, none came twice."""
    event = wire.decode(member.latest[4:], side="server")
    assert isinstance(event, wire.Event)
    if (event.conv, event.seq) != (conversation.conv, conversation.head):
        raise BenchError(f"the last entry that arrived is number {event.seq}, not {conversation.head}")

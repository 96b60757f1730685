"""The loop through which everybody goes: closed with a window, or open at a rate.

Rules:
* A place in a window is free again when its text was acknowledged to its sender and delivered to everybody else.
* Warm-up is not measured. What is under way at the end is waited for; what has not come then is told as missing.
"""

from __future__ import annotations

import itertools
import select
import time
from collections.abc import Callable, Sequence

import attrs

from bench.benchmark import BenchError
from bench.process import Processes
from bench.rivals.seats import Seat
from bench.spread import percentile

DRAIN_SECONDS = 15.0
FEW = 300
"""Deliveries that a figure needs; a slow server is given time for them, but not more than"""
LONGER = 4
"""times what was meant."""
KEEPS_UP = 0.9
"""Of an open loop's texts a server must deliver within the measured time; else it is saturated."""
LATENCIES_MAX = 200_000


@attrs.define(eq=False)
class Flow:
    """One sender and who gets what he says."""

    sender: Seat
    receivers: Sequence[Seat]
    said: int = 0
    acknowledged: int = 0
    delivered: int = 0

    @property
    def free(self) -> int:
        """Texts of which nothing is under way any more."""
        return min(self.acknowledged, self.delivered // len(self.receivers))

    def say(self, count: int) -> None:
        """So many texts now."""
        self.said += count
        self.sender.say(count)


@attrs.frozen
class Seen:
    """What one run showed. Times in microseconds and milliseconds, `us` the CPU time of the server for a delivery."""

    us: float
    per_second: float
    p50_ms: float
    p99_ms: float
    client_us: float
    missing: int
    """Acknowledgements and deliveries that did not come."""
    wrong: int
    """Senders of whom somebody got a text twice and another not; 0 while something is missing."""
    saturated: bool
    """It could not keep up with an open loop; then the other figures say little."""


class Loop:
    """All connections of one load."""

    def __init__(self, flows: Sequence[Flow]) -> None:
        self._flows = flows
        self._epoll = select.epoll()
        self._seats: dict[int, tuple[Seat, Flow]] = {}
        for flow in flows:
            for seat in (flow.sender, *flow.receivers):
                self._seats[seat.fileno()] = seat, flow
                self._epoll.register(seat.fileno(), select.EPOLLIN)
        self._window = 0
        self._delivered = 0
        self._latencies: list[int] | None = None

    def run(self, window: int, per_second: float, warm_up: float, seconds: float, server: Processes) -> Seen:
        """A window at each sender, or, if that is 0, so many texts a second of all together. Raises BenchError."""
        drive = self._closed(window) if window else self._open(per_second)
        drive(time.monotonic() + warm_up, lambda: True)
        latencies = self._latencies = []
        delivered, own, cpu, began = self._delivered, time.process_time(), server.cpu_ns(), time.monotonic()
        drive(began + seconds, lambda: self._delivered - delivered >= FEW)
        spent, own, took = server.cpu_ns() - cpu, time.process_time() - own, time.monotonic() - began
        delivered = self._delivered - delivered
        self._latencies, self._window = None, 0
        missing = self._drain()
        if not delivered:
            raise BenchError("nothing was delivered in the measured time")
        due = per_second * took * len(self._flows[0].receivers)
        return Seen(
            us=spent / 1000 / delivered,
            per_second=delivered / took,
            p50_ms=percentile(latencies, 50) / 1e6,
            p99_ms=percentile(latencies, 99) / 1e6,
            client_us=own * 1e6 / delivered,
            missing=missing,
            wrong=0 if missing else sum(seat.wrong for seat, _ in self._seats.values()),
            saturated=not window and delivered < KEEPS_UP * due,
        )

    def _closed(self, window: int) -> Callable[[float, Callable[[], bool]], None]:
        self._window = window
        for flow in self._flows:
            flow.say(window)

        def drive(end: float, enough: Callable[[], bool]) -> None:
            begin = time.monotonic()
            latest = begin + LONGER * (end - begin)
            while (now := time.monotonic()) < end or (now < latest and not enough()):
                self._turn(min(0.1, max(end - now, 0.01)))

        return drive

    def _open(self, per_second: float) -> Callable[[float, Callable[[], bool]], None]:
        turns, due = itertools.cycle(self._flows), time.monotonic()

        def drive(end: float, enough: Callable[[], bool]) -> None:
            nonlocal due
            while (now := time.monotonic()) < end:
                while due <= now:
                    next(turns).say(1)
                    due += 1 / per_second
                self._turn(min(due, end) - now)

        return drive

    def _turn(self, timeout: float) -> None:
        window, latencies = self._window, self._latencies
        for fd, _ in self._epoll.poll(max(timeout, 0)):
            seat, flow = self._seats[fd]
            heard = seat.receive()
            flow.acknowledged += heard.acknowledged
            if heard.delivered:
                flow.delivered += heard.delivered
                self._delivered += heard.delivered
                if latencies is not None and len(latencies) < LATENCIES_MAX:
                    latencies.append(time.monotonic_ns() - heard.sent_ns)
            if window and (free := window - flow.said + flow.free) > 0:
                flow.say(free)

    def _drain(self) -> int:
        deadline = time.monotonic() + DRAIN_SECONDS
        while (missing := self._missing()) > 0 and time.monotonic() < deadline:
            self._turn(0.1)
        self._turn(0)
        return self._missing() if missing <= 0 else missing

    def _missing(self) -> int:
        return sum(
            abs(flow.said - flow.acknowledged) + abs(flow.said * len(flow.receivers) - flow.delivered)
            for flow in self._flows
        )

    def close(self) -> None:
        """Forget the connections, which stay open."""
        self._epoll.close()

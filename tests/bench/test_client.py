"""The client behind the benchmarks does what a client should, or a server is measured without what that costs."""

from __future__ import annotations

import socket

import pytest

from bench import client
from bench.client import ACK_EVERY, ACK_SECONDS, Client
from wirechat import wire


class Clock:
    """Stands still."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


def event(seq: int) -> bytes:
    return wire.Event(1, seq, 5, 2, 1, wire.Content(1, "0" * 64)).encode()


@pytest.mark.parametrize(
    ("pushes", "pause"), [(ACK_EVERY, 0.0), (2, ACK_SECONDS)], ids=["so many pushes", "a second after the first"]
)
def test_12_3_pushes_are_acknowledged_in_time(pushes: int, pause: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not one by one."""
    clock = Clock()
    monkeypatch.setattr(client, "time", clock)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        tested = Client(ours)
        for seq in range(1, pushes + 1):
            with pytest.raises(BlockingIOError):
                theirs.recv(100)
            clock.now += pause if seq == pushes else 0.0
            theirs.sendall(event(seq))
            tested.receive()
        assert theirs.recv(100) == wire.Ack(pushes).encode()

"""What a person acknowledges, and when."""

from __future__ import annotations

from typing import cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.loadgen.clock import Clock
from tools.loadgen import peer as peers
from tools.loadgen.line import Place
from tools.loadgen.loop import Loop
from tools.loadgen.peer import ACK_EVERY, ACK_SECONDS, Account, Peer, Seen, Watcher
from wirechat import wire

CONV = 7


class Line:
    """A connection to nobody, who reads everything."""

    sent_bytes = received_bytes = 0

    def __init__(self, loop: Loop, place: Place, owner: Peer) -> None:
        self.read: list[wire.Message] = []

    def write(self, frames: bytes) -> None:
        self.read.append(wire.decode(frames[4:], side=wire.CLIENT))

    def close(self) -> None: ...

    @property
    def acknowledged(self) -> list[int]:
        return [message.n for message in self.read if isinstance(message, wire.Ack)]


class Everybody:
    """Who watches, and does nothing."""

    def saw(self, peer: Peer, entry: Seen) -> None: ...
    def lost(self, peer: Peer, why: str) -> None: ...


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def peer(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Peer:
    """One who has a connection and can come back with a token."""
    monkeypatch.setattr(peers, "Line", Line)
    account, nowhere = Account(1, 1, Ed25519PrivateKey.generate()), cast(Place, None)
    peer = Peer(cast(Loop, clock), nowhere, account, cast(Watcher, Everybody()), "one")
    peer.resume = b"token"
    peer.positions[CONV] = 0
    peer.connect()
    peer.opened()
    return peer


def line_of(peer: Peer) -> Line:
    return cast(Line, peer._line)


def pushes(first: int, count: int = 1) -> list[bytes]:
    """Bodies of EVENTs from this seq on."""
    return [wire.Event(CONV, seq, 1, 2, wire.EntryKind.REACT).encode()[4:] for seq in range(first, first + count)]


def test_what_few_pushes_brought_is_acknowledged_within_a_second(clock: Clock, peer: Peer) -> None:
    """Rule 12-3: a server keeps what is not, for everybody who is told something now and then."""
    began = clock.now
    peer.received(pushes(1))
    clock.run(began + ACK_SECONDS / 2)
    peer.received(pushes(2, 2))
    assert line_of(peer).acknowledged == []
    clock.run(began + ACK_SECONDS * 1.01)
    assert line_of(peer).acknowledged == [3]
    clock.run(began + 10 * ACK_SECONDS)
    peer.received(pushes(4))
    clock.run(began + 12 * ACK_SECONDS)
    assert line_of(peer).acknowledged == [3, 4]


def test_many_are_acknowledged_at_once_and_have_one_timer(clock: Clock, peer: Peer) -> None:
    for seq in range(1, 2 * ACK_EVERY + 1):
        peer.received(pushes(seq))
    assert line_of(peer).acknowledged == [ACK_EVERY, 2 * ACK_EVERY]
    assert clock.waiting == 1
    clock.run(clock.now + 2 * ACK_SECONDS)
    assert line_of(peer).acknowledged == [ACK_EVERY, 2 * ACK_EVERY]
    assert clock.waiting == 0, "who is told nothing has nothing to do"


def test_a_new_connection_acknowledges_only_what_came_over_it(clock: Clock, peer: Peer) -> None:
    """More than it was sent would be an error (12-4), and before HELLO anything is."""
    began = clock.now
    peer.received(pushes(1, 5))
    peer.disconnect()
    peer.connect()
    clock.run(began + 2 * ACK_SECONDS)
    assert line_of(peer).read == []
    peer.opened()
    peer.received(pushes(6, 2))
    clock.run(began + 4 * ACK_SECONDS)
    assert line_of(peer).acknowledged == [2]


def test_what_follows_something_that_cannot_be_read_counts_for_no_connection(clock: Clock, peer: Peer) -> None:
    began = clock.now
    peer.received(pushes(1))
    peer.received([b"\x00\x00", *pushes(2, 5)])
    peer.connect()
    clock.run(began + 2 * ACK_SECONDS)
    assert line_of(peer).read == []
    assert peer.pushes == 1

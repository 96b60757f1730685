"""Who is away is waited for, and lost once."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tools.loadgen.crowd import Crowd
from tools.loadgen.judge import Silent
from tools.loadgen.loop import Loop
from tools.loadgen.measures import Measures
from tools.loadgen.peer import Account, Peer
from tools.loadgen.place import find_place
from tools.loadgen.scenario import Phase, Returns, Scenario
from wirechat import wire


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    """Ready, in a measured phase, without a server."""
    loop, measures = Loop(), Measures()
    measures.measure(loop.now - 1, loop.now + 1000)
    plan = Scenario("one who comes and goes", 1, (Phase("hold", 1.0),), activities=(Returns(rate=1.0, away_seconds=5),))
    crowd = Crowd(loop, find_place("wirechat://127.0.0.1:1", None), plan, "one", Random(1), measures, Silent())
    crowd.ready = True
    yield crowd
    loop.close()


@pytest.fixture
def peer(crowd: Crowd) -> Peer:
    return Peer(crowd.loop, crowd.place, Account(1, 1, Ed25519PrivateKey.generate()), crowd, "one")


def test_who_is_away_is_waited_for(crowd: Crowd, peer: Peer) -> None:
    """Though he lacks nothing: else a run in which somebody is away at the end would never be whole."""
    assert crowd.is_settled
    crowd.comes_back(peer, 5.0)
    assert not crowd.is_settled
    crowd.live(peer)
    assert crowd.is_settled


def test_a_connection_is_lost_once_whatever_attempts_follow(crowd: Crowd, peer: Peer) -> None:
    for _ in range(3):
        crowd.lost(peer, "Connection refused")
    assert crowd.measures.counts["connections lost"] == 1
    crowd.live(peer)
    crowd.lost(peer, "the server closed the connection")
    assert crowd.measures.counts["connections lost"] == 2


def test_who_makes_no_accounts_is_asked_to(crowd: Crowd, peer: Peer) -> None:
    key = Ed25519PrivateKey.generate()
    crowd._registered(peer, key, wire.Error(1, code=wire.errors.REGISTRATION_CLOSED))
    assert crowd.failure is not None
    assert "run this there, or set accounts.open_registration" in crowd.failure

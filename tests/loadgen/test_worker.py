"""What a process tells of the phase that it is in, by which a climb ends."""

from __future__ import annotations

from typing import cast

import pytest

from tests.loadgen.conftest import TALK
from tools.loadgen import scenario
from tools.loadgen.crowd import Crowd
from tools.loadgen.judge import Silent
from tools.loadgen.peer import Peer
from tools.loadgen.talk import Talk
from tools.loadgen.worker import Job, Worker


def test_a_text_that_has_not_arrived_has_taken_as_long_as_it_is_old() -> None:
    """Else a server that delivers nothing any more would be the fastest."""
    plain = scenario.to_plain(scenario.parse(TALK, "talk"))
    worker = Worker(Job(plain, "wirechat://127.0.0.1:1", None, "one", "1", check=False))
    crowd, measures = cast(Crowd, worker._crowd), worker._measures
    now = crowd.loop.now
    measures.measure(now - 10, now + 10)
    measures.begin_phase(now - 5)
    assert worker._phase_p99_ms() == 0
    for _ in range(98):
        measures.latency("delivered", now - 4, now - 3.999)
    assert worker._phase_p99_ms() == pytest.approx(1, rel=0.01)
    pair = [Peer(crowd.loop, crowd.place, None, crowd, name) for name in ("one", "other")]
    crowd.talks.append(Talk(1, 0, pair, 64, measures, Silent()))
    for token in (1, 2):
        crowd.talks[0].say(pair[0], token, now - 3, lambda: None)
    assert worker._phase_p99_ms() == pytest.approx(3000, rel=0.01)
    crowd.loop.close()

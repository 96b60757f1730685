"""What reaches around the simulated world must fail, or seeds would stop replaying without anybody noticing."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable

import pytest
import structlog

from tools.simulate.sealed import Escaped, logging_to, sealed


@pytest.mark.parametrize(
    "reach",
    [
        lambda: time.time(),
        lambda: time.time_ns(),
        lambda: os.urandom(1),
        lambda: random.random(),
        lambda: random.SystemRandom().uniform(0, 1),
    ],
)
def test_the_real_clock_and_entropy_are_out_of_reach(reach: Callable[[], object]) -> None:
    with sealed(), pytest.raises(Escaped):
        reach()
    reach()


def test_what_the_product_logs_is_heard_with_the_way_to_its_cause() -> None:
    heard: list[tuple[str, str]] = []
    with logging_to(lambda level, text: heard.append((level, text))):
        log = structlog.get_logger("x")
        log.info("calm", peer="a")
        try:
            raise KeyError("cause")
        except KeyError:
            log.exception("trouble")
    assert heard[0] == ("info", "a calm")
    assert heard[1][0] == "error"
    assert "KeyError: 'cause'" in heard[1][1]

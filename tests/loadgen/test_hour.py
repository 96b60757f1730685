"""A real hour is as real as its model: what is drawn has its quantiles, and the model is what was learnt."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest

from tests.loadgen.clock import Clock
from tools.loadgen import hour, learn, scenario
from tools.loadgen.activities import Threads
from tools.loadgen.crowd import Crowd
from tools.loadgen.measures import Measures
from tools.loadgen.schedule import Stretch
from tools.replay.log import read_log

THREADS = 4000


@pytest.fixture(scope="module")
def threads() -> list[list[hour.Turn]]:
    chance = Random("an hour")
    return [hour.model().thread(chance) for _ in range(THREADS)]


def test_lengths_and_gaps_have_the_quantiles_of_the_model(threads: list[list[hour.Turn]]) -> None:
    model = hour.model()
    lengths = [turn.bytes for thread in threads for turn in thread]
    gaps = [other.after - one.after for thread in threads for one, other in pairwise(thread)]
    for drawn, meant in ((lengths, model.text_bytes), (gaps, model.gap_seconds)):
        found = learn.quantiles(drawn)
        assert found[4:-4] == pytest.approx(meant[4:-4], rel=0.1, abs=1.0)


def test_threads_have_the_shapes_of_the_model(threads: list[list[hour.Turn]]) -> None:
    model = hour.model()
    shapes = Counter((len(thread), len({turn.speaker for turn in thread})) for thread in threads)
    of = sum(count for _, _, count in model.shapes)
    for texts, speakers, count in model.shapes:
        assert shapes[texts, speakers] / THREADS == pytest.approx(count / of, abs=0.02)
    assert set(shapes) <= {(texts, speakers) for texts, speakers, _ in model.shapes}
    assert sum(map(len, threads)) / THREADS == pytest.approx(model.mean_texts, rel=0.1)


class Place:
    """A conversation of fifty who are written down."""

    members = range(50)

    def __init__(self) -> None:
        self.said: list[tuple[float, int, int]] = []

    def say(self, peer: int, token: int, due: float, done: Any, length: int) -> None:
        self.said.append((due, peer, length))


def test_it_is_as_busy_at_its_beginning_as_later() -> None:
    """Threads take minutes: without those that began before, the first minutes would be half empty."""
    clock, place = Clock(), Place()
    crowd = cast(Crowd, type("Stub", (), {"loop": clock, "talks": [place], "measures": Measures()}))
    talking = Threads(scenario.Hour(rate=20.0), crowd, Random("busy"), itertools.count())
    talking.begin("hold", Stretch(1000.0, 1400.0))
    clock.run(1400.0)
    by_half = Counter(int(due - 1000) // 200 for due, _, _ in place.said)
    assert by_half[0] == pytest.approx(4000, rel=0.15)
    assert by_half[1] == pytest.approx(4000, rel=0.15)
    assert len({peer for _, peer, _ in place.said}) == 50
    talking.stop()
    clock.run(2000.0)
    assert max(due for due, _, _ in place.said) < 1400.0


def test_a_model_is_what_was_learnt(tmp_path: Path) -> None:
    """Two threads: one of three texts by two, one of a single text; the rest is before the annotations."""
    lines = ["[10:00] <old> " + "x" * 10] * 1000
    lines += ["[10:01] <anna> " + "a" * 20, "[10:01] <ben> yes", "[10:02] <ben> and no", "[10:03] <cleo> hello?"]
    (tmp_path / "log.raw.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "log.annotation.txt").write_text("1000 1000 -\n1000 1001 -\n1001 1002 -\n1003 1003 -\n")
    found = learn.learn([read_log(tmp_path / "log.raw.txt")])
    assert found.shapes == ((1, 1, 1), (3, 2, 1))
    assert (found.texts, found.mean_texts, found.again) == (1004, 2.0, 0.5)
    assert (found.gap_seconds[0], found.gap_seconds[-1]) == (30.0, 45.0)
    assert (found.text_bytes[0], found.text_bytes[32], found.text_bytes[-1]) == (3, 10, 20)


def test_nothing_to_learn_from_is_told(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "tools.loadgen.learn", str(tmp_path)]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (2, "no log with annotations beside it\n")

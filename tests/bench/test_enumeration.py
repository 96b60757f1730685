"""The measure of login times: the statistics are right, and it asks a real server. No figure is judged here."""

from __future__ import annotations

import json
import random

from click.testing import CliRunner

from bench.__main__ import main
from bench.enumeration import KINDS, chance, kolmogorov_smirnov


def test_the_distance_of_two_samples() -> None:
    """Worked out by hand; ties count once."""
    assert kolmogorov_smirnov([1, 2, 3, 4], [1, 2, 3, 4]) == 0
    assert kolmogorov_smirnov([1, 2], [3, 4]) == 1
    assert kolmogorov_smirnov([1, 2, 3, 4], [3, 4, 5, 6]) == 0.5
    assert kolmogorov_smirnov([1, 1, 1, 2], [1, 2, 2, 2]) == 0.5


def test_chance_tells_samples_of_two_sources_apart() -> None:
    """Critical values for 5 % and 1 % of two samples of 100, and what a leak of a tenth looks like."""
    assert abs(chance(1.358 * (2 / 100) ** 0.5, 100, 100) - 0.05) < 0.01
    assert abs(chance(1.628 * (2 / 100) ** 0.5, 100, 100) - 0.01) < 0.004
    assert chance(0.0, 100, 100) == 1
    source = random.Random(1)
    one, same = ([source.gauss(40, 2) for _ in range(500)] for _ in range(2))
    leaking = [source.gauss(44, 2) for _ in range(500)]
    assert chance(kolmogorov_smirnov(one, same), 500, 500) > 0.01
    assert chance(kolmogorov_smirnov(one, leaking), 500, 500) < 0.001


def test_it_asks_a_real_server() -> None:
    """A few of each kind, in turns."""
    done = CliRunner().invoke(main, ["enumeration", "--samples", "3", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [(each["kind"], each["samples"]) for each in found] == [(kind, 3) for kind in KINDS]
    assert found[0]["p"] is None
    assert all(0 <= each["p"] <= 1 for each in found[1:])

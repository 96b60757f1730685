"""What repeats show, and how it is drawn: on one scale, whatever is compared."""

from __future__ import annotations

import re

import pytest

from bench.plot import MISSED, Dot, dots
from bench.spread import Spread, percentile, spread


def _places(svg: str) -> list[float]:
    return [float(place) for place in re.findall(r'<circle cx="([\d.]+)"', svg)]


def test_ten_times_as_much_is_as_far_everywhere() -> None:
    """And what is nothing has no place on a logarithmic scale."""
    groups = {
        "few": [Dot("a", Spread([1.0])), Dot("b", Spread([10.0]))],
        "many": [Dot("c", Spread([90.0, 100.0, 200.0])), Dot("none", Spread([0.0]))],
    }
    svg = dots("cost", "us", groups)
    first, second, third = _places(svg)
    assert second - first == pytest.approx(third - second, abs=0.2)
    assert second - first > 10
    assert [f">{label}<" in svg for label in ("few", "a", "many", "1 us", "100 us", "1,000 us", "none")] == [
        True
    ] * 6 + [False]
    assert dots("cost", "us", {"": [Dot("none", Spread([0.0]))]}) == ""


def test_a_mark_that_is_missed_is_seen() -> None:
    met, missed = (dots("cost", "us", {"": [Dot("<a>", Spread([4.0]), must=must)]}) for must in (5.0, 3.0))
    assert (MISSED in met, MISSED in missed) == (False, True)
    assert "&lt;a&gt;" in met


@pytest.mark.parametrize(
    ("values", "text"), [([2.0], "2"), ([1.0, 2.5, 1000.0], "2.50 (1–1,000)"), ([15.04, 15.04], "15.0")]
)
def test_a_spread_is_told(values: list[float], text: str) -> None:
    assert str(Spread(values)) == text
    assert spread([]) is None


@pytest.mark.parametrize(("values", "found"), [([], 0), ([7.0], 7.0), ([1.0, 3.0], 2.0), ([1.0, 2.0, 9.0], 2.0)])
def test_a_percentile_of_hardly_anything(values: list[float], found: float) -> None:
    """A run of a tenth of a second may have one value, and is no error for that."""
    assert percentile(values, 50) == found

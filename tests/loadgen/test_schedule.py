"""Intended times follow the rate, whatever its course."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from tools.loadgen.schedule import Schedule, Stretch


def test_even_arrivals_are_even() -> None:
    times = list(Schedule(4.0).times(Stretch(10.0, 12.0)))
    assert times == pytest.approx([10.25, 10.5, 10.75, 11.0, 11.25, 11.5, 11.75])


def test_a_gap_goes_on_in_the_next_phase() -> None:
    """Otherwise many short phases would send less than a long one."""
    schedule = Schedule(1.0)
    assert list(schedule.times(Stretch(0.0, 0.75))) == []
    assert list(schedule.times(Stretch(0.75, 1.5))) == pytest.approx([1.0])
    assert list(schedule.times(Stretch(1.5, 2.5))) == pytest.approx([2.0])


def test_a_ramp_sends_what_stands_under_its_line() -> None:
    """From nothing to 100 a second in 10 seconds: 500, a quarter of them in the first half."""
    times = list(Schedule(100.0).times(Stretch(0.0, 10.0, 0.0, 1.0)))
    assert len(times) in (499, 500)
    assert sum(time < 5.0 for time in times) in (124, 125)


def test_a_ramp_may_go_down_to_nothing() -> None:
    times = list(Schedule(100.0).times(Stretch(0.0, 10.0, 1.0, 0.0)))
    assert len(times) in (499, 500)
    assert times == sorted(times)
    assert times[-1] < 10.0


def test_random_arrivals_have_the_same_rate_and_other_gaps() -> None:
    """Those of many people who know nothing of each other: the gaps' deviation is their mean."""
    times = list(Schedule(1000.0, Random("seed")).times(Stretch(0.0, 20.0)))
    assert len(times) == pytest.approx(20_000, rel=0.05)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    mean = sum(gaps) / len(gaps)
    assert (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5 == pytest.approx(mean, rel=0.1)


def test_nothing_is_sent_at_a_scale_of_nothing() -> None:
    schedule = Schedule(10.0)
    assert list(schedule.times(Stretch(0.0, 5.0, 0.0, 0.0))) == []
    assert len(list(schedule.times(Stretch(5.0, 6.05)))) == 10

"""Latencies count by their intended time, and merging loses nothing."""

from __future__ import annotations

import json

import pytest

from tools.loadgen.measures import SAMPLES_PER_SECOND, Measures


def test_what_was_meant_for_a_measured_phase_counts_whenever_it_is_over() -> None:
    """A text that arrives after the end is the slowest of all; leaving it out would flatter the server."""
    measures = Measures()
    measures.measure(10.0, 20.0)
    measures.latency("delivered", 9.9, 10.1)
    measures.latency("delivered", 19.9, 29.9)
    assert measures.latencies["delivered"].get_total_count() == 1
    assert measures.percentiles("delivered")["max"] == pytest.approx(10_000, rel=0.001)


def test_merging_is_as_if_one_had_seen_all() -> None:
    both, parts = Measures(), [Measures(), Measures()]
    for measures in (both, *parts):
        measures.measure(0.0, 100.0)
    for number in range(1, 1001):
        for measures in (both, parts[number % 2]):
            measures.latency("durable", 0.0, number / 1000)
            measures.count("texts", 0.0)
    merged = Measures()
    for part in parts:
        merged.add(Measures.from_plain(json.loads(json.dumps(part.as_plain()))))
    assert merged.percentiles("durable") == both.percentiles("durable")
    assert merged.counts == both.counts
    assert merged.counts_by_second == both.counts_by_second


def test_of_a_phase_is_what_was_meant_for_it_and_all_of_that() -> None:
    """Whatever was kept for plots: who is slow in a second with many texts would be left out otherwise."""
    measures = Measures()
    measures.measure(0.0, 100.0)
    measures.latency("delivered", 9.5, 9.501)
    measures.begin_phase(10.0)
    measures.latency("delivered", 9.9, 59.9)
    measures.latency("durable", 10.0, 60.0)
    for number in range(2 * SAMPLES_PER_SECOND):
        measures.latency("delivered", 10.0, 10.001 if number < SAMPLES_PER_SECOND else 10.2)
    assert measures.phase.get_total_count() == 2 * SAMPLES_PER_SECOND
    assert measures.phase.get_value_at_percentile(99) == pytest.approx(200_000, rel=0.001)
    assert measures.phase.get_max_value() < 1_000_000
    measures.begin_phase(20.0)
    assert measures.phase.get_total_count() == 0


def test_nothing_measured_has_no_percentiles() -> None:
    assert Measures().percentiles("delivered") == {}


@pytest.mark.parametrize(
    "plain", [{}, {"latencies": {"a": "!"}, "counts": {}, "by_second": {}, "counts_by_second": {}}]
)
def test_a_damaged_file_is_an_error_that_can_be_caught(plain: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Measures.from_plain(plain)

"""The plots of a report say what was measured: lines can be told apart, ticks have units, gaps are no zeros."""

from __future__ import annotations

from collections.abc import Callable
from math import isnan

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tools.loadgen import scenario
from tools.loadgen.machine import Sample
from tools.loadgen.measures import Measures
from tools.loadgen.report import page, plots
from tools.loadgen.run import Options, Result
from tools.loadgen.scrape import Counted


@pytest.fixture
def result() -> Result:
    """Two seconds that are not measured, two that are, one without a text, and half of one."""
    measures = Measures()
    measures.measure(2.0, 5.5)
    for number in range(200):
        due = 2 + number / 100 if number < 150 else 5 + (number - 150) / 100
        for series in ("delivered", "durable"):
            measures.latency(series, due, due + 0.002 + number / 5000)
    phases = [
        {"begin": 0.0, "end": 2.0, "measured": False},
        {"begin": 2.0, "end": 5.5, "measured": True},
    ]
    samples = [Sample(at + 0.5, None if at == 3 else 0.1, 48.0, 1.5) for at in range(6)]
    counted = {"batch_entries": Counted({1.0: 5.0, 2.0: 7.0, 5.0: 9.0, 10.0: 9.0, float("inf"): 9.0}, 20.0)}
    options = Options("pairs", scenario.load("pairs"), "")
    return Result(options, measures, phases, [], [], samples, {}, {}, 0.0, "", counted)


Drawn = Callable[..., list[Axes]]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """The panels of one plot, drawn."""

    def draw(plot: Callable[..., str], *arguments: object) -> list[Axes]:
        kept: list[Figure] = []

        def keep(canvas: Figure) -> str:
            canvas.draw_without_rendering()
            kept.append(canvas)
            return ""

        monkeypatch.setattr(plots, "svg", keep)
        plot(*arguments)
        return kept[0].axes

    return draw


def _ticks(axes: Axes) -> list[str]:
    low, high = axes.get_ylim()
    return [
        text.get_text() for text, at in zip(axes.get_yticklabels(), axes.get_yticks(), strict=True) if low <= at <= high
    ]


def test_lines_that_lie_on_each_other_are_both_seen(drawn: Drawn, result: Result) -> None:
    (axes,) = drawn(plots.curves, result.measures, ["delivered", "durable"])
    below, above = axes.lines
    assert list(below.get_ydata()) == list(above.get_ydata())
    assert below.get_linewidth() > 2 * above.get_linewidth()
    assert (below.get_color(), below.get_marker()) != (above.get_color(), above.get_marker())
    assert axes.get_legend() is None, "it would lie on the lines"


def test_a_curve_ends_where_there_are_too_few_to_tell(drawn: Drawn, result: Result) -> None:
    (axes,) = drawn(plots.curves, result.measures, ["delivered"])
    assert max(axes.lines[0].get_xdata()) == pytest.approx(200), "99.5 of 100: the worst of 200"


def test_times_have_units(drawn: Drawn, result: Result) -> None:
    (axes,) = drawn(plots.over_time, result, "delivered")
    assert _ticks(axes) == ["10 ms", "20 ms"]
    assert [plots.duration(ms) for ms in (0.5, 200, 2000)] == ["0.5 ms", "200 ms", "2 s"]


def test_what_was_not_measured_is_a_gap(drawn: Drawn, result: Result) -> None:
    """And no line is drawn across a second without a text; a rate there is zero."""
    (axes,) = drawn(plots.over_time, result, "delivered")
    assert [isnan(value) for value in axes.lines[0].get_ydata()] == [False, False, True, False]
    (axes,) = drawn(plots.throughput, result, ["delivered"])
    before, *rates = list(axes.lines[0].get_ydata())[1:]
    assert isnan(before)
    assert rates == [100, 50, 0, 100], "the half second has half of the texts"
    assert axes.get_ylim()[0] == 0
    cores, memory = drawn(plots.usage, result)
    assert [isnan(value) for value in cores.lines[1].get_ydata()] == [at == 3 for at in range(6)]
    assert memory.get_ylim()[0] == 0


def test_batches_end_at_the_largest_there_was(drawn: Drawn, result: Result) -> None:
    (axes,) = drawn(plots.batch_sizes, result.counted["batch_entries"])
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "2", "3–5"]
    assert [bar.get_height() for bar in axes.patches] == [5, 2, 2]


def test_every_plot_is_on_the_page(result: Result) -> None:
    assert sum(text.startswith("<svg") for text in page._plots(result)) == 6

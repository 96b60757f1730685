"""The plots of a report, as SVG text.

Lines that may lie on each other are told apart: each is thinner than the one under it and has a mark of its own. What
was not measured is a gap, never a zero.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise
from math import floor, inf, log10, nan
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from tools.loadgen.measures import Measures
from tools.loadgen.run import Result
from tools.loadgen.scrape import Counted

mpl.use("svg")
STYLE: Any = {
    "svg.hashsalt": "wirechat",
    "font.size": 9,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.ymargin": 0.1,
    "grid.alpha": 0.3,
    "lines.markersize": 4,
    "legend.frameon": False,
}
COLORS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#999999")
"""Of Okabe and Ito: told apart by whoever does not see all colors."""
MARKS = "os^DvXdP"
WIDEST, NARROWEST = 4.0, 1.2
NINES = (0.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.95, 99.99, 99.995, 99.999)
NAMED_NINES = (50.0, 90.0, 99.0, 99.9, 99.99, 99.999)
WIDE_DECADES = 2.5
"""A logarithmic axis that shows more than this has a tick at each decade only."""
SHARE_MIN = 0.05
"""Of a second that must have been measured for a rate of it."""


def svg(canvas: Canvas) -> str:
    """Without anything that depends on the day."""
    out = io.StringIO()
    canvas.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def duration(ms: float) -> str:
    """As people say it: "0.5 ms", "20 ms", "1 s"."""
    return f"{ms / 1000:g} s" if ms >= 1000 else f"{ms:g} ms"


DURATIONS = FuncFormatter(lambda value, _: duration(value))


def _panels(title: str, count: int = 1, inches: float = 3.2) -> tuple[Canvas, Sequence[Axes]]:
    """One above the other, with the same horizontal axis."""
    canvas = Canvas(figsize=(8.4, inches), layout="constrained")
    panels = list(canvas.subplots(count, 1, sharex=True, squeeze=False)[:, 0])
    panels[0].set_title(title)
    return canvas, panels


def _lines(axes: Axes, series: Sequence[tuple[str, Sequence[float], Sequence[float]]]) -> None:
    """Each a name, its places and its values."""
    step = (WIDEST - NARROWEST) / max(1, len(series) - 1)
    for at, (name, places, values) in enumerate(series):
        color, mark = COLORS[at % len(COLORS)], MARKS[at % len(MARKS)]
        axes.plot(places, values, marker=mark, linewidth=WIDEST - at * step, color=color, label=name)


def _legend(canvas: Canvas) -> None:
    """Beside the plot, where it hides nothing."""
    canvas.legend(loc="outside right upper")


def _durations(axes: Axes) -> None:
    """A logarithmic axis in the words of `duration`, from a whole power of ten on."""
    axes.set_yscale("log")
    low, high = axes.dataLim.intervaly
    axes.set_ylim(bottom=10 ** floor(log10(low)))
    steps = (1.0,) if log10(high / low) > WIDE_DECADES else (1.0, 2.0, 5.0)
    axes.yaxis.set_major_locator(LogLocator(subs=steps))
    axes.yaxis.set_major_formatter(DURATIONS)
    axes.minorticks_off()


def _from_zero(panels: Sequence[Axes]) -> None:
    """With some room above the highest value."""
    for axes in panels:
        highest = axes.dataLim.y1
        axes.set_ylim(0, highest * 1.12 if 0 < highest < inf else 1)


def _over_time(panels: Sequence[Axes], result: Result) -> None:
    """From the beginning of the run to its end; what was not measured is shaded."""
    end = max([phase["end"] for phase in result.phases] + [sample.second for sample in result.samples], default=1.0)
    for axes in panels:
        axes.set_xlim(0, end * 1.02)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        shaded = [phase for phase in result.phases if not phase["measured"]]
        for phase in shaded:
            label = "not measured" if phase is shaded[0] and axes is panels[0] else None
            axes.axvspan(phase["begin"], phase["end"], color="#f0f0f0", zorder=0, label=label)
    panels[-1].set_xlabel("seconds since the run began")


def curves(measures: Measures, series: Sequence[str]) -> str:
    """Latency by percentile, the nines spread out, as far as there are enough to tell."""
    with mpl.rc_context(STYLE):
        canvas, (axes,) = _panels("Latency by percentile")
        found = []
        for name in series:
            times = measures.latencies[name]
            told = [nine for nine in NINES if times.get_total_count() * (1 - nine / 100) >= 1]
            found.append((name, list(map(_place, told)), [times.get_value_at_percentile(nine) / 1000 for nine in told]))
        _lines(axes, found)
        axes.set_xscale("log")
        axes.set_xticks([_place(nine) for nine in NAMED_NINES], [f"{nine:g}" for nine in NAMED_NINES])
        axes.set_xlim(0.9, max(place for _, places, _ in found for place in places) * 1.2)
        axes.set_xlabel("so many of 100 took at most so long")
        _durations(axes)
        _legend(canvas)
        return svg(canvas)


def _place(percentile: float) -> float:
    return 1 / (1 - percentile / 100)


def over_time(result: Result, series: str) -> str:
    """p50 and p99 of each second, by the intended time."""
    with mpl.rc_context(STYLE):
        canvas, panels = _panels(f"{series.capitalize()} over time")
        samples = {second: sorted(found) for second, found in result.measures.by_second[series].items()}
        seconds = range(min(samples), max(samples) + 1)
        middles = [second + 0.5 for second in seconds]
        found = [
            (
                name,
                middles,
                [each[int(len(each) * part)] * 1000 if (each := samples.get(at)) else nan for at in seconds],
            )
            for name, part in (("p99", 0.99), ("p50", 0.5))
        ]
        _lines(panels[0], found)
        _durations(panels[0])
        _over_time(panels, result)
        _legend(canvas)
        return svg(canvas)


def throughput(result: Result, series: Sequence[str]) -> str:
    """How many a second."""
    with mpl.rc_context(STYLE):
        canvas, panels = _panels("Throughput")
        counts = result.measures.counts_by_second
        seconds = range(int(max((phase["end"] for phase in result.phases), default=0)) + 1)
        shares = [_measured(result, second) for second in seconds]
        middles = [second + 0.5 for second in seconds]
        _lines(
            panels[0],
            [
                (name, middles, [counts[name][at] / share for at, share in zip(seconds, shares, strict=True)])
                for name in series
            ],
        )
        _from_zero(panels)
        panels[0].set_ylabel("a second")
        _over_time(panels, result)
        _legend(canvas)
        return svg(canvas)


def _measured(result: Result, second: int) -> float:
    """Which part of this second was measured; not a number if it was none."""
    spans = [(phase["begin"], phase["end"]) for phase in result.phases if phase["measured"]]
    share = sum((max(0.0, min(end, second + 1) - max(begin, second)) for begin, end in spans), 0.0)
    return share if share >= SHARE_MIN else nan


def usage(result: Result) -> str:
    """CPU of the server and of the machine; below it the server's memory, when anybody tells."""
    samples = result.samples
    seconds = [sample.second for sample in samples]
    watched = any(sample.server_cpu is not None or sample.server_mib is not None for sample in samples)
    with mpl.rc_context(STYLE):
        canvas, panels = _panels("CPU and memory", 2 if watched else 1, 4.0 if watched else 3.2)
        cpu = [("the whole machine", seconds, [sample.machine_cpu for sample in samples])]
        if watched:
            cpu.append(("the server", seconds, [_known(sample.server_cpu) for sample in samples]))
            panels[1].plot(seconds, [_known(sample.server_mib) for sample in samples], "o-", color=COLORS[1])
            panels[1].set_ylabel("MiB of the server")
        _lines(panels[0], cpu)
        panels[0].set_ylabel("cores")
        _from_zero(panels)
        _over_time(panels, result)
        _legend(canvas)
        return svg(canvas)


def commits(result: Result) -> str:
    """Of the server's journal: how long a commit takes, and how late the server's loop was; below, what shares one."""
    samples = result.samples
    seconds = [sample.second for sample in samples]
    with mpl.rc_context(STYLE):
        canvas, panels = _panels("Commits and loop of the server", 2, 4.0)
        _lines(
            panels[0],
            [
                ("one commit", seconds, [_known(sample.commit_ms) for sample in samples]),
                ("lag of its loop", seconds, [_known(sample.loop_lag_ms) for sample in samples]),
            ],
        )
        panels[0].yaxis.set_major_formatter(DURATIONS)
        panels[1].plot(seconds, [_known(sample.batch_entries) for sample in samples], "o-", color=COLORS[2])
        panels[1].set_ylabel("entries in one")
        _from_zero(panels)
        _over_time(panels, result)
        _legend(canvas)
        return svg(canvas)


def _known(value: float | None) -> float:
    return nan if value is None else value


def batch_sizes(batches: Counted) -> str:
    """How many commits had how many entries, up to the largest that there was."""
    with mpl.rc_context(STYLE):
        canvas, (axes,) = _panels("Batch sizes")
        bounds = sorted(batches.at_most)
        needed = sum(batches.at_most[bound] < batches.count for bound in bounds) + 1
        names = [_span(above, bound) for above, bound in pairwise([0.0, *bounds[:needed]])]
        counts = [batches.at_most[bound] for bound in bounds[:needed]]
        axes.bar(names, [count - before for before, count in pairwise([0.0, *counts])], color=COLORS[0])
        axes.set_xlabel("entries in one commit")
        axes.set_ylabel("commits")
        return svg(canvas)


def _span(above: float, bound: float) -> str:
    """Of whole numbers."""
    if bound == inf:
        return f"above {above:g}"
    return f"{bound:g}" if above + 1 == bound else f"{above + 1:g}–{bound:g}"

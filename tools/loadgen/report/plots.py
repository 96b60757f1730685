"""The plots of a report, as SVG text."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise
from math import nan
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from tools.loadgen.machine import Sample
from tools.loadgen.measures import Measures
from tools.loadgen.run import Result
from tools.loadgen.scrape import Counted

mpl.use("svg")
STYLE: Any = {
    "svg.hashsalt": "wirechat",
    "font.size": 9,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "figure.autolayout": True,
}
NINES = (0.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.95, 99.99, 99.999)


def svg(canvas: Canvas) -> str:
    """Without anything that depends on the day."""
    out = io.StringIO()
    canvas.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def _axes(title: str, xlabel: str, ylabel: str) -> tuple[Canvas, Axes]:
    canvas = Canvas(figsize=(7.2, 3.2))
    axes = canvas.add_subplot()
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    return canvas, axes


def curves(measures: Measures, series: Sequence[str]) -> str:
    """Latency by percentile, the nines spread out."""
    with mpl.rc_context(STYLE):
        canvas, axes = _axes("Latency by percentile", "percentile", "ms")
        places = [1 / (1 - nine / 100) for nine in NINES]
        for name in series:
            found = measures.latencies[name]
            axes.plot(places, [found.get_value_at_percentile(nine) / 1000 for nine in NINES], marker=".", label=name)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(places[1::2], [f"{nine:g}" for nine in NINES[1::2]])
        axes.minorticks_off()
        axes.legend()
        return svg(canvas)


def over_time(measures: Measures, series: str) -> str:
    """p50 and p99 of each second, by the intended time."""
    with mpl.rc_context(STYLE):
        canvas, axes = _axes(f"{series.capitalize()} over time", "second of the run", "ms")
        seconds = sorted(measures.by_second[series])
        for name, part in (("p50", 0.5), ("p99", 0.99)):
            ordered = [sorted(measures.by_second[series][second]) for second in seconds]
            axes.plot(seconds, [each[int(len(each) * part)] * 1000 for each in ordered], label=name)
        axes.set_yscale("log")
        axes.legend()
        return svg(canvas)


def throughput(measures: Measures, series: Sequence[str]) -> str:
    """How many a second."""
    with mpl.rc_context(STYLE):
        canvas, axes = _axes("Throughput", "second of the run", "a second")
        for name in series:
            seconds = sorted(measures.counts_by_second[name])
            axes.plot(seconds, [measures.counts_by_second[name][second] for second in seconds], label=name)
        axes.set_ylim(bottom=0)
        axes.legend()
        return svg(canvas)


def usage(result: Result) -> str:
    """CPU of the server and of the machine, and the server's memory."""
    with mpl.rc_context(STYLE):
        canvas, axes = _axes("CPU and memory", "second of the run", "cores")
        seconds = [sample.second for sample in result.samples]
        axes.plot(seconds, [sample.machine_cpu for sample in result.samples], label="the whole machine", color="gray")
        if any(sample.server_cpu is not None for sample in result.samples):
            axes.plot(seconds, [sample.server_cpu or 0.0 for sample in result.samples], label="server")
            memory = axes.twinx()
            memory.plot(seconds, [sample.server_mib or 0.0 for sample in result.samples], "--", color="tab:orange")
            memory.set_ylabel("server memory, MiB (dashed)")
            memory.set_ylim(bottom=0)
            memory.grid(visible=False)
        axes.set_ylim(bottom=0)
        axes.legend(loc="lower right")
        return svg(canvas)


def commits(samples: Sequence[Sample]) -> str:
    """Of the server's journal: how many entries share one, how long it takes; and how late the server's loop was."""
    with mpl.rc_context(STYLE):
        canvas, axes = _axes("Commits and loop of the server", "second of the run", "ms")
        seconds = [sample.second for sample in samples]
        for name, values in (
            ("one commit", [sample.commit_ms for sample in samples]),
            ("loop lag", [sample.loop_lag_ms for sample in samples]),
        ):
            axes.plot(seconds, [nan if value is None else value for value in values], label=name)
        sizes = axes.twinx()
        entries = [nan if sample.batch_entries is None else sample.batch_entries for sample in samples]
        sizes.plot(seconds, entries, "--", color="tab:green")
        sizes.set_ylabel("entries in one commit (dashed)")
        sizes.set_ylim(bottom=0)
        sizes.grid(visible=False)
        axes.set_ylim(bottom=0)
        axes.legend()
        return svg(canvas)


def batch_sizes(batches: Counted) -> str:
    """How many commits had how many entries."""
    with mpl.rc_context(STYLE):
        canvas, axes = _axes("Batch sizes", "entries in one commit, at most", "commits")
        bounds = sorted(batches.at_most)
        counts = [batches.at_most[bound] for bound in bounds]
        own = [count - before for before, count in pairwise([0.0, *counts])]
        axes.bar([f"{bound:g}" for bound in bounds], own)
        return svg(canvas)

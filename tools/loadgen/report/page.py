"""A result as one HTML file that needs nothing else."""

from __future__ import annotations

import datetime
import html
import json
from collections.abc import Iterable

from tools.loadgen import scenario
from tools.loadgen.measures import ABOUT, OWN_SERIES, PERCENTILES
from tools.loadgen.report import plots
from tools.loadgen.report.figures import errors, figures, verdict
from tools.loadgen.run import Result
from tools.pages import document, html_table, number
from wirechat.settings.urls import shown


def page(result: Result, command: str, commit: str) -> str:
    """The file's text. `command` is what was typed, `commit` of what."""
    word, sentence = verdict(result)
    options = result.options
    when = datetime.datetime.fromtimestamp(result.began, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    parts = [
        f"<h1>{_e(options.name)}</h1><p>{_e(options.scenario.about)}<br>{_e(when)}, {_e(shown(options.url))}</p>",
        f'<p class="verdict {word.replace(" ", "-")}"><b>{_e(word)}</b>: {_e(sentence)}</p>',
        _violations(result.violations),
        "<h2>Latencies</h2><p>In milliseconds, each counted from the time it was meant to begin.</p>",
        _latencies(result),
        *_plots(result),
        "<h2>Figures</h2>",
        html_table(
            (),
            [
                (each.name, number(each.value), each.unit, each.about)
                for each in figures(result)
                if each.value is not None
            ],
        ),
        _errors(errors(result)),
        "<h2>How it was made</h2>",
        html_table((), [(name, str(value)) for name, value in _made(result, command, commit).items()]),
        f"<pre>{_e(json.dumps(scenario.to_plain(options.scenario), indent=1))}</pre>",
    ]
    return document(f"{options.name}: {word}", parts)


def _e(text: str) -> str:
    return html.escape(text)


def _violations(found: list[str]) -> str:
    first = "\n".join(found[:50])
    more = f"\nand {len(found) - 50:,} more" if len(found) > 50 else ""
    return f"<pre>{_e(first + more)}</pre>" if found else ""


def _latencies(result: Result) -> str:
    heads = ("", "count", *("max" if each == 100 else f"p{each:g}" for each in PERCENTILES), "")
    rows = []
    for series, about in ABOUT.items():
        if found := result.measures.percentiles(series):
            count = int(result.measures.latencies[series].get_total_count())
            rows.append((series, f"{count:,}", *(f"{value:,.2f}" for value in found.values()), about))
    return html_table(heads, rows)


def _plots(result: Result) -> Iterable[str]:
    measures = result.measures
    series = [name for name in ABOUT if name not in OWN_SERIES and measures.percentiles(name)]
    if series:
        yield plots.curves(measures, series)
        yield plots.throughput(result, series)
        yield plots.over_time(result, series[0])
    if result.samples:
        yield plots.usage(result)
    if batches := result.counted.get("batch_entries"):
        yield plots.commits(result)
        yield plots.batch_sizes(batches)


def _errors(found: dict[str, int]) -> str:
    if not found:
        return ""
    return "<h2>Errors</h2>" + html_table((), [(name, f"{count:,}") for name, count in found.items()])


def _made(result: Result, command: str, commit: str) -> dict[str, object]:
    options = result.options
    return {
        "command": command,
        "commit": commit,
        "seed": options.seed,
        "processes": options.processes,
        "deliveries checked": "yes" if options.check else "no",
        **{name.replace("_", " "): value for name, value in result.machine.items()},
    }

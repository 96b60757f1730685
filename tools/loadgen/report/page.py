"""A result as one HTML file that needs nothing else."""

from __future__ import annotations

import datetime
import html
import json
from collections.abc import Iterable

from tools.loadgen import scenario
from tools.loadgen.measures import ABOUT, OWN_SERIES
from tools.loadgen.report import plots
from tools.loadgen.report.figures import errors, figures, verdict
from tools.loadgen.report.table import number
from tools.loadgen.run import Result
from wirechat.settings.urls import shown

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #222; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; } td, th { padding: .15rem .8rem .15rem 0; text-align: left; vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; } td.about { color: #666; }
.verdict { padding: .6rem 1rem; border-radius: .3rem; margin: 1rem 0; }
.valid { background: #e3f4e3; } .broken { background: #fbdcdc; } .partial, .not-valid { background: #fdf0d0; }
svg { max-width: 100%; height: auto; } pre { background: #f5f5f5; padding: .8rem; overflow-x: auto; }
"""


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
        _table(
            (each.name, number(each.value), each.unit, each.about) for each in figures(result) if each.value is not None
        ),
        _errors(errors(result)),
        "<h2>How it was made</h2>",
        _table((name, str(value), "", "") for name, value in _made(result, command, commit).items()),
        f"<pre>{_e(json.dumps(scenario.to_plain(options.scenario), indent=1))}</pre>",
    ]
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{_e(options.name)}: {_e(word)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>{"".join(parts)}</html>\n'
    )


def _e(text: str) -> str:
    return html.escape(text)


def _violations(found: list[str]) -> str:
    shown = "\n".join(found[:50])
    more = f"\nand {len(found) - 50:,} more" if len(found) > 50 else ""
    return f"<pre>{_e(shown + more)}</pre>" if found else ""


def _latencies(result: Result) -> str:
    rows = []
    for series in [*ABOUT, *sorted(set(result.measures.latencies) - set(ABOUT))]:
        found = result.measures.percentiles(series)
        if found:
            count = int(result.measures.latencies[series].get_total_count())
            cells = "".join(f'<td class="n">{value:,.2f}</td>' for value in found.values())
            about = f'<td class="about">{_e(ABOUT.get(series, ""))}</td>'
            rows.append(f'<tr><td>{_e(series)}</td><td class="n">{count:,}</td>{cells}{about}</tr>')
    head = "".join(f'<th class="n">{name}</th>' for name in ("count", "p50", "p90", "p99", "p99.9", "max"))
    return f"<table><tr><th></th>{head}<th></th></tr>{''.join(rows)}</table>"


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


def _table(rows: Iterable[tuple[str, str, str, str]]) -> str:
    lines = [
        f'<tr><td>{_e(name)}</td><td class="n">{_e(value)}</td><td>{_e(unit)}</td>'
        f'<td class="about">{_e(about)}</td></tr>'
        for name, value, unit, about in rows
    ]
    return f"<table>{''.join(lines)}</table>"


def _errors(found: dict[str, int]) -> str:
    if not found:
        return ""
    rows = "".join(f"<tr><td>{_e(name)}</td><td class='n'>{count:,}</td></tr>" for name, count in found.items())
    return f"<h2>Errors</h2><table>{rows}</table>"


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

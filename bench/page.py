"""A result as one HTML file that needs nothing else, and the plots that the documents share with it."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.benchmark import FIGURES
from bench.plot import Dot, dots
from bench.report import mark_of
from bench.spread import Spread
from tools.pages import document, html_table, number

Plain = Mapping[str, Any]
"""As `report.as_plain` made it."""


def page(plain: Plain) -> str:
    """The file's text."""
    commits = ", beside ".join(plain["commits"])
    parts = [
        f"<h1>wirechat {_e(commits)}</h1><p>{_e(plain['began'])}, {plain['took_seconds'] / 60:.0f} minutes</p>",
        "<p>Medians of the repeats, with the lowest and the highest. Marks: what a figure must not exceed, in brackets"
        " what is aimed at.</p>",
        *(_benchmark(each, plain["commits"]) for each in plain["benchmarks"]),
        "<h2>How it was made</h2>",
        html_table((), ((name.replace("_", " "), str(value)) for name, value in made(plain).items())),
    ]
    return document(f"wirechat {commits}", parts)


def made(plain: Plain) -> dict[str, Any]:
    """What a reader must know of a run."""
    return {
        "command": plain["command"],
        "repeats": plain["repeat"],
        "sizes": "small, the figures mean little" if plain["quick"] else "full",
        **plain["machine"],
    }


def plot(benchmark: Plain) -> str | None:
    """The leading figure of each row of the first side; None when there is nothing to draw."""
    found: dict[str, list[Dot]] = {}
    for row in benchmark["rows"]:
        figure = next((name for name in FIGURES if name in row["figures"]), None)
        side = row["figures"][figure]["sides"][0] if figure else None
        if figure and side:
            mark = mark_of(row["name"], figure)
            marks = (mark.must, mark.stretch) if mark else (None, None)
            found.setdefault(figure, []).append(Dot(row["name"], Spread(side["values"]), *marks))
    if not found:
        return None
    figure, rows = max(found.items(), key=lambda pair: len(pair[1]))
    return dots(f"{benchmark['name']}: {FIGURES[figure].about}", FIGURES[figure].unit, {"": rows})


def _benchmark(benchmark: Plain, commits: Sequence[str]) -> str:
    medians = [head for commit in commits for head in (commit, "from", "to")]
    ratios = [head for commit in commits[1:] for head in (f"ratio to {commit}", "")]
    head = ["row", "figure", *medians, *ratios, "mark", ""]
    absent = "".join(f"<p>absent at {_e(each['commit'])}: {_e(each['why'])}</p>" for each in benchmark["absent"])
    title = f"<h2>{_e(benchmark['name'])}</h2><p>{_e(benchmark['question'])}</p>"
    return title + absent + (plot(benchmark) or "") + html_table(head, _rows(benchmark))


def _rows(benchmark: Plain) -> Iterator[list[str]]:
    for row in benchmark["rows"]:
        for at, (figure, found) in enumerate(row["figures"].items()):
            cells = [row["name"] if not at else "", FIGURES[figure].title]
            for side in found["sides"]:
                cells += [number(side[name]) if side else "" for name in ("median", "low", "high")]
            for ratio, verdict in zip(found["ratios"], found["verdicts"], strict=True):
                cells += [
                    f"{ratio['median']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})" if ratio else "",
                    verdict,
                ]
            mark = mark_of(row["name"], figure)
            yield [*cells, f"{mark.must:g} ({mark.stretch:g})" if mark else "", row["about"] if not at else ""]


def _e(text: str) -> str:
    return html.escape(text)

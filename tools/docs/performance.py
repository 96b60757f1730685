"""The page about performance: the newest result in bench/results as tables and plots.

A result there is a run of all benchmarks on one work tree, as `python -m bench --save bench/results` wrote it; those of
rivals have their own page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

from bench import results
from bench.benchmark import FIGURES, MARKS, NAMES
from bench.page import made, plot
from bench.report import FORMAT
from bench.spread import Spread
from tools.pages import markdown_table

ROOT = Path(__file__).resolve().parents[2]
PLOTS = "docs/images/performance"

PAGE = """\
# Performance

What wirechat costs and how long it takes, as its own [benchmarks](benchmarks.md) measure it; `make bench` makes these
figures on any machine. This page follows from `bench/results/{name}`:

{made}
{busy}
## How to read it

* A figure is the median over the repeats; in brackets stand the lowest and the highest. Where those are far apart, the
  machine was busy with something else.
* CPU time is that of the server process, user and system, all threads, unless a table says otherwise. It is for each
  **delivery**: a text that reached one member, with its share of decoding, checking, committing and acknowledging.
  Other work on the machine raises it somewhat. Latencies and figures "a second" say as much of the machine as of the
  server.
* Nothing is acknowledged before it is on disk (SQLite with `synchronous=FULL`, one `fsync` for each commit), and every
  run checks that each text was acknowledged once and reached everybody else once, or it has no figure.
* The *floor* is the price of sockets and of Trio's loop at that moment: the same bytes through a relay that stores and
  promises nothing. Compare distances to it, not figures of two days.
* The plots have a logarithmic scale. A dot is the median, a band the range, a line what a figure must not exceed, a
  dashed one what is aimed at.

## Marks

What the project holds itself to, on a machine with two cores of this class. Some are shares of what a rival cost for
the same work on such a machine once; [beside rivals](#beside-rivals) both are measured in the same run.

{marks}

{sections}
## Beside rivals

{peers}

## What a figure does not say

* **It is one process on one core.** The generator takes the other core. A server with more cores is not faster, one
  with slower disks commits larger batches.
* **A closed loop is kind.** With a window, a slow server is asked less. For what a person waits read `pairs_500`, whose
  texts come at fixed times, and the open loops of [`wirechat loadgen`](loadgen.md).
* **Texts have 64 bytes.** Longer ones cost what SQLite, the kernel and TLS take for their bytes.
* **Everybody reads.** A client that does not costs less CPU and some memory ([backpressure](topics/backpressure.md)).
* **Memory is the server's.** Buffers of sockets are the kernel's, and come on top when a reader is slow.
* **A median hides the tail.** p99 in these runs is that of the machine they ran on.
"""


def page() -> str:
    """The whole page."""
    path, result = newest()
    return PAGE.format(
        name=path.name,
        made=markdown_table(("", ""), ((name.replace("_", " "), str(value)) for name, value in _made(result).items())),
        busy=_busy(result["machine"]),
        marks=markdown_table(("row", "figure", "must", "aimed at", "shares", "here", ""), _marks(result)),
        sections="\n".join(_section(each) for each in result["benchmarks"]),
        peers=_peers(),
    )


def plots() -> dict[str, Callable[[], str]]:
    """Path in the repository -> what makes the plot."""
    return {f"{PLOTS}/{name}.svg": partial(_plot, name) for name in NAMES}


@cache
def newest() -> tuple[Path, Mapping[str, Any]]:
    """The result with the latest date; small ones and comparisons do not count."""
    return [pair for pair in results.kept(FORMAT) if not pair[1]["quick"] and len(pair[1]["commits"]) == 1][-1]


def _plot(name: str) -> str:
    benchmarks = newest()[1]["benchmarks"]
    return next((plot(each) or "" for each in benchmarks if each["name"] == name), "")


def _made(result: Mapping[str, Any]) -> dict[str, Any]:
    commit = {"measured": result["began"], "commit": result["commits"][0], "minutes": result["took_seconds"] // 60}
    return commit | made(result)


def _busy(machine: Mapping[str, Any]) -> str:
    """A warning when others had the machine too."""
    load, cores = machine["load_before"], machine["cores"]
    if load <= cores / 2:
        return ""
    return (
        f"\n**The machine was busy with other work: a load of {load:g} on {cores} cores before the run began.**\n"
        "Latencies and figures a second say nothing then, and CPU time is higher than on a quiet machine: a mark\n"
        "that is missed here may be met there. The run took longer, too.\n"
    )


def _marks(result: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    rows = {row["name"]: row["figures"] for benchmark in result["benchmarks"] for row in benchmark["rows"]}
    for row, marks in MARKS.items():
        for mark in marks:
            found = rows.get(row, {}).get(mark.figure)
            verdict = ""
            if found:
                value = found["sides"][0]["median"]
                verdict = "reached" if value <= mark.stretch else "met" if value <= mark.must else "**missed**"
            here = _spread(found)
            yield f"`{row}`", FIGURES[mark.figure].title, f"{mark.must:g}", f"{mark.stretch:g}", mark.of, here, verdict


def _section(benchmark: Mapping[str, Any]) -> str:
    name = benchmark["name"]
    figures = [figure for figure in FIGURES if any(figure in row["figures"] for row in benchmark["rows"])]
    rows = (
        (f"`{row['name']}`", row["about"], *(_spread(row["figures"].get(figure)) for figure in figures))
        for row in benchmark["rows"]
    )
    meanings = "\n".join(f"* {FIGURES[figure].title}: {FIGURES[figure].about}" for figure in figures)
    table = markdown_table(("row", "", *(FIGURES[figure].title for figure in figures)), rows)
    picture = f"![{benchmark['question']}](images/performance/{name}.svg)"
    return (
        f"## {name.replace('_', ' ').capitalize()}\n\n{benchmark['question']}\n\n{table}\n\n{meanings}\n\n{picture}\n"
    )


def _spread(found: Mapping[str, Any] | None) -> str:
    side = found["sides"][0] if found else None
    return "" if side is None else str(Spread(side["values"]))


def _peers() -> str:
    if (ROOT / "docs" / "peers.md").exists():
        return "The same work on other servers, in the same run and in turns: [rivals](peers.md)."
    return "Not measured yet."

"""What the rounds come to: medians with the lowest and the highest, and ratios within each round."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from bench import results
from bench.spread import Spread, spread

FORMAT = "wirechat-peers 1"
OWN = "wirechat"

Run = Mapping[str, Any]


@attrs.frozen
class Line:
    """One server in one cell."""

    cell: str
    name: str
    unit: str
    price: Spread | None
    """What it takes, in `unit`; None if there is no figure."""
    ratio: Spread | None
    """What ours takes for what this one takes; None for ours."""
    p50_ms: float | None
    per_second: float | None
    client_us: float | None
    notes: tuple[str, ...]
    """What speaks against the figure, or why there is none."""


def lines(plain: Mapping[str, Any]) -> list[Line]:
    """Of a result, cell by cell."""
    return [
        _line(name, cell, server, runs)
        for name, cell in plain["cells"].items()
        for server, runs in cell["runs"].items()
    ]


def _line(name: str, cell: Mapping[str, Any], server: str, runs: Sequence[Run]) -> Line:
    unit = cell["unit"]
    own = cell["runs"].get(OWN, [])
    good = [run for run in runs if _price(run, unit) is not None]
    ratios = [
        mine / theirs
        for mine, theirs in ((_price(a, unit), _price(b, unit)) for a, b in zip(own, runs, strict=False))
        if mine is not None and theirs
    ]
    return Line(
        name,
        server,
        unit,
        spread(run[unit.lower()] for run in good),
        spread(ratios) if server != OWN else None,
        _median(run.get("p50_ms") for run in good),
        _median(run.get("per_second") for run in good),
        _median(run.get("client_us") for run in good),
        tuple(_notes(runs)),
    )


def _price(run: Run, unit: str) -> float | None:
    """None where there is none: the server failed, or was so far behind that the figure is of something else."""
    return None if "failed" in run or run.get("saturated") else float(run[unit.lower()])


def _median(values: Iterable[float | None]) -> float | None:
    found = spread(value for value in values if value is not None)
    return None if found is None else found.median


def _notes(runs: Sequence[Run]) -> Iterator[str]:
    failed = [run["failed"] for run in runs if "failed" in run]
    whole = [run for run in runs if "failed" not in run]
    saturated = [run for run in whole if run.get("saturated")]
    if saturated:
        got = statistics.median(run["per_second"] for run in saturated)
        yield f"could not keep up in {len(saturated)} of {len(runs)} rounds ({got:,.0f} a second)"
    late = sum(run.get("missing", 0) for run in whole if not run.get("saturated"))
    if late:
        yield f"{late} acknowledgements and deliveries did not come"
    if any(run.get("wrong") for run in whole):
        yield "texts were lost or came twice"
    for why in sorted(set(failed)):
        yield f"no figure in {failed.count(why)} of {len(runs)} rounds: {why}"


def kept() -> list[Mapping[str, Any]]:
    """The results that are kept with the code, oldest first."""
    return [plain for _, plain in results.kept(FORMAT)]


def newest(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The newest of each cell and server, as one result; of each cell also its result, as `of`."""
    cells: dict[str, Any] = {}
    servers: dict[str, Any] = {}
    for result in found:
        servers |= result["servers"]
        cells |= {name: {**cell, "of": result} for name, cell in result["cells"].items()}
    return {"cells": cells, "servers": servers}


def stated(plain: Mapping[str, Any]) -> dict[tuple[str, str], Spread]:
    """The ratios of a result by cell and server."""
    return {(line.cell, line.name): line.ratio for line in lines(plain) if line.ratio is not None}


def to_json(plain: Mapping[str, Any]) -> str:
    """A run a line, so that two results can be compared as text."""
    cells = plain["cells"]
    head = json.dumps({key: value for key, value in plain.items() if key != "cells"}, indent=1)
    parts = []
    for name, cell in cells.items():
        servers = [
            f"   {json.dumps(server)}: [\n    " + ",\n    ".join(json.dumps(_rounded(run)) for run in runs) + "\n   ]"
            for server, runs in cell["runs"].items()
        ]
        about = json.dumps({key: value for key, value in cell.items() if key != "runs"})
        parts.append(f'  {json.dumps(name)}: {about[:-1]}, "runs": {{\n' + ",\n".join(servers) + "\n  }}")
    return head[:-2] + ',\n "cells": {\n' + ",\n".join(parts) + "\n }\n}\n"


def _rounded(run: Run) -> dict[str, Any]:
    return {key: float(f"{value:.5g}") if isinstance(value, float) else value for key, value in run.items()}

"""Benchmarks run over and over, the sides taking turns, and what comes of it.

Rules:
* Within a repeat every row runs on each side in turn, in the opposite order in each second repeat.
* A figure is the median over the repeats, with the lowest and highest. Every repeat has fresh processes and fresh
  stores. Ratios are taken within each repeat.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

import attrs

from bench.benchmark import FIGURES, BenchError, Benchmark, Run
from bench.spread import Spread, spread
from bench.worker import Worker

NOISE = 0.03
"""Two sides with the same code differ by so much in a ratio, whatever the spread of a few repeats says."""


@attrs.frozen
class Plan:
    """What to measure, and how thoroughly."""

    benchmarks: Sequence[tuple[Benchmark, tuple[str, ...]]]
    """Each with the rows wanted."""
    roots: tuple[Path, ...]
    """Work trees; the first is our own."""
    repeat: int
    seconds: float
    quick: bool
    trace: bool
    tell: Callable[[str], None]
    """Progress, for people."""


@attrs.frozen
class Cell:
    """One figure of one row, for each side; None where a side has none."""

    benchmark: str
    row: str
    figure: str
    sides: tuple[Spread | None, ...]

    def ratio(self, side: int) -> Spread | None:
        """Ours to theirs, repeat by repeat."""
        ours, theirs = self.sides[0], self.sides[side]
        if ours is None or theirs is None:
            return None
        return spread(one / other for one, other in zip(ours.values, theirs.values, strict=False) if other)

    def verdict(self, side: int) -> str:
        """Which of us and them is better, if that can be told; empty without a ratio."""
        ratio = self.ratio(side)
        if ratio is None:
            return ""
        if not ratio.is_known:
            return "one run each: no spread known"
        if ratio.low <= 1 + NOISE and ratio.high >= 1 - NOISE:
            return "no difference beyond the spread"
        return "better" if (ratio.median > 1) == FIGURES[self.figure].more_is_better else "worse"


@attrs.frozen
class Absent:
    """A benchmark that a side could not run. Only of another tree may that be so."""

    benchmark: str
    side: int
    why: str


@attrs.frozen
class Outcome:
    """Everything that was seen."""

    cells: list[Cell]
    absent: list[Absent]
    commits: tuple[str, ...]
    """Revision of each side."""

    @property
    def failure(self) -> str | None:
        """Why this run proves nothing, if it does."""
        return next((f"{each.benchmark}: {each.why}" for each in self.absent if each.side == 0), None)


def measure(plan: Plan) -> Outcome:
    """Run the plan. A benchmark that proves nothing on one side does not keep the others from running."""
    commits = tuple(map(revision, plan.roots))
    cells: list[Cell] = []
    absent: list[Absent] = []
    for benchmark, rows in plan.benchmarks:
        found, missing = _measure(plan, benchmark, rows)
        cells += found
        absent += missing
    return Outcome(cells, absent, commits)


Seen = dict[tuple[str, str], dict[int, list[float]]]
"""(row, figure) -> side -> value of each repeat."""


def _measure(plan: Plan, benchmark: Benchmark, rows: tuple[str, ...]) -> tuple[list[Cell], list[Absent]]:
    seen: Seen = {}
    absent: dict[int, str] = {}
    repeats = min(plan.repeat, benchmark.repeat_max)
    for repeat in range(repeats):
        if 0 in absent:
            break
        sides = [side for side in range(len(plan.roots)) if side not in absent]
        plan.tell(f"{benchmark.name}: {repeat + 1} of {repeats}")
        _repeat(plan, benchmark, rows, sides[::-1] if repeat % 2 else sides, repeat == 0, seen, absent)
    cells = [
        Cell(benchmark.name, row, figure, tuple(spread(values.get(side, ())) for side in range(len(plan.roots))))
        for (row, figure), values in seen.items()
    ]
    order = list(benchmark.rows)
    return sorted(cells, key=lambda cell: order.index(cell.row)), [
        Absent(benchmark.name, side, why) for side, why in absent.items()
    ]


def _repeat(
    plan: Plan, benchmark: Benchmark, rows: tuple[str, ...], sides: Iterable[int], first: bool, seen: Seen,
    absent: dict[int, str],
) -> None:  # fmt: skip
    with ExitStack() as stack:
        workers = {}
        for side in sides:
            run = Run(
                root=plan.roots[side], rows=rows, seconds=plan.seconds, quick=plan.quick, trace=plan.trace and first
            )
            workers[side] = stack.enter_context(Worker(benchmark.name, run))
        while workers:
            for side, worker in list(workers.items()):
                try:
                    row = worker.next_row()
                except BenchError as error:
                    absent[side] = str(error)
                    row = None
                if row is None:
                    del workers[side]
                    continue
                for figure, value in row.figures.items():
                    seen.setdefault((row.name, figure), {}).setdefault(side, []).append(value)


def revision(root: Path) -> str:
    """The git revision of a work tree, "-dirty" when it differs from it; outside of git the name of the folder."""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return root.name
    return done.stdout.strip() or root.name

"""The rows of `python -m bench hot_path`: what is measured, in which order, and how runs become figures.

Rules:
* Sides alternate: within each repeat every row runs on each server and on the floor in turn, back and forth, so that a
  slow moment of the machine hits all alike.
* A figure is the median over the repeats. Every repeat has fresh processes and a fresh database.
"""

from __future__ import annotations

import resource
import ssl
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs

from bench import certificate, people
from bench.load import Load, Seen, Work
from bench.people import Scene
from bench.process import Process
from bench.report import Row

PAIRS = 100
GROUP = 100
IDLE = 2_000
IDLE_FIRST = 100
"""Connections before the first look at the memory: what only the first ones cost is no price of the others."""
SETTLE_SECONDS = 3.0
"""Longer than everything the server does once a second."""
TRACED_SECONDS = 1.0
WARM_UP = 0.3
"""Of the measured time."""

ROOT = Path(__file__).parent.parent


def _pairs(scene: Scene, window: int = 0, per_second: float = 0.0) -> Work:
    return Work([(pair.members[0], pair) for pair in scene.pairs], window, per_second)


def _group(scene: Scene, senders: int, window: int) -> Work:
    assert scene.group is not None
    return Work([(member, scene.group) for member in scene.group.members[:senders]], window)


LOADS: dict[str, Callable[[Scene], Work]] = {
    "pairs_w10": lambda scene: _pairs(scene, window=10),
    "pairs_w1": lambda scene: _pairs(scene, window=1),
    "pairs_500": lambda scene: _pairs(scene, per_second=500),
    "group_100": lambda scene: _group(scene, senders=1, window=1),
    "group_100_coalesced": lambda scene: _group(scene, senders=4, window=16),
}
FLOORS = {"floor_w10": LOADS["pairs_w10"], "floor_w1": LOADS["pairs_w1"]}
IDLES = ("idle_tcp", "idle_tls")
ROWS = ("pairs_w10", "floor_w10", "pairs_w1", "floor_w1", *list(LOADS)[2:], *IDLES)
"""In the order they run: a floor right after what stands on it."""


@attrs.frozen
class Plan:
    """What to measure, and how thoroughly."""

    rows: tuple[str, ...]
    roots: tuple[Path, ...]
    """Work trees whose server is measured; the floor is our own."""
    seconds: float
    repeat: int
    trace: bool
    tell: Callable[[str], None]
    """Progress, for people."""


def measure(plan: Plan) -> list[Row]:
    """Run the plan. Raises BenchError when a run proves nothing."""
    _allow_many_files()
    runs: dict[tuple[str, Path], list[Seen]] = defaultdict(list)
    for number in range(plan.repeat if set(plan.rows) - set(IDLES) else 0):
        plan.tell(f"repeat {number + 1} of {plan.repeat}: set-up")
        for row, root, seen in _once(plan, backwards=number % 2 == 1):
            runs[row, root].append(seen)
    counts = {root: dict(_traced(plan, root)) for root in plan.roots} if plan.trace and _loads(plan) else {}
    rows = []
    for row in plan.rows:
        for root in plan.roots if row not in FLOORS else plan.roots[:1]:
            if row in IDLES:
                rows.append(_idle(plan, row, root))
            else:
                rows.append(_figures(row, revision(root), runs[row, root], counts.get(root, {}).get(row)))
    return rows


def _loads(plan: Plan) -> list[str]:
    return [row for row in plan.rows if row in LOADS]


def _once(plan: Plan, backwards: bool) -> Iterator[tuple[str, Path, Seen]]:
    """Every row once on every side."""
    with ExitStack() as stack:
        sides = []
        if _loads(plan):
            sides = [(root, *stack.enter_context(_server(root, _with_group(plan)))) for root in plan.roots]
        floor = None
        if any(row in FLOORS for row in plan.rows):
            floor = (plan.roots[0], *stack.enter_context(_relay()))
        for row in plan.rows:
            turns = [floor] if floor and row in FLOORS else sides if row in LOADS else []
            for root, process, scene, load in reversed(turns) if backwards else turns:
                plan.tell(row)
                work = (LOADS | FLOORS)[row](scene)
                yield row, root, load.run(work, WARM_UP * plan.seconds, plan.seconds, process.cpu_ns)


def _with_group(plan: Plan) -> bool:
    return any(row.startswith("group") for row in plan.rows)


Side = tuple[Process, Scene, Load]


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="wirechat-bench-") as path:
        yield Path(path)


@contextmanager
def _serve(root: Path, *listen: str, traced: bool = False) -> Iterator[Process]:
    with _scratch() as scratch:
        arguments = ("serve", "--data", str(scratch / "data"), *listen)
        with Process("wirechat.cli.main", *arguments, root=root, scratch=scratch, traced=traced) as process:
            yield process


@contextmanager
def _server(root: Path, group: bool, traced: bool = False) -> Iterator[Side]:
    with _serve(root, "--tcp", "127.0.0.1:0", traced=traced) as process:
        yield from _side(process, people.scene(people.connector(process.port), PAIRS, GROUP if group else 0))


@contextmanager
def _relay() -> Iterator[Side]:
    with _scratch() as scratch, Process("bench.relay", root=ROOT, scratch=scratch) as process:
        yield from _side(process, people.relayed(people.connector(process.port), PAIRS))


def _side(process: Process, scene: Scene) -> Iterator[Side]:
    try:
        yield process, scene, Load(scene.clients)
    finally:
        for client in scene.clients:
            client.close()


@attrs.frozen
class Counts:
    """What a traced run did."""

    entries: int
    delivered: int
    fsyncs: int


def _traced(plan: Plan, root: Path) -> Iterator[tuple[str, Counts]]:
    """The same rows once more, shortly, with the waits for the disk counted."""
    plan.tell("counting fsyncs")
    spans: list[tuple[str, Seen, float, float]] = []
    with _server(root, _with_group(plan), traced=True) as (process, scene, load):
        for row in _loads(plan):
            began = time.time()
            seconds = min(TRACED_SECONDS, plan.seconds)
            seen = load.run(LOADS[row](scene), WARM_UP * seconds, seconds, process.cpu_ns)
            spans.append((row, seen, began, time.time()))
        for row, seen, began, ended in spans:
            yield row, Counts(seen.entries, seen.delivered, process.syncs(began, ended))


def _figures(row: str, commit: str | None, runs: Sequence[Seen], counts: Counts | None) -> Row:
    """Medians of the timed runs; counts of the traced run, or else of the last."""
    percentiles = [statistics.quantiles(seen.latencies_ns, n=100, method="inclusive") for seen in runs]
    return Row(
        work=row,
        us_per_message=_median([seen.cpu_ns / 1000 / seen.measured for seen in runs]),
        per_second=_median([seen.measured / seen.seconds for seen in runs]),
        p50_ms=_median([each[49] / 1e6 for each in percentiles]),
        p99_ms=_median([each[98] / 1e6 for each in percentiles]),
        fsyncs=counts.fsyncs if counts else None,
        entries=counts.entries if counts else runs[-1].entries,
        delivered=counts.delivered if counts else runs[-1].delivered,
        commit=commit,
    )


def _median(values: Sequence[float]) -> float:
    return round(statistics.median(values), 2)


def _idle(plan: Plan, row: str, root: Path) -> Row:
    """What one idle connection keeps in the server's memory. It varies so little that one run tells."""
    plan.tell(row)
    with _scratch() as scratch:
        if row == "idle_tcp":
            kib = _kib_per_connection(root, None, "--tcp", "127.0.0.1:0")
        else:
            chain, key = certificate.make(scratch)
            tls = ssl.create_default_context(cafile=str(chain))
            kib = _kib_per_connection(root, tls, "--tls", "127.0.0.1:0", "--cert", str(chain), "--key", str(key))
    return Row(work=row, kib_per_connection=round(kib, 2), commit=revision(root))


def _kib_per_connection(root: Path, tls: ssl.SSLContext | None, *listen: str) -> float:
    with _serve(root, *listen) as process, ExitStack() as stack:
        connect = people.connector(process.port, tls)
        accounts = people.register(connect, IDLE + IDLE_FIRST)
        memory = []
        for some in (accounts[:IDLE_FIRST], accounts[IDLE_FIRST:]):
            for client in people.log_in(connect, some):
                stack.callback(client.close)
            time.sleep(SETTLE_SECONDS)
            memory.append(process.private_dirty_kib())
        return (memory[1] - memory[0]) / IDLE


def revision(root: Path) -> str | None:
    """The git revision of a work tree, "-dirty" when it differs from it; None outside of git."""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None


def _allow_many_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

"""The way of a message through the server, and the cost of those who say nothing.

Each row starts from the same people; warm-up is not measured, but everything sent is checked. The floor is the same
bytes through a relay that promises nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from bench import idle, people
from bench.benchmark import ROOT, Benchmark, Row, Run
from bench.load import Load, Seen, Work
from bench.people import Scene
from bench.process import Process, scratch, serve
from bench.spread import percentile

PAIRS = 100
GROUP = 100
LARGE_GROUP = 1000
TRACED_SECONDS = 1.0
WARM_UP = 0.3
"""Of the measured time."""


def _pairs(scene: Scene, window: int = 0, per_second: float = 0.0) -> Work:
    return Work([(pair.members[0], pair) for pair in scene.pairs], window, per_second)


def group(scene: Scene, senders: int, window: int) -> Work:
    """So many members of the group write, each with so many texts unanswered."""
    assert scene.group is not None
    return Work([(member, scene.group) for member in scene.group.members[:senders]], window)


LOADS: dict[str, Callable[[Scene], Work]] = {
    "pairs_w10": lambda scene: _pairs(scene, window=10),
    "pairs_w1": lambda scene: _pairs(scene, window=1),
    "pairs_500": lambda scene: _pairs(scene, per_second=500),
    "pairs_2000": lambda scene: _pairs(scene, per_second=2000),
    "group_100": lambda scene: group(scene, senders=1, window=1),
    "group_100_coalesced": lambda scene: group(scene, senders=4, window=16),
}
FLOORS = {"floor_w10": LOADS["pairs_w10"], "floor_w1": LOADS["pairs_w1"]}
ROWS = {
    "pairs_w10": "100 pairs; each sender keeps 10 texts unanswered: how cheap a busy server is",
    "floor_w10": "the same bytes through bench/relay.py: Trio and sockets, no store, no checks, no promises",
    "pairs_w1": "100 pairs; each sender waits for its answer: nothing coalesces in the sockets, only in the commits",
    "floor_w1": "the same through the relay",
    "pairs_500": "100 pairs, together 500 texts a second at fixed times: a server with little to do",
    "pairs_2000": "the same with 2,000 a second",
    "group_100": "a group of 100, one text at a time: one write for each member",
    "group_100_coalesced": "the same group, four senders with 16 unanswered texts each: a write carries several texts",
    "group_1000": "a group of 1,000, one text at a time",
    **idle.ROWS,
}
"""In the order they run: a floor right after what stands on it."""


def measure(run: Run) -> Iterator[Row]:
    """Every row once. Raises BenchError when a run proves nothing."""
    yield from _hundred(run)
    if run.wants("group_1000"):
        with server(run, 0, run.size(LARGE_GROUP, 30)) as (process, scene, load):
            seen = _drive(run, process, load, group(scene, senders=1, window=1), max(run.size(10, 1) / 10, run.seconds))
            yield Row("group_1000", figures(seen))
    yield from idle.measure(run)
    if run.trace and any(map(run.wants, LOADS)):
        yield from _traced(run)


def _hundred(run: Run) -> Iterator[Row]:
    with ExitStack() as stack:
        if any(map(run.wants, LOADS)):
            ours = stack.enter_context(server(run, *_crowd(run)))
        if any(map(run.wants, FLOORS)):
            floor = stack.enter_context(_relay(_crowd(run)[0]))
        for row in run.rows:
            if row in LOADS or row in FLOORS:
                process, scene, load = ours if row in LOADS else floor
                yield Row(row, figures(_drive(run, process, load, (LOADS | FLOORS)[row](scene))))


def _crowd(run: Run) -> tuple[int, int]:
    """How many pairs there are, and how many members the group has."""
    return run.size(PAIRS, 10), run.size(GROUP, 20)


def _drive(run: Run, process: Process, load: Load, work: Work, seconds: float | None = None) -> Seen:
    seconds = seconds or run.seconds
    return load.run(work, WARM_UP * seconds, seconds, process.cpu_ns)


Side = tuple[Process, Scene, Load]


@contextmanager
def server(run: Run, pairs: int, members: int, traced: bool = False) -> Iterator[Side]:
    """A server with people on it, in pairs and in one group."""
    with serve(run.root, "--tcp", "127.0.0.1:0", traced=traced) as process:
        yield from _side(process, people.scene(people.connector(process.port), pairs, members))


@contextmanager
def _relay(pairs: int) -> Iterator[Side]:
    with scratch() as folder, Process("bench.relay", root=ROOT, scratch=folder) as process:
        yield from _side(process, people.relayed(people.connector(process.port), pairs))


def _side(process: Process, scene: Scene) -> Iterator[Side]:
    try:
        yield process, scene, Load(scene.clients)
    finally:
        for client in scene.clients:
            client.close()


def figures(seen: Seen) -> dict[str, float]:
    """What a run of a load comes to."""
    return {
        "us_per_message": seen.cpu_ns / 1000 / seen.measured,
        "per_second": seen.measured / seen.seconds,
        "p50_ms": percentile(seen.latencies_ns, 50) / 1e6,
        "p99_ms": percentile(seen.latencies_ns, 99) / 1e6,
    }


def _traced(run: Run) -> Iterator[Row]:
    """The same rows once more, shortly, with the waits for the disk counted."""
    with server(run, *_crowd(run), traced=True) as (process, scene, load):
        spans: list[tuple[str, Seen, float, float]] = []
        for row in filter(run.wants, LOADS):
            began = time.time()
            seen = _drive(run, process, load, LOADS[row](scene), min(TRACED_SECONDS, run.seconds))
            spans.append((row, seen, began, time.time()))
        for row, seen, began, ended in spans:
            yield Row(row, {"entries_per_fsync": seen.entries / process.syncs(began, ended)})


BENCHMARK = Benchmark(
    "hot_path",
    "What does a delivered message cost the server, and how long does one wait for it?",
    ROWS,
    measure,
    on_demand=frozenset(idle.ROWS),
)

"""What a message costs nodes that share PostgreSQL, and what it costs that its two people are on different nodes.

Each side is PostgreSQL, NATS and three nodes, each a process of its own. The third node serves nobody, so that the
price of its pass over everything shows.
"""

from __future__ import annotations

import itertools
import json
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import attrs

from bench import people
from bench.benchmark import Benchmark, Row, Run
from bench.hot_path import WARM_UP
from bench.hot_path import figures as of_load
from bench.load import Load, Work
from bench.people import Conversation
from bench.process import Process, Processes, scratch
from tools.cluster import nats, postgres
from tools.cluster.engine import free_port

PAIRS = 100
NODES = 3
SETTLE_SECONDS = 1.5
"""Until every node knows who is where."""

WAYS: dict[str, tuple[int, float]] = {"w10": (10, 0), "w1": (1, 0), "500": (0, 500), "2000": (0, 2000)}
"""Window of each sender, or texts a second of all together."""
SIDES = {"one": "all on one node", "two": "the two of each pair on different nodes"}
ROWS = {
    f"{side}_{way}": f"100 pairs, {f'{window} unanswered at each sender' if window else f'{rate} a second'}, {about}"
    for way, (window, rate) in WAYS.items()
    for side, about in SIDES.items()
}


@attrs.frozen
class Look:
    """What was spent up to a moment: CPU time in nanoseconds, and bytes that came to the bus."""

    nodes: int
    idle: int
    store: int
    bus: int
    carried: int


@attrs.frozen
class Side:
    """A cluster with people on it."""

    nodes: Sequence[Process]
    """The last one serves nobody."""
    store: Processes
    bus: Processes
    monitor: int
    """Port at which NATS says what went through it."""
    load: Load
    pairs: Sequence[Conversation]

    def look(self) -> Look:
        """Now."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.monitor}/varz") as answer:
            carried = json.load(answer)["in_bytes"]
        *busy, idle = (node.cpu_ns() for node in self.nodes)
        return Look(sum(busy), idle, self.store.cpu_ns(), self.bus.cpu_ns(), carried)


def measure(run: Run) -> Iterator[Row]:
    """Both sides stand side by side and take turns."""
    with ExitStack() as stack:
        names = dict.fromkeys(row.partition("_")[0] for row in run.rows)
        sides = {name: stack.enter_context(_side(run, 1 + list(SIDES).index(name))) for name in names}
        for row in run.rows:
            name, _, way = row.partition("_")
            yield Row(row, _figures(run, sides[name], *WAYS[way]))


def _figures(run: Run, side: Side, window: int, per_second: float) -> dict[str, float]:
    looks: list[Look] = []

    def cpu_ns() -> int:
        looks.append(side.look())
        return looks[-1].nodes

    per_second *= len(side.pairs) / PAIRS
    work = Work([(each.members[0], each) for each in side.pairs], window, per_second)
    seen = side.load.run(work, WARM_UP * run.seconds, run.seconds, cpu_ns)
    before, after = looks
    return {
        **of_load(seen),
        "us_store": (after.store - before.store) / 1000 / seen.measured,
        "us_bus": (after.bus - before.bus) / 1000 / seen.measured,
        "us_idle_node": (after.idle - before.idle) / 1000 / seen.measured,
        "bus_bytes": (after.carried - before.carried) / seen.measured,
    }


@contextmanager
def _side(run: Run, serving: int) -> Iterator[Side]:
    """People spread over the first nodes in turn, so that with two nodes each pair is split."""
    with ExitStack() as stack:
        folder, monitor = stack.enter_context(scratch()), free_port()
        store = stack.enter_context(postgres.running(folder))
        bus = stack.enter_context(nats.running(folder, options=f"http: 127.0.0.1:{monitor}"))
        nodes = [stack.enter_context(_node(run, store.url, bus.url)) for _ in range(NODES)]
        doors = itertools.cycle([people.connector(node.port) for node in nodes[:serving]])
        clients = people.gather(lambda: next(doors)(), 2 * run.size(PAIRS, 5))
        for client in clients:
            stack.callback(client.close)
        time.sleep(SETTLE_SECONDS)
        pairs = people.make_pairs(clients)
        yield Side(nodes, Processes(store.pid), Processes(bus.pid), monitor, Load(clients), pairs)


@contextmanager
def _node(run: Run, store: str, bus: str) -> Iterator[Process]:
    arguments = ("serve", "--store", store, "--bus", bus, "--tcp", "127.0.0.1:0")
    with scratch() as folder, Process("wirechat.cli.main", *arguments, root=run.root, scratch=folder) as process:
        yield process


BENCHMARK = Benchmark(
    "cluster",
    "What does a delivered message cost nodes that share PostgreSQL, and what does it add that its people are apart?",
    ROWS,
    measure,
)

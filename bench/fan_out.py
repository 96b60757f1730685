"""One text to many: what a delivery costs by the size of the group."""

from __future__ import annotations

from collections.abc import Iterator

from bench import people
from bench.benchmark import Benchmark, Row, Run
from bench.hot_path import WARM_UP, figures, group
from bench.load import Load
from bench.people import Scene
from bench.process import serve

SIZES = (2, 10, 100, 1_000)
WAYS = {"": ("one text at a time", 1, 1), "_coalesced": ("four senders with 16 unanswered texts each", 4, 16)}
SHARES = {"": 2, "_coalesced": 8}
"""So small a part of the time is measured: four senders of a small group say 6,000 texts a second each, and over all
sizes a connection may ask for 6,000 at once and 2,000 a second.
"""
ROWS = {
    f"members_{size}{way}": f"a group of {size:,}, {about}"
    for way, (about, senders, _) in WAYS.items()
    for size in SIZES
    if size > senders
}


def measure(run: Run) -> Iterator[Row]:
    """Each size, both ways, on one server."""
    sizes = [min(size, run.size(1_000, 20)) for size in SIZES]
    with serve(run.root, "--tcp", "127.0.0.1:0") as process:
        connect = people.connector(process.port)
        clients = people.log_in(connect, people.register(connect, max(sizes)))
        groups = [people.make_group(clients[:size]) for size in sizes]
        load = Load(clients)
        for way, (_, senders, window) in WAYS.items():
            for size, conversation in zip(SIZES, groups, strict=True):
                if run.wants(row := f"members_{size}{way}"):
                    work = group(Scene(clients, [], conversation), senders, window)
                    seconds = run.seconds / SHARES[way]
                    yield Row(row, figures(load.run(work, WARM_UP * seconds, seconds, process.cpu_ns)))
        for client in clients:
            client.close()


BENCHMARK = Benchmark("fan_out", "What does a delivery cost in groups of different sizes?", ROWS, measure)

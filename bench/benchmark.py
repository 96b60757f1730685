"""What a benchmark is: a question, its rows, and a function that answers it once.

Rules:
* A benchmark is a generator of rows. Whoever runs it takes one row at a time, so that several work trees take turns row
  by row, and a slow moment of the machine hits all alike.
* It is run in a process of its own for each repeat, with the `wirechat` of the tree that is measured and the `bench` of
  this one: both sides are measured by the same code.
* A figure has a name, and the name has one unit and one meaning everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path

import attrs

ROOT = Path(__file__).resolve().parent.parent


class BenchError(Exception):
    """The run proves nothing. One line for people."""


@attrs.frozen
class Figure:
    """What a name of a figure means."""

    title: str
    """Head of a column, with the unit."""
    unit: str
    about: str
    more_is_better: bool = False


FIGURES: Mapping[str, Figure] = {
    "us_per_message": Figure("us/delivery", "us", "CPU time of the server for each delivery"),
    "us_per_frame": Figure("us/frame", "us", "CPU time for each frame"),
    "us_per_request": Figure("us/request", "us", "CPU time of the server for each request and its answer"),
    "us_per_entry": Figure("us/entry", "us", "CPU time for each entry, all threads of this process"),
    "us_per_record": Figure("us/record", "us", "CPU time for each record or row of the answer"),
    "ms_per_login": Figure("ms/login", "ms", "CPU time of the server for each login, all its threads"),
    "ms_cpu": Figure("ms CPU", "ms", "CPU time of the server for the whole"),
    "us_wall": Figure("us waited", "us", "time that passed for each of them: the disk's waits are in it"),
    "per_second": Figure("a second", "/s", "so many in a second, on this machine and beside this client", True),
    "p50_ms": Figure("p50 ms", "ms", "half of them took at most so long"),
    "p99_ms": Figure("p99 ms", "ms", "99 of 100 took at most so long"),
    "us_store": Figure("us PostgreSQL", "us", "CPU time of PostgreSQL, all its processes, for each delivery"),
    "us_bus": Figure("us NATS", "us", "CPU time of the bus for each delivery"),
    "us_idle_node": Figure("us other node", "us", "CPU time of a node that serves nobody, for each delivery elsewhere"),
    "bus_bytes": Figure("bus bytes", "B", "bytes that nodes gave the bus for each delivery, heartbeats included"),
    "kib_per_connection": Figure("KiB/conn", "KiB", "memory that the server writes to, for each connection"),
    "bytes": Figure("bytes", "B", "both directions together, as the socket has them"),
    "budget_bytes": Figure("budget", "B", "what protocol/budgets.json allows, for a conversation of some age"),
    "frame_bytes": Figure("bytes", "B", "of the frame, length prefix included"),
    "wal_bytes": Figure("WAL bytes", "B", "what PostgreSQL writes into its log for each entry"),
    "entries_per_fsync": Figure("entries/fsync", "", "how many entries share a wait for the disk", True),
    "ratio": Figure("ratio", "x", "against the same on an empty store"),
}


@attrs.frozen
class Row:
    """Something that was measured."""

    name: str
    figures: Mapping[str, float]
    """By the names in FIGURES."""


@attrs.frozen(kw_only=True)
class Run:
    """One repeat on one side."""

    root: Path
    """The work tree that is measured; the process runs in it."""
    rows: tuple[str, ...]
    """Those wanted, in the order of the benchmark."""
    seconds: float
    """About how long one row of a load is measured."""
    quick: bool
    """Small sizes: the figures mean little, the code is the same."""
    trace: bool
    """Count the waits for the disk as well, outside of what is timed."""

    def wants(self, row: str) -> bool:
        """Whether this row is to be measured."""
        return row in self.rows

    def size(self, full: int, quick: int) -> int:
        """How many of something."""
        return quick if self.quick else full


@attrs.frozen
class Benchmark:
    """A question and how it is answered."""

    name: str
    question: str
    rows: Mapping[str, str]
    """Row -> what happens in it."""
    measure: Callable[[Run], Iterator[Row]]
    on_demand: frozenset[str] = frozenset()
    """Rows that another benchmark has too: here they run only when they are named."""
    repeat_max: int = 50
    """It repeats within one run what can be repeated."""

    def wanted(self, named: tuple[str, ...]) -> tuple[str, ...]:
        """The rows to run when these were named, or none."""
        return tuple(row for row in self.rows if (row in named if named else row not in self.on_demand))


NAMES = (
    "codec",
    "framing",
    "dispatch",
    "journal",
    "store",
    "fan_out",
    "hot_path",
    "idle",
    "login",
    "catch_up",
    "wire_bytes",
    "scale",
    "cluster",
)
"""In the order they run. Each is a file of this folder."""


def load(name: str) -> Benchmark:
    """The benchmark of this name. It imports the `wirechat` that is measured."""
    benchmark = import_module(f"bench.{name}").BENCHMARK
    assert isinstance(benchmark, Benchmark)
    return benchmark


@attrs.frozen
class Mark:
    """What a figure must stay at or below, and what we are after."""

    figure: str
    must: float
    stretch: float
    of: str = ""
    """How both follow from the price of a rival on such a machine."""


MARKS: Mapping[str, tuple[Mark, ...]] = {
    "pairs_w10": (Mark("us_per_message", 32, 20, "0.8 and 0.5 of mosquitto's 40"),),
    "pairs_w1": (Mark("us_per_message", 147, 88.2, "1.0 and 0.6 of JetStream's 147"),),
    "pairs_500": (Mark("us_per_message", 536.9, 306.8, "0.7 and 0.4 of JetStream's 767"), Mark("p50_ms", 2, 2)),
    "pairs_2000": (Mark("us_per_message", 252, 140, "0.9 and 0.5 of JetStream's 280"),),
    "group_100": (Mark("us_per_message", 13, 9.1, "1.0 and 0.7 of NATS core's 13.0"),),
    "group_1000": (Mark("us_per_message", 12.15, 7.29, "0.5 and 0.3 of NATS core's 24.3"),),
    "idle_tcp": (Mark("kib_per_connection", 8, 5),),
    "idle_tls": (Mark("kib_per_connection", 24, 18),),
    "idle_ws": (Mark("kib_per_connection", 22, 19),),
    "token_login": (Mark("ms_per_login", 1, 0.4),),
    "idle_resume": (Mark("ms_per_login", 3, 0.5), Mark("bytes", 64, 64)),
    "one_w10": (Mark("us_per_message", 60, 60), Mark("us_store", 45, 45)),
    "million_w10": (Mark("ratio", 1.3, 1.3),),
    "million_w1": (Mark("ratio", 1.3, 1.3),),
}
"""Row -> its marks."""

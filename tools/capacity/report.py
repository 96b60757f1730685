"""The tables that docs/capacity.md quotes, as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tools.capacity.needs import Needs, hints, needs, store_us
from tools.capacity.prices import MEASURED
from tools.capacity.sizes import Counts
from tools.pages import markdown_table, number

Case = tuple[int, int, int]
"""A key of MEASURED."""

FIGURES: tuple[tuple[str, Callable[[Counts, Needs], float | str]], ...] = (
    ("texts committed a second", lambda counts, _: counts.texts / counts.seconds),
    ("deliveries a text", lambda counts, _: counts.deliveries),
    ("hints a text", lambda counts, _: counts.total.hints_sent / counts.texts),
    ("... by the formula", lambda counts, _: min(counts.deliveries, counts.size.nodes - 1)),
    ("... if all conversations were of one size", lambda counts, _: hints(counts.size.nodes, 1 + counts.deliveries)),
    ("texts a commit", lambda counts, _: counts.texts / counts.total.commits),
    ("commits a second", lambda counts, _: counts.total.commits / counts.seconds),
    ("texts a read because of hints", lambda counts, _: counts.total.entries_read / max(1, counts.total.reads)),
    ("bus messages a second", lambda counts, _: counts.total.bus_messages / counts.seconds),
    ("conversations changed a second", lambda counts, _: counts.changed),
    ("... that concern a node", lambda counts, _: counts.changed_here),
    ("texts a second of the hottest", lambda counts, _: counts.hottest),
    ("busiest node, by CPU", lambda counts, _: f"{counts.busiest_node:.2f} times the mean"),
    ("busiest of 16 shards, by texts", lambda counts, _: f"{counts.busiest_shard:.2f} times the mean"),
    ("cores of nodes", lambda _, need: need.node_cores),
    ("... by the formula", lambda _, need: need.node_cores_formula),
    ("cores of nodes for the pass", lambda _, need: need.pass_cores),
    ("... if it asked for conversations here", lambda _, need: need.pass_cores_here),
    ("cores of PostgreSQL", lambda _, need: need.store_cores),
    ("... by the formula", lambda _, need: need.store_cores_formula),
    ("cores of PostgreSQL for the pass", lambda _, need: need.store_pass_cores),
    ("cores of NATS", lambda _, need: " to ".join(f"{each:.2g}" for each in need.bus_cores)),
    ("MB of WAL a second", lambda _, need: need.wal_mb),
    ("GiB of nodes", lambda _, need: need.memory_gib),
    ("servers for PostgreSQL, 16 cores each", lambda _, need: need.shards),
)


def deployments(all_counts: Sequence[Counts]) -> str:
    """A column for each."""
    priced = [(counts, needs(counts)) for counts in all_counts]
    rows = [(name, *(_shown(figure(*each)) for each in priced)) for name, figure in FIGURES]
    used = [(f"in use of {name}", *(f"{need.used[name]:.0%}" for _, need in priced)) for name in priced[0][1].used]
    first = "breaks first", *(need.first for _, need in priced)
    return markdown_table(("", *map(_head, all_counts)), (*rows, *used, first))


def checks(found: Mapping[Case, Counts]) -> str:
    """The work of `bench cluster`, simulated beside measured."""
    heads = "100 pairs", "texts a commit", "us of nodes", "measured", "us of PostgreSQL", "measured"
    return markdown_table(heads, (_check(case, counts) for case, counts in found.items()))


def _check(case: Case, counts: Counts) -> tuple[str, ...]:
    (nodes, window, rate), (of_nodes, of_store, _) = case, MEASURED[case]
    about = f"{window} unanswered" if window else f"{rate:,} a second"
    figures = counts.texts / counts.total.commits, node_us(counts), of_nodes, store_us(counts), of_store
    return f"{about}, {'one node' if nodes == 1 else 'different nodes'}", *map(number, figures)


def node_us(counts: Counts) -> float:
    """CPU of all nodes for each text."""
    return counts.total.us / counts.texts


def _head(counts: Counts) -> str:
    size = counts.size
    return f"{size.connections:,} on {size.nodes} node{'s' * (size.nodes > 1)}, {size.rate:,.0f} texts/s"


def _shown(figure: float | str) -> str:
    return figure if isinstance(figure, str) else number(figure)

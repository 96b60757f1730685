"""What was counted, with prices on it: cores, memory, and what breaks first; beside it what the formulas say."""

from __future__ import annotations

from math import ceil

import attrs

from tools.capacity import prices
from tools.capacity.cluster import US
from tools.capacity.sizes import Counts
from wirechat.server import limits

CORE_SHARE = 2 / 3
"""How busy a core may be: the rest is for bursts and for what the model leaves out."""
STORE_CORES, BUS_CORES = 16, 8
"""Of a server for PostgreSQL, and of one for NATS."""


@attrs.frozen
class Needs:
    """Of a deployment. Cores are CPU seconds a second."""

    node_cores: float
    """Of all nodes together, without the pass; what larger batches would save is left out."""
    node_cores_formula: float
    pass_cores: float
    """Of all nodes together, for the pass."""
    pass_cores_here: float
    """The same, if it asked only for conversations that have somebody on the node."""
    store_cores: float
    """Without rows of passes."""
    store_cores_formula: float
    store_pass_cores: float
    bus_cores: tuple[float, float]
    """At the price of a message among many, and among few."""
    wal_mb: float
    """Written by PostgreSQL a second."""
    memory_gib: float
    """Of all nodes, for connections and directories."""
    shards: int
    """Servers for PostgreSQL."""
    used: dict[str, float]
    """What might break -> how much of it is in use; above 1 it is broken."""

    @property
    def first(self) -> str:
        """What breaks first."""
        return max(self.used, key=lambda name: self.used[name])


def hints(nodes: int, seats: float) -> float:
    """Other nodes that serve somebody of a conversation with so many connections, dealt at random: expected."""
    return nodes * (1 - float((1 - 1 / nodes) ** seats)) - 1


def needs(counts: Counts) -> Needs:
    """With the prices of today."""
    total, size = counts.total, counts.size
    texts, nodes, f = counts.texts / counts.seconds, size.nodes, counts.deliveries
    told = min(f, nodes - 1)
    node, store = total.us_lasting * US / counts.seconds, store_us(counts) * US * texts
    a_row = nodes * prices.PASS_ROW.value * US
    passing, fixed = counts.changed * a_row, nodes * prices.PASS.value * US
    store_pass = counts.changed * nodes * prices.STORE_PASS_ROW.value * US
    least, most = (
        total.bus_messages / counts.seconds * price.value * US for price in (prices.BUS_LEAST, prices.BUS_MOST)
    )
    return Needs(
        node,
        texts * (prices.ENTRY.value + f * prices.WRITE.value + told * prices.READ_ENTRY.value) * US,
        passing + fixed,
        counts.changed_here * a_row + fixed,
        store,
        texts * (prices.STORE_ENTRY.value + told * prices.STORE_READ_ENTRY.value) * US,
        store_pass,
        (least, most),
        texts * prices.WAL.value / 1e6,
        size.connections * (prices.CONNECTION.value + nodes * prices.ABSENT.value) / 2**20,
        ceil((store + store_pass) / STORE_CORES / CORE_SHARE),
        {
            "the busiest node": (node * counts.busiest_node + passing + fixed) / nodes / CORE_SHARE,
            "one PostgreSQL": (store + store_pass) / STORE_CORES / CORE_SHARE,
            "one NATS": least / BUS_CORES / CORE_SHARE,
            "the hottest conversation": counts.hottest_commits * prices.TAKES.value,
            "lists of members in the pass": counts.changed / limits.MEMBER_LISTS_MAX if nodes > 1 else 0.0,
        },
    )


def store_us(counts: Counts) -> float:
    """CPU of PostgreSQL for each text, without the pass."""
    total = counts.total
    entries = total.entries * prices.STORE_ENTRY.value + total.entries_read * prices.STORE_READ_ENTRY.value
    return (entries + total.commits * prices.STORE_COMMIT.value + total.reads * prices.STORE_READ.value) / counts.texts

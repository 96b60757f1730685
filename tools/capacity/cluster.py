"""Nodes at work: what they commit together, whom they hint at, what these read together.

A node is one core and a commit pipeline: some commits in flight, none of them with a conversation that is in another
(server/journal.py); what arrives meanwhile is the next batch. A commit waits for those of other nodes that have a
conversation of it (a row lock). A node that hears hints reads all that it heard since by one statement
(server/cluster.py). CPU is spent in turn, so that batches grow as far as the core makes them grow.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import count

import attrs

from tools.capacity import prices
from tools.capacity.population import Conversation
from wirechat.server import limits
from wirechat.store.postgres import PostgresStore

US = 1e-6

Text = tuple[Conversation, Callable[[float], None] | None]
"""Where it is said, and what follows its answer."""


@attrs.define
class Work:
    """What one node did."""

    entries: int = 0
    commits: int = 0
    deliveries: int = 0
    writes: int = 0
    hints_sent: int = 0
    hints_heard: int = 0
    """One for each conversation of a commit and node that is concerned."""
    bus_messages: int = 0
    """Sent: one for each commit and node that is concerned, with all its hints."""
    reads: int = 0
    entries_read: int = 0

    @property
    def us_lasting(self) -> float:
        """CPU that no batching saves."""
        writes, texts = self.writes * prices.WRITE.value, (self.deliveries - self.writes) * prices.FURTHER.value
        return self.entries * prices.ENTRY.value + writes + texts + self.entries_read * prices.READ_ENTRY.value

    @property
    def us(self) -> float:
        """CPU, without the pass."""
        return self.us_lasting + self.commits * prices.COMMIT.value + self.reads * prices.READ.value


@attrs.define(eq=False)
class Node:
    """One process."""

    number: int
    work: Work = attrs.Factory(Work)
    free_at: float = 0.0
    """When the core has done what was begun."""
    pending: list[Text] = attrs.Factory(list)
    flying: set[Conversation] = attrs.Factory(set)
    """In a commit that is under way."""
    commits: int = 0
    starting: bool = False
    """As soon as the core is free."""
    wanted: Counter[Conversation] = attrs.Factory(Counter)
    """Heard of, with texts not read yet."""
    reading: bool = False

    def take(self) -> list[Text]:
        """The next batch: as `Journal._take` does."""
        batch: list[Text] = []
        left: list[Text] = []
        room = limits.TURN_DELIVERIES_MAX
        for at, text in enumerate(self.pending):
            if room <= 0:
                left += self.pending[at:]
                break
            if text[0] in self.flying:
                left.append(text)
                continue
            room -= limits.ENTRY_DELIVERIES + len(text[0].seats)
            batch.append(text)
        self.pending = left
        return batch

    def spend(self, now: float, us: float) -> None:
        """CPU, after what was begun."""
        self.free_at = max(self.free_at, now) + us * US


class Cluster:
    """Nodes over one store and one bus. Times are seconds since the begin."""

    def __init__(self, nodes: int) -> None:
        self.nodes = [Node(number) for number in range(nodes)]
        self.said: Counter[Conversation] = Counter()
        """Texts committed."""
        self.commits_of: Counter[Conversation] = Counter()
        self._unlocked: dict[Conversation, float] = {}
        self._due: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = count()

    def at(self, time: float, do: Callable[[float], None]) -> None:
        """Do this then, telling it the time."""
        heapq.heappush(self._due, (time, next(self._order), do))

    def run(self, until: float) -> None:
        """All that is due before."""
        while self._due and self._due[0][0] < until:
            time, _, do = heapq.heappop(self._due)
            do(time)

    def say(self, node: int, conv: Conversation, now: float, then: Callable[[float], None] | None = None) -> None:
        """A text comes from a connection of this node; `then` is called at its answer."""
        self.nodes[node].pending.append((conv, then))
        self._start(self.nodes[node], now)

    def _start(self, node: Node, now: float) -> None:
        while node.commits < PostgresStore.appends_at_once and any(conv not in node.flying for conv, _ in node.pending):
            if node.free_at > now:
                if not node.starting:
                    node.starting = True
                    self.at(node.free_at, partial(self._start_late, node))
                return
            batch = node.take()
            convs = Counter(conv for conv, _ in batch)
            node.commits += 1
            node.flying |= convs.keys()
            node.spend(now, prices.COMMIT.value + prices.ENTRY.value * len(batch))
            ends = max(now, *(self._unlocked.get(conv, 0.0) for conv in convs)) + prices.TAKES.value
            self._unlocked.update(dict.fromkeys(convs, ends))
            self.at(max(ends, node.free_at), partial(self._committed, node, batch, convs))

    def _start_late(self, node: Node, now: float) -> None:
        node.starting = False
        self._start(node, now)

    def _committed(self, node: Node, batch: list[Text], convs: Counter[Conversation], now: float) -> None:
        node.commits -= 1
        node.flying -= convs.keys()
        node.work.commits += 1
        node.work.entries += len(batch)
        self.said.update(convs)
        self.commits_of.update(convs.keys())
        hinted: dict[int, None] = {}
        for conv, texts in convs.items():
            self._deliver(node, conv, texts, now, own=texts)
            for other in conv.nodes:
                if other != node.number:
                    hinted[other] = None
                    self.nodes[other].wanted[conv] += texts
                    self.nodes[other].work.hints_heard += 1
                    node.work.hints_sent += 1
        node.work.bus_messages += len(hinted)
        for _, then in batch:
            if then is not None:
                then(now)
        self._start(node, now)
        for other in hinted:
            self._read(self.nodes[other], now)

    def _read(self, node: Node, now: float) -> None:
        if node.reading or not node.wanted:
            return
        node.reading = True
        self.at(max(now, node.free_at), partial(self._begin_read, node))

    def _begin_read(self, node: Node, now: float) -> None:
        found = dict(list(node.wanted.items())[: limits.NEWS_AT_ONCE])
        for conv in found:
            del node.wanted[conv]
        entries = sum(found.values())
        node.work.reads += 1
        node.work.entries_read += entries
        node.spend(now, prices.READ.value + entries * prices.READ_ENTRY.value)
        for conv, texts in found.items():
            self._deliver(node, conv, texts, now)
        self.at(max(now + prices.TAKES.value, node.free_at), partial(self._end_read, node))

    def _end_read(self, node: Node, now: float) -> None:
        node.reading = False
        self._read(node, now)

    def _deliver(self, node: Node, conv: Conversation, texts: int, now: float, own: int = 0) -> None:
        """To everybody of it here, each with one write; `own` texts have their sender here, who has the answer."""
        here = conv.nodes[node.number]
        deliveries = here * texts - own
        writes = min(here, deliveries)
        node.work.deliveries += deliveries
        node.work.writes += writes
        node.spend(now, writes * prices.WRITE.value + (deliveries - writes) * prices.FURTHER.value)

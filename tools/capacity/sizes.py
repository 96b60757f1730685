"""Deployments to simulate, and what is counted in each."""

from __future__ import annotations

from collections import Counter
from functools import partial
from random import Random

import attrs

from tools.capacity.cluster import Cluster, Work
from tools.capacity.population import Population, conversation

SHARDS = 16
"""Over which conversations are dealt, to see how unlike each other they are."""
PAIRS = 100


@attrs.frozen
class Size:
    """A deployment."""

    connections: int
    nodes: int
    rate: float
    """Texts a second."""

    @property
    def seconds(self) -> int:
        """How long it is simulated: the more happens, the shorter."""
        return round(min(max(1.0, 20_000 / self.rate), 20.0))


SIZES = (Size(1_000, 1, 100), Size(10_000, 2, 1_000), Size(100_000, 6, 10_000), Size(1_000_000, 40, 100_000))


@attrs.frozen
class Counts:
    """What was done. A busiest one is given as multiple of the mean."""

    size: Size
    seconds: int
    total: Work
    """Of all nodes, in all these seconds."""
    changed: float
    """Conversations with something new, a second: what each pass reads."""
    changed_here: float
    """Of them, those that have a member on a node; mean of all nodes."""
    busiest_node: float
    """By CPU that no batching saves."""
    busiest_shard: float
    """By texts."""
    hottest: float
    """Texts a second of the hottest conversation."""
    hottest_commits: float
    """Commits a second with a text of the conversation that is in most of them."""

    @property
    def texts(self) -> int:
        """Committed."""
        return self.total.entries

    @property
    def deliveries(self) -> float:
        """For each text."""
        return self.total.deliveries / self.texts


def simulate(size: Size, seed: int) -> Counts:
    """A population of this size at work."""
    chance = Random(seed)
    population, cluster = Population(size.connections, size.nodes, chance), Cluster(size.nodes)

    def speak(now: float) -> None:
        conv = population.drawn()
        cluster.say(conv.seats[int(chance.random() * len(conv.seats))], conv, now)
        cluster.at(now + chance.expovariate(size.rate), speak)

    cluster.at(0.0, speak)
    return _counted(size, cluster)


def pairs(nodes: int, window: int, rate: float, seed: int) -> Counts:
    """The work of `bench cluster`: 100 pairs, split where there are two nodes; each sender has so many texts
    unanswered, or (window 0) all together send so many a second.
    """
    chance, cluster = Random(seed), Cluster(nodes)
    talks = [conversation((0, nodes - 1)) for _ in range(PAIRS)]

    def speak(number: int, now: float) -> None:
        cluster.say(0, talks[number % PAIRS], now, partial(speak, number) if window else None)
        if not window:
            cluster.at(now + chance.expovariate(rate), partial(speak, number + 1))

    for number in range(PAIRS * window or 1):
        cluster.at(0.0, partial(speak, number))
    return _counted(Size(2 * PAIRS, nodes, rate or 10_000), cluster)


def _counted(size: Size, cluster: Cluster) -> Counts:
    """Runs it second by second: a pass sees a conversation once, however much is said in it."""
    seconds, changed, here = size.seconds, 0, 0
    for second in range(1, seconds + 1):
        before = cluster.said.copy()
        cluster.run(second)
        fresh = [conv for conv, texts in cluster.said.items() if texts > before[conv]]
        changed += len(fresh)
        here += sum(len(conv.nodes) for conv in fresh)
    works = [node.work for node in cluster.nodes]
    dealt, shards = Random(0), Counter[int]()
    for texts in cluster.said.values():
        shards[dealt.randrange(SHARDS)] += texts
    return Counts(
        size,
        seconds,
        Work(*(sum(column) for column in zip(*map(attrs.astuple, works), strict=True))),
        changed / seconds,
        here / seconds / size.nodes,
        _busiest([work.us_lasting for work in works]),
        _busiest([shards[shard] for shard in range(SHARDS)]),
        max(cluster.said.values()) / seconds,
        max(cluster.commits_of.values()) / seconds,
    )


def _busiest(each: list[float] | list[int]) -> float:
    return max(each) * len(each) / sum(each)

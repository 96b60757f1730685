"""Who is connected where, and who talks to whom.

Connections are dealt to nodes at random, as a balancer does. Group sizes follow Pareto's law with exponent 1, up to
what a group may have; people are in conversations, and conversations are talked in, by a power law: the first of a
million has a hundred times the average. None of that is measured. Texts come by a Poisson process: in real logs half
of the gaps within a thread are above 19 s (tools/loadgen/hour.json), so that texts of one second know nothing of each
other.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from random import Random

import attrs

from wirechat.wire import limits

ONLINE = 0.6
"""Share of the people, also of the members of a conversation in which somebody talks."""
SECOND_DEVICE = 0.3
"""Share of those online who have two."""
IN_GROUPS = 0.65
"""Share of the texts."""
PAIRS_EACH, GROUPS_EACH = 2.0, 0.25
"""Conversations for each of the people."""
SMALLEST_GROUP = 3
PREFERENCE = 1.5


def preferred(chance: Random, among: int) -> int:
    """One of so many, the first ones more often."""
    return int(among * chance.random() ** PREFERENCE)


def group_size(chance: Random) -> int:
    """Members: P(size >= s) is about 3/s, up to the largest group that may be."""
    least = SMALLEST_GROUP / (limits.MEMBERS + 1)
    return int(SMALLEST_GROUP / (least + (1 - least) * (1 - chance.random())))


@attrs.frozen(eq=False)
class Conversation:
    """Its members that are online, by their connections."""

    seats: Sequence[int]
    """Node of each connection."""
    nodes: Counter[int]
    """Node -> connections there."""


def conversation(seats: Sequence[int]) -> Conversation:
    """With these connections."""
    return Conversation(seats, Counter(seats))


class Population:
    """People of whom so many connections are online, on so many nodes."""

    def __init__(self, connections: int, nodes: int, chance: Random) -> None:
        self._chance = chance
        self.people = round(connections / (ONLINE * (1 + SECOND_DEVICE)))
        self._first, self._second = array("h"), array("h")
        for _ in range(self.people):
            online = chance.random() < ONLINE
            self._first.append(int(chance.random() * nodes) if online else -1)
            self._second.append(int(chance.random() * nodes) if online and chance.random() < SECOND_DEVICE else -1)
        self._known: dict[tuple[bool, int], Conversation] = {}

    def drawn(self) -> Conversation:
        """The conversation of the next text. It is made when it is drawn first: most are silent."""
        chance = self._chance
        group = chance.random() < IN_GROUPS
        key = group, preferred(chance, max(1, int(self.people * (GROUPS_EACH if group else PAIRS_EACH))))
        if key not in self._known:
            self._known[key] = self._made(group_size(chance) if group else 2)
        return self._known[key]

    def _made(self, size: int) -> Conversation:
        """Somebody is online: the one who talks."""
        members: dict[int, None] = {}
        while not members:
            somebody = preferred(self._chance, self.people)
            if self._first[somebody] >= 0:
                members[somebody] = None
        while len(members) < min(size, self.people):
            members[preferred(self._chance, self.people)] = None
        places = [node for each in members for node in (self._first[each], self._second[each])]
        return conversation([node for node in places if node >= 0])

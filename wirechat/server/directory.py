"""Who is served where, as the other nodes tell it.

Each node numbers what it tells of its users. Who misses a number, or counts other users than the node does, asks for
all of them. A directory that is out of date costs time: a hint goes nowhere, and the pass finds what it was about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs
import trio

from wirechat.server import limits

Served = tuple[int, ...]
"""(user, 1 when somebody looks at one of his sessions else 0, his devices …); without devices he has gone."""


@attrs.define(eq=False)
class Node:
    """Another node."""

    number: int
    heard_at: float
    """Trio time."""
    told: int = -1
    """Number of the last telling that is in here; -1: nothing is."""
    users: dict[int, Served] = attrs.Factory(dict)
    asked_at: float = -limits.ASK_SECONDS
    """When it was asked for all of its users."""
    host: str = ""
    """Its machine, as it is called there."""
    ahead_ms: int = 0
    """Of its clock, against ours; what is on the way for long looks like a clock that is late."""


class Directory:
    """The other nodes and their users."""

    def __init__(self, moves: Callable[[int], None]) -> None:
        self._moves = moves
        """Called before and after it changes where a user is."""
        self._nodes: dict[int, Node] = {}
        self._where: dict[int, tuple[Node, ...]] = {}

    @property
    def nodes(self) -> Sequence[Node]:
        """Those heard of lately."""
        return list(self._nodes.values())

    def node(self, number: int) -> Node | None:
        """One of them."""
        return self._nodes.get(number)

    @property
    def users(self) -> int:
        """How many are served elsewhere."""
        return len(self._where)

    def of(self, user: int) -> tuple[Node, ...]:
        """The nodes that serve a user."""
        return self._where.get(user, ())

    def serving(self, users: Iterable[int]) -> Iterable[Node]:
        """The nodes that serve one of these, each once, in an order that a seed repeats."""
        where = self._where
        return dict.fromkeys(node for user in users if user in where for node in where[user]) if where else ()

    def is_there(self, user: int) -> bool:
        """Somebody looks at one of his sessions on another node."""
        return any(node.users[user][1] for node in self.of(user))

    def has(self, user: int, device: int) -> bool:
        """This device of his is connected to another node."""
        return any(device in node.users[user][2:] for node in self.of(user))

    # what the nodes tell

    def heard(self, number: int) -> Node:
        """A node lives."""
        node = self._nodes.get(number)
        if node is None:
            node = self._nodes[number] = Node(number, 0.0)
        node.heard_at = trio.current_time()
        return node

    def changed(self, node: Node, telling: int, served: Iterable[Served]) -> None:
        """What is new of its users; ignored unless it follows what is known."""
        if telling == node.told + 1 and node.told >= 0:
            node.told = telling
            for each in served:
                self._set(node, each)

    def whole(self, node: Node, telling: int, served: Sequence[Served]) -> None:
        """All of its users, unless something younger is known."""
        if telling >= node.told:
            node.told = telling
            gone = node.users.keys() - {each[0] for each in served}
            for each in served:
                self._set(node, each)
            for user in gone:
                self._set(node, (user, 0))

    def must_ask(self, node: Node, telling: int, users: int) -> bool:
        """Whether something of this node was missed, and it was not asked just now."""
        if (telling, users) == (node.told, len(node.users)) or telling < node.told:
            return False
        now = trio.current_time()
        if now - node.asked_at < limits.ASK_SECONDS:
            return False
        node.asked_at = now
        return True

    def forget(self, node: Node) -> None:
        """It is gone, and its users with it."""
        self._nodes.pop(node.number, None)
        for user in list(node.users):
            self._set(node, (user, 0))

    def silent(self) -> Iterator[Node]:
        """Nodes that were not heard of for too long."""
        end = trio.current_time() - limits.NODE_SILENT_SECONDS
        yield from [node for node in self._nodes.values() if node.heard_at < end]

    def _set(self, node: Node, served: Served) -> None:
        user, had = served[0], node.users.get(served[0])
        if had == served:
            return
        self._moves(user)
        if len(served) > 2:
            node.users[user] = served
            if had is None:
                self._where[user] = (*self.of(user), node)
        elif had is not None:
            del node.users[user]
            left = tuple(other for other in self.of(user) if other is not node)
            if left:
                self._where[user] = left
            else:
                del self._where[user]
        self._moves(user)

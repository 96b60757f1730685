"""Nobody sees a message twice (P2, invariant 2): what a client announces to those who look at it, it announces once.

Each event costs one step. Memory: a number for each message on each screen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable

from tools.history.entries import Blame


class Screens:
    """A screen is one run of one client: whoever starts again may be shown what is there."""

    def __init__(self, blame: Blame) -> None:
        self._blame = blame
        self._shows: defaultdict[Hashable, set[tuple[int, int]]] = defaultdict(set)

    def announced(self, screen: Hashable, conv: int, seq: int) -> None:
        if (conv, seq) in self._shows[screen]:
            self._blame("P2", "shown twice", f"{screen}: {conv}/{seq}")
        self._shows[screen].add((conv, seq))

    def shows(self, screen: Hashable, conv: int, seq: int) -> bool:
        return (conv, seq) in self._shows[screen]

    def cleared(self, screen: Hashable) -> None:
        self._shows.pop(screen, None)

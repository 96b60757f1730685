"""Receipts are watermarks (P7, invariant 5): they never move back, and never promise more than a device holds or its
user marked.

Each event costs one step. Memory: a few numbers for each member of each conversation.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable

from tools.history.entries import Blame

Mark = tuple[int | None, int]
"""(delivered, read); delivered is None where the conversation keeps none."""


class Receipts:
    """What devices hold, what users marked, and what others were told of it."""

    def __init__(self, blame: Blame) -> None:
        self._blame = blame
        self._held: Counter[tuple[int, int]] = Counter()
        self._marked: Counter[tuple[int, int]] = Counter()
        self._last: dict[tuple[Hashable, int, int], tuple[int, int]] = {}
        self._best: defaultdict[int, dict[int, tuple[int, int]]] = defaultdict(dict)
        """conv -> user -> the highest that anybody was told."""

    def held(self, user: int, conv: int, low: int, pos: int) -> None:
        if low <= max(self._held[user, conv], self._marked[user, conv]) + 1:
            self._held[user, conv] = max(self._held[user, conv], pos)

    def marked(self, user: int, conv: int, seq: int) -> None:
        self._marked[user, conv] = max(self._marked[user, conv], seq)

    def receipt(self, observer: Hashable, conv: int, user: int, delivered: int | None, read: int) -> None:
        before = self._last.get((observer, conv, user), (0, 0))
        self._last[observer, conv, user] = (delivered or 0, read)
        if (delivered or 0) < before[0] or read < before[1]:
            detail = f"user {user} in {conv}: delivered {delivered}, read {read}, before {before[0]}, {before[1]}"
            self._blame("P7", "receipt moved back", f"{observer}: {detail}")
        self.promised(observer, conv, user, delivered, read)

    def promised(self, observer: Hashable, conv: int, user: int, delivered: int | None, read: int) -> None:
        best = self._best[conv].get(user, (0, 0))
        self._best[conv][user] = (max(best[0], delivered or 0), max(best[1], read))
        held, marked = self._held[user, conv], self._marked[user, conv]
        where = f"{observer}: user {user} in {conv}: delivered {delivered}, read {read}, held {held}, marked {marked}"
        if delivered is not None and read > delivered:
            self._blame("P7", "read before delivered", where)
        if (delivered or 0) > max(held, marked):
            self._blame("P7", "delivered beyond a device", where)
        if read > marked:
            self._blame("P7", "read beyond a mark", where)

    def best(self, conv: int, user: int) -> tuple[int, int]:
        """The highest watermarks of this user that anybody was told."""
        return self._best[conv].get(user, (0, 0))

    def finish(self, conv: int, head: int) -> None:
        """Nobody has what is not there."""
        for user, (delivered, read) in self._best[conv].items():
            if max(delivered, read) > head:
                detail = f"user {user} in {conv}: delivered {delivered}, read {read}, the log ends at {head}"
                self._blame("P7", "beyond the log", detail)

    def restored(self, conv: int, head: int) -> None:
        """Devices give up what they hold above `head`, and the server knows the watermarks of the backup."""
        for counter in (self._held, self._marked):
            for user, where in counter:
                if where == conv:
                    counter[user, where] = min(counter[user, where], head)
        self._last = {key: mark for key, mark in self._last.items() if key[1] != conv}
        self._best.pop(conv, None)

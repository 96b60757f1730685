"""What somebody has hidden, who has blocked whom, and which devices were revoked, as far as the server has said so.

* What was hidden before a page was asked for is not in that page.
* While a block stands for sure, from its answer until somebody asks to take it back, nothing passes between the two
  that the block forbids: no message in private, no invitation.
* A device that was revoked is let in no more, and is cut off.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

Walls = tuple[int | None, int | None]
"""Numbers of the blocks that stand between two users, in either direction."""


class Privacy:
    """Reported to by the witnesses of all devices."""

    def __init__(self) -> None:
        self._hidden: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
        self._asked: Counter[tuple[int, int]] = Counter()
        """(user, other) -> how often he has asked to unblock him."""
        self._open: Counter[tuple[int, int]] = Counter()
        """Of those, how many were not answered; each may still be executed."""
        self._stands: dict[tuple[int, int], int] = {}
        self._number = 0
        self._doomed: set[int] = set()
        self._revoked: set[int] = set()

    def restored(self) -> None:
        """The data is about to be older: what was done since is not done any more."""
        self._hidden.clear()
        self._stands.clear()
        self._revoked.clear()

    def dooms(self, device: int) -> None:
        """DEVICE_REVOKE is sent."""
        self._doomed.add(device)

    def is_doomed(self, device: int) -> bool:
        """Whether somebody has asked to revoke the device."""
        return device in self._doomed

    def revoked(self, device: int) -> None:
        """DEVICE_REVOKE was answered."""
        self._revoked.add(device)

    def is_revoked(self, device: int) -> bool:
        """Whether the device is surely revoked by now."""
        return device in self._revoked

    def hid(self, user: int, conv: int, seqs: Iterable[int]) -> None:
        """HIDE was answered."""
        self._hidden[user, conv].update(seqs)

    def hidden(self, user: int, conv: int) -> frozenset[int]:
        """What the user has surely hidden by now."""
        return frozenset(self._hidden[user, conv])

    def asks(self, user: int, other: int, on: bool) -> int:
        """BLOCK is sent. Returns what `answered` wants to know."""
        if not on:
            self._asked[user, other] += 1
            self._open[user, other] += 1
            self._stands.pop((user, other), None)
        return self._asked[user, other]

    def answered(self, user: int, other: int, on: bool, asked: int) -> None:
        """BLOCK was done. It stands for sure if nobody has asked to take it back since it was sent."""
        pair = user, other
        if not on:
            self._open[pair] -= 1
        elif not self._open[pair] and self._asked[pair] == asked and pair not in self._stands:
            self._number += 1
            self._stands[pair] = self._number

    def walls(self, user: int, others: Iterable[int]) -> dict[int, Walls]:
        """What stands now between a user and each of the others."""
        return {other: (self._stands.get((user, other)), self._stands.get((other, user))) for other in others}

    def broken(self, before: dict[int, Walls], user: int, others: Iterable[int]) -> list[int]:
        """The others from whom a block has separated the user all the time since `before`."""
        now = self.walls(user, others)
        return [
            other
            for other, walls in now.items()
            if any(was is not None and was == wall for was, wall in zip(before.get(other, ()), walls, strict=False))
        ]

"""Nothing is shown outside of a membership (P9, invariant 12).

Each event costs one step. Memory: a number for each entry that each user was shown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from tools.history.entries import Blame, Periods, is_within


class Members:
    """What each user was shown."""

    def __init__(self, blame: Blame) -> None:
        self._blame = blame
        self._shown: defaultdict[int, defaultdict[int, set[int]]] = defaultdict(lambda: defaultdict(set))

    def shown(self, user: int, conv: int, seq: int) -> None:
        self._shown[conv][user].add(seq)

    def restored(self, conv: int, head: int) -> None:
        """The log above `head` will be another one."""
        for user, seqs in self._shown[conv].items():
            self._shown[conv][user] = {seq for seq in seqs if seq <= head}

    def finish(self, conv: int, periods: Mapping[int, Periods], whole: bool) -> None:
        """When all memberships are known; not `whole`: somebody may have been invited where nobody looked."""
        for user, seqs in self._shown[conv].items():
            times = periods.get(user, ())
            if not times and not whole:
                continue
            outside = [seq for seq in sorted(seqs) if not is_within(times, seq)]
            if outside:
                self._blame("P9", "outside membership", f"user {user} was shown {conv}/{outside[:5]}, member {times}")

"""One order for all (P4, invariant 3), without a gap (P3, invariant 4): each seq of a log is one entry, whoever looks.

Memory: one entry for each seq, one number more where the log itself was read.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict

import attrs

from tools.history.entries import EDIT, MSG, Blame, Entry


class Logs:
    """Every entry that somebody was shown or that stands in the log itself."""

    def __init__(self, blame: Blame) -> None:
        self._blame = blame
        self._bound: defaultdict[int, dict[int, Entry]] = defaultdict(dict)
        self._logged: defaultdict[int, set[int]] = defaultdict(set)
        self._head: Counter[int] = Counter()

    def take(self, entry: Entry, observer: str) -> bool:
        """Somebody has this entry; whether he is the first."""
        log = self._bound[entry.conv]
        bound = log.get(entry.seq)
        if bound is None:
            log[entry.seq] = entry
            if entry.ref is not None and entry.ref >= entry.seq:
                self._blame("P4", "answers what comes later", f"{observer} has {entry}")
            return True
        if not is_same(bound, entry):
            self._blame("P4", "one order", f"{observer} has {entry}, before it was {bound}")
        elif bound.content is None and entry.content is not None:
            log[entry.seq] = attrs.evolve(entry, cid=entry.cid or bound.cid)
        return False

    def logged(self, conv: int, seq: int) -> None:
        """This entry stands in the log itself, which can be read and is read whole sooner or later."""
        self._logged[conv].add(seq)

    def headed(self, conv: int, head: int) -> None:
        """The log was read, and reaches as far as this."""
        self._head[conv] = max(self._head[conv], head)

    def at(self, conv: int, seq: int) -> Entry | None:
        """The entry at this place, if anybody has it."""
        return self._bound[conv].get(seq)

    def conversations(self) -> list[int]:
        """Those of which anything is known."""
        return sorted({conv for conv, log in self._bound.items() if log} | set(self._head))

    def is_read(self, conv: int) -> bool:
        """The log itself was read, so what does not stand there is not there."""
        return bool(self._logged[conv]) or conv in self._head

    def stands(self, conv: int, seq: int) -> bool:
        """Whether this entry is there: in the log if that was read, else in anybody's hands."""
        return seq in (self._logged if self.is_read(conv) else self._bound)[conv]

    def entries(self, conv: int) -> list[Entry]:
        """What stands there, in order of seq."""
        log, read = self._bound[conv], self.is_read(conv)
        return [log[seq] for seq in sorted(self._logged[conv] if read else log)]

    def seen(self, conv: int) -> list[Entry]:
        """What anybody has of it, in order of seq."""
        return [self._bound[conv][seq] for seq in sorted(self._bound[conv])]

    def head(self, conv: int) -> int:
        """The highest seq that is known to have been given away."""
        return max(self._head[conv], max(self._logged[conv] if self.is_read(conv) else self._bound[conv], default=0))

    def missing(self, conv: int, head: int) -> list[int]:
        """Places up to `head` without an entry."""
        found = self._logged[conv] if self.is_read(conv) else self._bound[conv].keys()
        return [] if len(found) == head else [seq for seq in range(1, head + 1) if seq not in found]

    def restored(self, conv: int, head: int) -> list[Entry]:
        """Forget what stood above `head`; returns it."""
        log = self._bound[conv]
        gone = [log.pop(seq) for seq in sorted(log) if seq > head]
        self._logged[conv] = {seq for seq in self._logged[conv] if seq <= head}
        self._head.pop(conv, None)
        return gone

    def finish(self) -> None:
        """Server time never runs against seq."""
        for conv in self.conversations():
            for before, after in itertools.pairwise(self.entries(conv)):
                if after.ts < before.ts:
                    detail = f"{conv}: {before.seq} at {before.ts}, {after.seq} at {after.ts}"
                    self._blame("P4", "time runs back", detail)


def is_same(one: Entry, other: Entry) -> bool:
    """Equal but for what may be withheld: of what was deleted all that was said, and the cid of others."""
    if (one.ts, one.sender, one.kind, one.ref, one.role) != (other.ts, other.sender, other.kind, other.ref, other.role):
        return False
    deleted = one.kind in (MSG, EDIT) and (one.content is None or other.content is None)
    return deleted or (one.content, one.users, one.origin) == (other.content, other.users, other.origin)

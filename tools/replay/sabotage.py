"""Spoils the evidence on purpose, so that everybody can see that the comparison is able to fail.

`lose`, `reorder` and `gap` change what the reader brought; `double` is no lie: a line is really sent again with a fresh
cid, and nobody tells the comparison.
"""

import enum
import itertools

import attrs

from tools.history.checker import MSG, Record
from tools.replay.evidence import Account


class Sabotage(enum.Enum):
    LOSE = "lose"
    DOUBLE = "double"
    REORDER = "reorder"
    GAP = "gap"


def spoil(account: Account, kind: Sabotage) -> None:
    """Changes what the server said; `double` has been done by then."""
    spoken = [record for _, record in sorted(account.records.items()) if record.kind == MSG]
    match kind:
        case Sabotage.LOSE:
            account.records.pop(spoken[len(spoken) // 2].seq)
        case Sabotage.REORDER:
            _swap(account, spoken)
        case Sabotage.GAP:
            account.head += 1
        case Sabotage.DOUBLE:
            pass


def _swap(account: Account, spoken: list[Record]) -> None:
    """Two neighbours that say different things change their places."""
    pairs = itertools.pairwise(spoken)
    one, other = next((a, b) for a, b in pairs if (a.sender, a.content) != (b.sender, b.content))
    account.records[one.seq] = attrs.evolve(other, seq=one.seq, rev=one.rev, ts=one.ts)
    account.records[other.seq] = attrs.evolve(one, seq=other.seq, rev=other.rev, ts=other.ts)

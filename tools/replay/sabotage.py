"""Spoils the evidence on purpose, so that everybody can see that the comparison is able to fail.

`lose`, `reorder` and `gap` change what the reader brought; `double` is no lie: a line is really sent again with a fresh
cid, and nobody tells the comparison.
"""

import enum
import itertools

import attrs

from tools.replay.evidence import Account, Evidence, Promise


class Sabotage(enum.Enum):
    LOSE = "lose"
    DOUBLE = "double"
    REORDER = "reorder"
    GAP = "gap"


def spoil(account: Account, evidence: Evidence, kind: Sabotage) -> None:
    """Changes what the server said; `double` has been done by then."""
    spoken = [promise for promise in evidence.promises if promise.text is not None and promise.step >= 0]
    match kind:
        case Sabotage.LOSE:
            account.facts.pop(spoken[len(spoken) // 2].seq, None)
        case Sabotage.REORDER:
            _swap(account, spoken)
        case Sabotage.GAP:
            account.head += 1
        case Sabotage.DOUBLE:
            pass


def _swap(account: Account, spoken: list[Promise]) -> None:
    """Two neighbours that say different things change their places."""
    pairs = itertools.pairwise(spoken)
    one, other = next((a.seq, b.seq) for a, b in pairs if (a.sender, a.text) != (b.sender, b.text))
    first, second = account.facts[one], account.facts[other]
    account.facts[one] = attrs.evolve(second, seq=one, rev=one, ts=first.ts)
    account.facts[other] = attrs.evolve(first, seq=other, rev=other, ts=second.ts)

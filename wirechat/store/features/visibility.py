"""What of a log a user may see (docs/protocol.md, visibility), said once for every statement that reads one.

A member sees the records of his periods; a former member those that were not changed after he left; nobody what he has
hidden. For who was never in, there is nothing to look at.
"""

from __future__ import annotations

import attrs

from wirechat.store.features import conversations
from wirechat.store.records import Refusal
from wirechat.store.tx import Tx

VISIBLE = """
    (t.seq >= $2 OR EXISTS (SELECT 1 FROM past_period p WHERE p.conv = t.conv AND p.user_id = $3
                            AND p.since <= t.seq AND p.until >= t.seq))
    AND t.rev <= $4
"""
"""Of the record `t`. The first parameters of a statement with it are those of the view."""

_HIDDEN = " AND NOT EXISTS (SELECT 1 FROM hidden h WHERE h.user_id = $3 AND h.conv = t.conv AND h.seq = t.seq) "


@attrs.frozen
class View:
    """How one user sees one conversation, in one snapshot."""

    conv: int
    user: int
    since: int
    """First seq of his last period."""
    upto: int
    """The head, as far as he may know of it."""
    earliest: int
    """First seq of his first period: what lies before need not be walked through."""
    hides: bool
    """He has hidden something here."""

    @property
    def parameters(self) -> tuple[int, int, int, int]:
        """$1 to $4."""
        return self.conv, self.since, self.user, self.upto

    @property
    def visible(self) -> str:
        """The condition on the record `t`."""
        return VISIBLE + (_HIDDEN if self.hides else "")


async def view(tx: Tx, user: int, conv: int) -> View | Refusal:
    """NO_CONVERSATION for one who was never in."""
    standing = await conversations.standing(tx, user, conv)
    if isinstance(standing, Refusal):
        return standing
    since, until = standing
    row = await tx.fetchrow(
        "SELECT c.head, (SELECT min(p.since) FROM past_period p WHERE p.conv = $1 AND p.user_id = $2),"
        " EXISTS (SELECT 1 FROM hidden h WHERE h.user_id = $2 AND h.conv = $1) FROM conv c WHERE c.conv = $1",
        conv, user,
    )  # fmt: skip
    assert row is not None
    head, earliest, hides = row
    return View(conv, user, since, head if until is None else until, earliest or since, bool(hides))

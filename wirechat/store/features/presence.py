"""Who may see whose presence, and when people were last there.

One sees another when both are current members of some conversation, neither blocks the other, and both have the
audience CONTACTS. Otherwise he is to one like a user who does not exist (P9).
"""

from __future__ import annotations

from collections.abc import Iterable

from wirechat.store.tx import Tx

Pair = tuple[int, int]
"""(who asks, about whom)."""

CONTACTS = 1
"""The audience of who shows presence and sees that of others."""

_VISIBLE = f"""
    SELECT a.user_id, b.user_id, b.seen, b.rev FROM account a JOIN account b ON a.user_id = $1 AND b.user_id = $2
    WHERE a.audience = {CONTACTS} AND b.audience = {CONTACTS}
    AND NOT EXISTS (SELECT 1 FROM block k WHERE k.user_id = a.user_id AND k.blocked = b.user_id)
    AND NOT EXISTS (SELECT 1 FROM block k WHERE k.user_id = b.user_id AND k.blocked = a.user_id)
    AND (EXISTS (SELECT 1 FROM direct d WHERE d.low = $3 AND d.high = $4)
         OR EXISTS (SELECT 1 FROM member m JOIN member o ON o.conv = m.conv AND o.user_id = b.user_id
                    WHERE m.user_id = a.user_id AND m.conv <> coalesce(a.log, 0)
                    AND m.until IS NULL AND o.until IS NULL))
"""
"""A direct conversation is looked for first: it is the common case, and one row."""


async def visible(tx: Tx, pairs: Iterable[Pair]) -> dict[Pair, tuple[int | None, int]]:
    """Of the pairs in which the first may see the second: when he was last there, and the rev of his profile."""
    rows = await tx.fetchmany(_VISIBLE, [(one, other, min(one, other), max(one, other)) for one, other in pairs])
    return {(one, other): (seen, rev) for one, other, seen, rev in rows}


async def saw(tx: Tx, seen: Iterable[tuple[int, int]]) -> None:
    """(user, when he was last there), never back in time."""
    await tx.executemany(
        "UPDATE account SET seen = $1 WHERE user_id = $2 AND (seen IS NULL OR seen < $1)",
        [(when, user) for user, when in sorted(seen)],
    )

"""A forward copies the latest text of a message that its sender sees, and says who wrote it first and when."""

from __future__ import annotations

from wirechat.store.records import Kind, Origin, Refusal
from wirechat.store.tx import Tx

_SOURCE = """
    SELECT t.sender, t.ts, t.content, t.latest, t.origin_user, t.origin_ts
    FROM member m JOIN entry t ON t.conv = m.conv
    WHERE m.conv = $1 AND m.user_id = $2 AND t.seq = $3 AND t.kind = $4 AND (m.until IS NULL OR t.rev <= m.until)
      AND (t.seq >= m.since OR EXISTS (SELECT 1 FROM past_period p WHERE p.conv = t.conv AND p.user_id = m.user_id
                                       AND p.since <= t.seq AND p.until >= t.seq))
"""
"""Knows no head: the source may be of the batch that is being written."""


async def copy(tx: Tx, user: int, conv: int, seq: int) -> tuple[bytes, Origin] | Refusal:
    """(packed text, origin) of what a user forwards. NOT_FOUND whatever it is that he may not see."""
    row = await tx.fetchrow(_SOURCE, conv, user, seq, int(Kind.MSG))
    if row is None:
        return Refusal.NOT_FOUND
    sender, ts, content, latest, origin, origin_ts = row
    if content is None:
        return Refusal.DELETED
    if latest is not None or origin is None:
        return latest or content, (sender, ts)
    return content, (origin, origin_ts)

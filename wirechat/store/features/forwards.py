"""A forward copies the latest text of a message that its sender sees, and says who wrote it first and when."""

from __future__ import annotations

from wirechat.store.features import conversations
from wirechat.store.features.visibility import View
from wirechat.store.records import Kind, Origin, Refusal
from wirechat.store.tx import Tx

ANY_REV = 2**62
"""The head of a conversation will not do: the source may be of the batch that is being written."""


async def copy(tx: Tx, user: int, conv: int, seq: int) -> tuple[bytes, Origin] | Refusal:
    """(packed text, origin) of what a user forwards. NOT_FOUND whatever it is that he may not see, or has hidden."""
    standing = await conversations.standing(tx, user, conv)
    if isinstance(standing, Refusal):
        return Refusal.NOT_FOUND
    since, until = standing
    view = View(conv, user, since, ANY_REV if until is None else until, since, hides=True)
    row = await tx.fetchrow(
        "SELECT t.sender, t.ts, t.content, t.latest, t.origin_user, t.origin_ts FROM entry t"
        f" WHERE t.conv = $1 AND {view.visible} AND t.kind = {Kind.MSG:d} AND t.seq = $5",
        *view.parameters, seq,
    )  # fmt: skip
    if row is None:
        return Refusal.NOT_FOUND
    sender, ts, content, latest, origin, origin_ts = row
    if content is None:
        return Refusal.DELETED
    if latest is not None or origin is None:
        return latest or content, (sender, ts)
    return content, (origin, origin_ts)

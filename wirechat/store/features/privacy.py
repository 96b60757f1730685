"""Messages that one user does not want to see, as the HIDE entries of his account log say."""

from __future__ import annotations

from collections.abc import Sequence

from wirechat.store.features import account_log, history
from wirechat.store.records import Refusal
from wirechat.store.tx import Tx


async def hide(tx: Tx, user: int, conv: int, seqs: Sequence[int]) -> bool | Refusal:
    """Hide messages that the user sees. False when all of them are hidden already."""
    if await account_log.is_one(tx, user, conv):
        return Refusal.NO_CONVERSATION
    visible = await history.visible_messages(tx, user, conv, seqs)
    if isinstance(visible, Refusal):
        return visible
    if not visible.issuperset(seqs):
        return Refusal.NOT_FOUND
    hidden = await tx.fetchmany(
        "SELECT seq FROM hidden WHERE user_id = $1 AND conv = $2 AND seq = $3", [(user, conv, seq) for seq in seqs]
    )
    fresh = set(seqs) - {seq for (seq,) in hidden}
    await tx.executemany(
        "INSERT INTO hidden (user_id, conv, seq) VALUES ($1, $2, $3)", [(user, conv, seq) for seq in sorted(fresh)]
    )
    return bool(fresh)

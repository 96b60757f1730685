"""What one does not want to see: hidden messages and blocked people, as the account logs say."""

from __future__ import annotations

from collections.abc import Sequence

from wirechat.store.features import account_log, visibility
from wirechat.store.records import Kind, Refusal
from wirechat.store.tx import Tx


async def hide(tx: Tx, user: int, conv: int, seqs: Sequence[int]) -> bool | Refusal:
    """Hide messages that the user sees. False when all of them are hidden already."""
    if await account_log.is_one(tx, user, conv):
        return Refusal.NO_CONVERSATION
    view = await visibility.view(tx, user, conv)
    if isinstance(view, Refusal):
        return view
    visible = await tx.fetchmany(
        f"SELECT 1 FROM entry t WHERE t.conv = $1 AND {visibility.VISIBLE} AND t.kind = {Kind.MSG:d} AND t.seq = $5",
        [(*view.parameters, seq) for seq in seqs],
    )
    if len(visible) < len(seqs):
        return Refusal.NOT_FOUND
    hidden = await tx.fetchmany(
        "SELECT seq FROM hidden WHERE user_id = $1 AND conv = $2 AND seq = $3", [(user, conv, seq) for seq in seqs]
    )
    fresh = set(seqs) - {seq for (seq,) in hidden}
    await tx.executemany(
        "INSERT INTO hidden (user_id, conv, seq) VALUES ($1, $2, $3)", [(user, conv, seq) for seq in sorted(fresh)]
    )
    return bool(fresh)


async def block(tx: Tx, user: int, other: int, on: bool, blocked_max: int) -> bool | Refusal:
    """Block another user or unblock him. False when that changes nothing; LIMIT above `blocked_max`."""
    if await tx.fetchrow("SELECT 1 FROM account WHERE user_id = $1", other) is None:
        return Refusal.NOT_FOUND
    before = await blocked(tx, user)
    if (other in before) == on:
        return False
    if not on:
        await tx.execute("DELETE FROM block WHERE user_id = $1 AND blocked = $2", user, other)
    elif len(before) >= blocked_max:
        return Refusal.LIMIT
    else:
        await tx.execute("INSERT INTO block (user_id, blocked) VALUES ($1, $2)", user, other)
    return True


async def blocked(tx: Tx, user: int) -> list[int]:
    """Whom a user has blocked, by id."""
    return [other for (other,) in await tx.fetch("SELECT blocked FROM block WHERE user_id = $1 ORDER BY 1", user)]


async def apart(tx: Tx, user: int, others: Sequence[int]) -> frozenset[int]:
    """Those of the others whom the user has blocked, or who have blocked him."""
    pairs = [pair for other in others for pair in ((user, other), (other, user))]
    rows = await tx.fetchmany("SELECT user_id, blocked FROM block WHERE user_id = $1 AND blocked = $2", pairs)
    return frozenset(other for row in rows for other in row if other != user)

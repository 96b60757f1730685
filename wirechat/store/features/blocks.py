"""Who does not want to hear of whom, as the BLOCK and UNBLOCK entries of the account logs say."""

from __future__ import annotations

from collections.abc import Sequence

from wirechat.store.records import Refusal
from wirechat.store.tx import Tx


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


async def between(tx: Tx, user: int, others: Sequence[int]) -> bool:
    """Whether a user has blocked one of the others, or one of them has blocked him."""
    pairs = [pair for other in others for pair in ((user, other), (other, user))]
    return bool(await tx.fetchmany("SELECT 1 FROM block WHERE user_id = $1 AND blocked = $2", pairs))

"""Pinned messages. Which PIN holds stands with the message, so that a record tells it and a delete takes it along."""

from __future__ import annotations

from wirechat.store.features import visibility
from wirechat.store.records import Kind, Refusal
from wirechat.store.tx import Tx

PINS_MAX = 100
"""Pinned messages of a conversation: the list goes out in one frame."""

Pin = tuple[int, int, int, int]
"""(seq, seq of the PIN, who pinned, when)."""


async def refusal(tx: Tx, conv: int, kind: int, pinned: int | None) -> Refusal | None:
    """Why a message that is pinned, or not, can be pinned or unpinned no more."""
    if (kind == Kind.PIN) == (pinned is not None):
        return Refusal.CONFLICT
    if kind == Kind.UNPIN:
        return None
    row = await tx.fetchrow("SELECT count(*) FROM entry WHERE conv = $1 AND pinned IS NOT NULL", conv)
    assert row is not None
    return Refusal.LIMIT if row[0] >= PINS_MAX else None


async def change(tx: Tx, conv: int, seq: int, kind: int, rev: int) -> None:
    """Entry `rev` pins the message, or no more."""
    await tx.execute(
        "UPDATE entry SET pinned = $1, rev = $2 WHERE conv = $3 AND seq = $4",
        rev if kind == Kind.PIN else None, rev, conv, seq,
    )  # fmt: skip


async def pins(tx: Tx, user: int, conv: int) -> list[Pin] | Refusal:
    """Those a user may see, the one pinned last first."""
    view = await visibility.view(tx, user, conv)
    if isinstance(view, Refusal):
        return view
    rows = await tx.fetch(
        "SELECT t.seq, t.pinned, e.sender, e.ts FROM entry t JOIN entry e ON e.conv = t.conv AND e.seq = t.pinned"
        f" WHERE t.conv = $1 AND t.pinned IS NOT NULL AND {view.visible} ORDER BY t.pinned DESC",
        *view.parameters,
    )
    return [(seq, pinned, who, ts) for seq, pinned, who, ts in rows]

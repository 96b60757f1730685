"""Who is mentioned in the latest state of a message: one row for each user, without its sender."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wirechat.store.features import visibility
from wirechat.store.records import WALK_MAX, MentionsPage, Refusal
from wirechat.store.tx import Tx

Mention = tuple[int, int, int]
"""(user, conv, seq)."""


def of(conv: int, seq: int, sender: int, users: Iterable[int]) -> list[Mention]:
    """The rows of a message that mentions these."""
    return [(user, conv, seq) for user in users if user != sender]


async def note(tx: Tx, mentions: Sequence[Mention]) -> None:
    """Messages mention these from now on."""
    await tx.executemany("INSERT INTO mention (user_id, conv, seq) VALUES ($1, $2, $3)", mentions)


async def forget(tx: Tx, mentions: Sequence[Mention]) -> None:
    """Messages mention these no more."""
    await tx.executemany("DELETE FROM mention WHERE user_id = $1 AND conv = $2 AND seq = $3", mentions)


async def mentions(tx: Tx, user: int, conv: int, hi: int | None, limit: int) -> MentionsPage | Refusal:
    """Messages up to `hi` that mention a user. A page without any and with `below` says that what is below was not
    looked at yet.
    """
    view = await visibility.view(tx, user, conv)
    if isinstance(view, Refusal):
        return view
    top = view.upto if hi is None else min(hi, view.upto)
    beyond = await tx.fetchrow(
        "SELECT seq FROM mention WHERE user_id = $1 AND conv = $2 AND seq >= $3 AND seq <= $4"
        f" ORDER BY seq DESC LIMIT 1 OFFSET {WALK_MAX:d}",
        user, conv, view.earliest, top,
    )  # fmt: skip
    below = 0 if beyond is None else beyond[0]
    rows = await tx.fetch(
        "SELECT t.seq FROM mention m JOIN entry t ON t.conv = m.conv AND t.seq = m.seq"
        f" WHERE m.conv = $1 AND {view.visible} AND m.user_id = $3 AND m.seq > $5 AND m.seq <= $6"
        " AND NOT EXISTS (SELECT 1 FROM block b WHERE b.user_id = $3 AND b.blocked = t.sender)"
        " ORDER BY m.seq DESC LIMIT $7",
        *view.parameters, max(below, view.earliest - 1), top, limit + 1,
    )  # fmt: skip
    if len(rows) > limit:
        below = rows[limit][0]
    looked = await tx.fetchrow(
        "SELECT count(*) FROM mention WHERE user_id = $1 AND conv = $2 AND seq > $3 AND seq <= $4",
        user, conv, max(below, view.earliest - 1), top,
    )  # fmt: skip
    assert looked is not None
    seqs = [seq for (seq,) in rows[:limit]]
    return MentionsPage(seqs, below, looked[0] - len(seqs))

"""Conversations and their members, as their members may see them."""

from __future__ import annotations

from collections.abc import Sequence

from wirechat.store.records import Members, Refusal
from wirechat.store.tx import Tx


async def member_list(tx: Tx, conv: int) -> Members:
    """The current members."""
    version = await tx.fetchrow("SELECT version FROM conv WHERE conv = $1", conv)
    rows = await tx.fetch("SELECT user_id, since FROM member WHERE conv = $1 AND until IS NULL ORDER BY user_id", conv)
    return Members(version[0] if version else 0, dict(rows))


async def standing(tx: Tx, user: int, conv: int) -> tuple[int, int | None] | Refusal:
    """(since, until) of a member's last period; NO_CONVERSATION for one who was never in."""
    row = await tx.fetchrow("SELECT since, until FROM member WHERE conv = $1 AND user_id = $2", conv, user)
    return Refusal.NO_CONVERSATION if row is None else (row[0], row[1])


async def members(tx: Tx, user: int, conv: int, after: int, limit: int) -> list[tuple[int, int, int]] | Refusal:
    """(user, role, since) of the current members, by id; FORBIDDEN for a former member."""
    mine = await standing(tx, user, conv)
    if isinstance(mine, Refusal):
        return mine
    if mine[1] is not None:
        return Refusal.FORBIDDEN
    rows = await tx.fetch(
        "SELECT user_id, role, since FROM member WHERE conv = $1 AND until IS NULL AND user_id > $2"
        " ORDER BY user_id LIMIT $3",
        conv, after, limit,
    )  # fmt: skip
    return [(row[0], row[1], row[2]) for row in rows]


async def describe(
    tx: Tx, user: int, convs: Sequence[int]
) -> list[tuple[int, int, int, int, bytes | None, int | None, bytes | None]]:
    """(conv, kind, role, members, packed title, peer, packed description) of those the user is or was in; role and
    members 0 for a former member.
    """
    rows = await tx.fetchmany(
        "SELECT c.conv, c.kind, m.role, CASE WHEN m.until IS NULL THEN"
        " (SELECT count(*) FROM member o WHERE o.conv = c.conv AND o.until IS NULL) ELSE 0 END, c.title,"
        " CASE WHEN c.kind = 1 THEN (SELECT o.user_id FROM member o WHERE o.conv = c.conv AND o.user_id <> $1) END,"
        " c.about FROM member m JOIN conv c ON c.conv = m.conv WHERE m.user_id = $1 AND m.conv = $2",
        [(user, conv) for conv in convs],
    )
    return [(row[0], row[1], row[2], row[3], row[4], row[5], row[6]) for row in rows]

"""Conversations and their members, as their members may see them."""

from __future__ import annotations

from collections.abc import Sequence

from wirechat.store.records import ABOUT, TITLE, Description, Members, Refusal
from wirechat.store.tx import Tx


async def member_list(tx: Tx, conv: int) -> Members:
    """The current members; none of a conversation that does not exist."""
    return (await member_lists(tx, [conv])).get(conv, Members(0, {}))


async def member_lists(tx: Tx, convs: Sequence[int]) -> dict[int, Members]:
    """The current members of several that exist."""
    versions = await tx.fetchmany("SELECT conv, version FROM conv WHERE conv = $1", [(conv,) for conv in convs])
    found = {conv: Members(version, {}) for conv, version in versions}
    for conv, user, since in await tx.fetchmany(
        "SELECT conv, user_id, since FROM member WHERE conv = $1 AND until IS NULL ORDER BY user_id",
        [(conv,) for conv in convs],
    ):
        found[conv].since[user] = since
    return found


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


async def describe(tx: Tx, user: int, convs: Sequence[int]) -> list[Description]:
    """Those the user is or was in."""
    rows = await tx.fetchmany(
        "SELECT c.conv, c.kind, m.role, CASE WHEN m.until IS NULL THEN"
        " (SELECT count(*) FROM member o WHERE o.conv = c.conv AND o.until IS NULL) ELSE 0 END, c.title,"
        " CASE WHEN c.kind = 1 THEN (SELECT o.user_id FROM member o WHERE o.conv = c.conv AND o.user_id <> $1) END,"
        " c.about, m.until FROM member m JOIN conv c ON c.conv = m.conv WHERE m.user_id = $1 AND m.conv = $2",
        [(user, conv) for conv in convs],
    )
    found = []
    for *row, until in rows:
        description = Description(*row)
        if until is not None:
            await _as_of(tx, description, until)
        found.append(description)
    return found


async def _as_of(tx: Tx, description: Description, seq: int) -> None:
    """Set title and description to what they were then: a former member does not learn of later ones (P9)."""
    conv = description.conv
    first = await tx.fetchrow("SELECT content FROM entry WHERE conv = $1 AND seq = 1", conv)
    assert first is not None
    description.title = await _newest(tx, conv, seq, TITLE) or first[0]
    description.about = await _newest(tx, conv, seq, ABOUT)


async def _newest(tx: Tx, conv: int, seq: int, what: int) -> bytes | None:
    """The newest META entry of this content type up to `seq`. The literal 9 lets the partial index serve."""
    row = await tx.fetchrow(
        "SELECT content FROM entry WHERE conv = $1 AND kind = 9 AND seq <= $2 AND substr(content, 2, 1) = $3"
        " ORDER BY seq DESC LIMIT 1",
        conv, seq, bytes([what]),
    )  # fmt: skip
    return None if row is None else bytes(row[0])

"""Watermarks: delivered and read for each member, and the dense counter that makes them a log of their own."""

from __future__ import annotations

from collections.abc import Sequence

from wirechat.store.features import conversations, sync
from wirechat.store.records import ReceiptChange, Refusal
from wirechat.store.tx import Tx

_FOR_UPDATE = {"sqlite": "", "postgres": " FOR UPDATE"}
Mark = tuple[int, int, int]
"""(user, delivered, read)."""


async def flush(
    tx: Tx, items: Sequence[tuple[int, int, int, int]], delivered_members: int
) -> tuple[list[tuple[int, int] | Refusal], list[ReceiptChange]]:
    """Raise watermarks: (conv, user, delivered, read) each. Returns (delivered, read) or a refusal for each, and what
    changed.

    Merged by maximum and clamped to the head. Reading raises delivered. In groups above `delivered_members` only
    reading counts.
    """
    stamp: int | None = None
    results: dict[int, tuple[int, int] | Refusal] = {}
    changes: list[ReceiptChange] = []
    by_conv: dict[int, list[int]] = {}
    for index, item in enumerate(items):
        by_conv.setdefault(item[0], []).append(index)
    for conv in sorted(by_conv):
        counter = await tx.fetchrow("SELECT rrev FROM conv_rc WHERE conv = $1" + _FOR_UPDATE[tx.engine], conv)
        if counter is None:
            results.update(dict.fromkeys(by_conv[conv], Refusal.NO_CONVERSATION))
            continue
        after = rrev = counter[0]
        marks: dict[int, Mark] = {}
        for index in by_conv[conv]:
            _, user, delivered, read = items[index]
            raised = await _raise(tx, conv, user, delivered, read, delivered_members)
            if isinstance(raised, Refusal):
                results[index] = raised
                continue
            now_delivered, now_read, rose = raised
            results[index] = (now_delivered, now_read)
            if rose:
                rrev += 1
                marks.pop(user, None)
                marks[user] = (user, now_delivered, now_read)
                await tx.execute(
                    "INSERT INTO mark (conv, user_id, delivered, read, rrev) VALUES ($1, $2, $3, $4, $5)"
                    " ON CONFLICT (conv, user_id) DO UPDATE"
                    " SET delivered = excluded.delivered, read = excluded.read, rrev = excluded.rrev",
                    conv, user, now_delivered, now_read, rrev,
                )  # fmt: skip
        if rrev != after:
            stamp = stamp or await sync.next_stamp(tx)
            await tx.execute("UPDATE conv_rc SET rrev = $1, rstamp = $2 WHERE conv = $3", rrev, stamp, conv)
            changes.append(ReceiptChange(conv, after, rrev, tuple(marks.values())))
    return [results[index] for index in range(len(items))], changes


async def _raise(
    tx: Tx, conv: int, user: int, delivered: int, read: int, delivered_members: int
) -> tuple[int, int, bool] | Refusal:
    row = await tx.fetchrow(
        "SELECT m.until, c.head, coalesce(k.delivered, 0), coalesce(k.read, 0)"
        " FROM member m JOIN conv c ON c.conv = m.conv"
        " LEFT JOIN mark k ON k.conv = m.conv AND k.user_id = m.user_id WHERE m.conv = $1 AND m.user_id = $2",
        conv, user,
    )  # fmt: skip
    if row is None:
        return Refusal.NO_CONVERSATION
    until, head, had_delivered, had_read = row
    if until is not None:
        return Refusal.FORBIDDEN
    if delivered and await _too_large(tx, conv, delivered_members):
        delivered = 0
    now_read = max(had_read, min(read, head))
    now_delivered = max(had_delivered, min(delivered, head), now_read)
    return now_delivered, now_read, (now_delivered, now_read) != (had_delivered, had_read)


async def _too_large(tx: Tx, conv: int, delivered_members: int) -> bool:
    rows = await tx.fetch(
        "SELECT 1 FROM member WHERE conv = $1 AND until IS NULL LIMIT $2", conv, delivered_members + 1
    )
    return len(rows) > delivered_members


async def marks(tx: Tx, user: int, conv: int, since: int, limit: int) -> tuple[int, list[Mark], bool] | Refusal:
    """(receipt counter these reach, watermarks changed after `since`, more). A former member gets none."""
    standing = await conversations.standing(tx, user, conv)
    if isinstance(standing, Refusal):
        return standing
    if standing[1] is not None:
        return since, [], False
    counter = await tx.fetchrow("SELECT rrev FROM conv_rc WHERE conv = $1", conv)
    assert counter is not None
    rows = await tx.fetch(
        "SELECT user_id, delivered, read, rrev FROM mark WHERE conv = $1 AND rrev > $2 ORDER BY rrev LIMIT $3",
        conv, since, limit + 1,
    )  # fmt: skip
    more = len(rows) > limit
    upto = rows[limit - 1][3] if more else max(counter[0], since)
    return upto, [(row[0], row[1], row[2]) for row in rows[:limit]], more


async def who_read(tx: Tx, user: int, conv: int, seq: int) -> list[Mark] | Refusal:
    """Watermarks of those who were members when `seq` was written and still are, without its sender."""
    standing = await conversations.standing(tx, user, conv)
    if isinstance(standing, Refusal):
        return standing
    if standing[1] is not None:
        return Refusal.FORBIDDEN
    entry = await tx.fetchrow("SELECT sender FROM entry WHERE conv = $1 AND seq = $2", conv, seq)
    if entry is None or not await _was_member(tx, conv, user, seq):
        return Refusal.NOT_FOUND
    rows = await tx.fetch(
        "SELECT m.user_id, coalesce(k.delivered, 0), coalesce(k.read, 0)"
        " FROM member m LEFT JOIN mark k ON k.conv = m.conv AND k.user_id = m.user_id"
        " WHERE m.conv = $1 AND m.until IS NULL AND m.user_id <> $2 AND (m.since <= $3 OR EXISTS ("
        "SELECT 1 FROM past_period p WHERE p.conv = m.conv AND p.user_id = m.user_id"
        " AND p.since <= $3 AND p.until >= $3)) ORDER BY m.user_id",
        conv, entry[0], seq,
    )  # fmt: skip
    return [(row[0], row[1], row[2]) for row in rows]


async def _was_member(tx: Tx, conv: int, user: int, seq: int) -> bool:
    return await tx.fetchrow(
        "SELECT 1 FROM member m WHERE m.conv = $1 AND m.user_id = $2 AND (m.since <= $3 OR EXISTS ("
        "SELECT 1 FROM past_period p WHERE p.conv = m.conv AND p.user_id = m.user_id"
        " AND p.since <= $3 AND p.until >= $3))",
        conv, user, seq,
    ) is not None  # fmt: skip

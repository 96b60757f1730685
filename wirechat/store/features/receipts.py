"""Watermarks: delivered and read for each member, and the dense counter that makes them a log of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from wirechat.store.features import conversations, sync
from wirechat.store.records import ACCOUNT, Members, ReceiptChange, Refusal
from wirechat.store.tx import FOR_UPDATE, Tx

Mark = tuple[int, int, int]
"""(user, delivered, read)."""
Item = tuple[int, int, int, int]
"""(conv, user, delivered, read): what is reached."""


@attrs.define
class _Reader:
    """A member, and how far he got as the flush goes on."""

    until: int | None
    head: int
    delivered: int
    read: int


@attrs.define
class _Counter:
    """The receipt counter of a conversation as the flush goes on."""

    after: int
    rrev: int
    marks: dict[int, tuple[int, int, int]] = attrs.Factory(dict)
    """user -> (delivered, read, rrev), the last change last."""

    def change(self, conv: int, members: Members | None) -> ReceiptChange:
        marks = tuple((user, delivered, read) for user, (delivered, read, _) in self.marks.items())
        return ReceiptChange(conv, self.after, self.rrev, marks, members)


async def flush(
    tx: Tx, items: Sequence[Item], delivered_members: int, known: Mapping[int, int] | None = None
) -> tuple[list[tuple[int, int] | Refusal], list[ReceiptChange]]:
    """Raise watermarks. Returns (delivered, read) or a refusal for each item, and what changed.

    Merged by maximum and clamped to the head. Reading raises delivered. In groups above `delivered_members` only
    reading counts. `known`: versions of the member lists that the caller has; None: he wants none.
    """
    counters = await _lock(tx, sorted({conv for conv, *_ in items}))
    readers = await _readers(tx, sorted({(conv, user) for conv, user, *_ in items}))
    large = await _large(tx, sorted({conv for conv, _, delivered, _ in items if delivered}), delivered_members)
    results: list[tuple[int, int] | Refusal] = []
    for conv, user, delivered, read in items:
        reader = readers.get((conv, user))
        if reader is None:
            results.append(Refusal.NO_CONVERSATION)
        elif reader.until is not None:
            results.append(Refusal.FORBIDDEN)
        else:
            _raise(counters[conv], user, reader, 0 if conv in large else delivered, read)
            results.append((reader.delivered, reader.read))
    changed = {conv: counter for conv, counter in counters.items() if counter.marks}
    await _store(tx, changed)
    members = {} if known is None else await _members(tx, changed, known)
    return results, [counter.change(conv, members.get(conv)) for conv, counter in changed.items()]


async def _lock(tx: Tx, convs: Iterable[int]) -> dict[int, _Counter]:
    """The counters, locked always in the same order."""
    rows = await tx.fetchmany(
        "SELECT conv, rrev FROM conv_rc WHERE conv = $1" + FOR_UPDATE[tx.engine], [(conv,) for conv in convs]
    )
    return {conv: _Counter(rrev, rrev) for conv, rrev in rows}


async def _members(tx: Tx, convs: Iterable[int], known: Mapping[int, int]) -> dict[int, Members]:
    """The lists that the caller does not have: another node may have put somebody out (P9)."""
    versions = await tx.fetchmany("SELECT conv, version FROM conv WHERE conv = $1", [(conv,) for conv in convs])
    return await conversations.member_lists(tx, [conv for conv, version in versions if known.get(conv) != version])


async def _readers(tx: Tx, pairs: Iterable[tuple[int, int]]) -> dict[tuple[int, int], _Reader]:
    """Nobody reads an account log: there he is as good as gone."""
    rows = await tx.fetchmany(
        f"SELECT m.conv, m.user_id, CASE WHEN c.kind = {ACCOUNT} THEN 0 ELSE m.until END,"
        " c.head, coalesce(k.delivered, 0), coalesce(k.read, 0)"
        " FROM member m JOIN conv c ON c.conv = m.conv"
        " LEFT JOIN mark k ON k.conv = m.conv AND k.user_id = m.user_id WHERE m.conv = $1 AND m.user_id = $2",
        pairs,
    )
    return {(conv, user): _Reader(until, head, delivered, read) for conv, user, until, head, delivered, read in rows}


async def _large(tx: Tx, convs: Iterable[int], delivered_members: int) -> set[int]:
    rows = await tx.fetchmany(
        "SELECT conv FROM member WHERE conv = $1 AND until IS NULL GROUP BY conv HAVING count(*) > $2",
        [(conv, delivered_members) for conv in convs],
    )
    return {conv for (conv,) in rows}


def _raise(counter: _Counter, user: int, reader: _Reader, delivered: int, read: int) -> None:
    now_read = max(reader.read, min(read, reader.head))
    now_delivered = max(reader.delivered, min(delivered, reader.head), now_read)
    if (now_delivered, now_read) != (reader.delivered, reader.read):
        reader.delivered, reader.read = now_delivered, now_read
        counter.rrev += 1
        counter.marks.pop(user, None)
        counter.marks[user] = (now_delivered, now_read, counter.rrev)


async def _store(tx: Tx, changed: dict[int, _Counter]) -> None:
    if not changed:
        return
    stamp = await sync.stamp(tx)
    await tx.executemany(
        "INSERT INTO mark (conv, user_id, delivered, read, rrev) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT (conv, user_id) DO UPDATE"
        " SET delivered = excluded.delivered, read = excluded.read, rrev = excluded.rrev",
        [(conv, user, *mark) for conv, counter in changed.items() for user, mark in counter.marks.items()],
    )
    await tx.executemany(
        "UPDATE conv_rc SET rrev = $1, rstamp = $2 WHERE conv = $3",
        [(counter.rrev, stamp, conv) for conv, counter in changed.items()],
    )


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
    rows = await tx.fetch(
        "SELECT m.user_id, coalesce(k.delivered, 0), coalesce(k.read, 0)"
        " FROM member m LEFT JOIN mark k ON k.conv = m.conv AND k.user_id = m.user_id"
        " WHERE m.conv = $1 AND m.until IS NULL AND (m.since <= $2 OR EXISTS (SELECT 1 FROM past_period p"
        " WHERE p.conv = m.conv AND p.user_id = m.user_id AND p.since <= $2 AND p.until >= $2)) ORDER BY m.user_id",
        conv, seq,
    )  # fmt: skip
    if entry is None or all(row[0] != user for row in rows):
        return Refusal.NOT_FOUND
    return [(row[0], row[1], row[2]) for row in rows if row[0] != entry[0]]

"""Reading logs, as far as the asking user may see them (docs/protocol.md, visibility).

A member sees the records of his periods; a former member those that were not changed after he left.
"""

from __future__ import annotations

from collections.abc import Sequence

from wirechat.store.features import conversations
from wirechat.store.features.journal import unpack_users
from wirechat.store.records import ChangesPage, Entry, HistoryPage, Kind, Refusal, StoredRecord
from wirechat.store.tx import Row, Tx

_RECORD = """
    t.seq, t.rev, t.ts, t.sender, t.kind, coalesce(t.latest, t.content), t.ref,
    CASE WHEN t.latest IS NULL THEN t.users ELSE t.latest_users END, t.edited, t.cid,
    CASE WHEN t.latest IS NULL THEN t.origin_user END, t.origin_ts, t.role, t.pinned
"""
_VISIBLE = """
    (t.seq >= $2 OR EXISTS (SELECT 1 FROM past_period p WHERE p.conv = t.conv AND p.user_id = $3
                            AND p.since <= t.seq AND p.until >= t.seq))
    AND t.rev <= $4
"""

_NOT_HIDDEN = """
    NOT EXISTS (SELECT 1 FROM hidden h WHERE h.user_id = $3 AND h.conv = t.conv AND h.seq = t.seq)
"""

RECORD_BYTES, USER_BYTES, REACTION_BYTES = 72, 9, 12
"""At most what they cost in a frame, contents aside."""


async def changes(tx: Tx, user: int, conv: int, since: int, limit: int, bytes_max: int) -> ChangesPage | Refusal:
    """Records with a rev above `since`, by rev. Each entry after `since` names its target; the last one to do so
    shows it.
    """
    top = await _top(tx, user, conv)
    if isinstance(top, Refusal):
        return top
    first, upto = top
    walk_from = max(since, await _earliest(tx, user, conv, first) - 1)
    shown = await shown_to(tx, user, conv)
    rows = await tx.fetch(
        f"SELECT {_RECORD} FROM entry e JOIN entry t ON t.conv = e.conv AND t.seq = e.target"
        f" WHERE e.conv = $1 AND {_VISIBLE} AND {shown} AND e.seq > $5 AND t.rev = e.seq ORDER BY e.seq LIMIT $6",
        conv, first, user, upto, walk_from, limit + 1,
    )  # fmt: skip
    records = await _records(tx, conv, rows[:limit], bytes_max)
    more = len(records) < len(rows)
    return ChangesPage(records[-1].rev if more else max(upto, since), records, more)


async def history(tx: Tx, user: int, conv: int, hi: int | None, limit: int, bytes_max: int) -> HistoryPage | Refusal:
    """Records up to seq `hi`, the newest first while reading, ordered by seq in the answer."""
    top = await _top(tx, user, conv)
    if isinstance(top, Refusal):
        return top
    first, upto = top
    hi = upto if hi is None else min(hi, upto)
    shown = await shown_to(tx, user, conv)
    rows = await tx.fetch(
        f"SELECT {_RECORD} FROM entry t WHERE t.conv = $1 AND {_VISIBLE} AND {shown} AND t.target = t.seq"
        " AND t.seq <= $5 AND t.seq >= $6 ORDER BY t.seq DESC LIMIT $7",
        conv, first, user, upto, hi, await _earliest(tx, user, conv, first), limit + 1,
    )  # fmt: skip
    records = await _records(tx, conv, rows[:limit], bytes_max)
    more = len(records) < len(rows)
    return HistoryPage(records[-1].seq if more else 1, hi, records[::-1], upto)


async def visible_messages(tx: Tx, user: int, conv: int, seqs: Sequence[int]) -> set[int] | Refusal:
    """Which of these are messages that the user may see, hidden or not."""
    top = await _top(tx, user, conv)
    if isinstance(top, Refusal):
        return top
    first, upto = top
    rows = await tx.fetchmany(
        f"SELECT t.seq FROM entry t WHERE t.conv = $1 AND {_VISIBLE} AND t.kind = {Kind.MSG:d} AND t.seq = $5",
        [(conv, first, user, upto, seq) for seq in seqs],
    )
    return {seq for (seq,) in rows}


async def shown_to(tx: Tx, user: int, conv: int) -> str:
    """The condition under which records `t` are not hidden by user $3: only who has hidden something pays for it."""
    row = await tx.fetchrow("SELECT 1 FROM hidden WHERE user_id = $1 AND conv = $2 LIMIT 1", user, conv)
    return "TRUE" if row is None else _NOT_HIDDEN


async def _top(tx: Tx, user: int, conv: int) -> tuple[int, int] | Refusal:
    """(first seq of the last period, head as this user may see it)."""
    standing = await conversations.standing(tx, user, conv)
    if isinstance(standing, Refusal):
        return standing
    since, until = standing
    row = await tx.fetchrow("SELECT head FROM conv WHERE conv = $1", conv)
    assert row is not None
    return since, row[0] if until is None else until


async def _earliest(tx: Tx, user: int, conv: int, first: int) -> int:
    """The first seq of the user's first period: what lies before need not be walked through."""
    row = await tx.fetchrow("SELECT min(since) FROM past_period WHERE conv = $1 AND user_id = $2", conv, user)
    return first if row is None or row[0] is None else int(row[0])


async def _records(tx: Tx, conv: int, rows: Sequence[Row], bytes_max: int) -> list[StoredRecord]:
    """As many as fit, at least one."""
    reactions = await _reactions(tx, conv, [row[0] for row in rows if row[0] != row[1]])
    records: list[StoredRecord] = []
    size = 0
    for seq, rev, ts, sender, kind, content, ref, users, edited, cid, origin, origin_ts, role, pinned in rows:
        record = StoredRecord(
            seq, rev, ts, sender, kind, content, ref, unpack_users(users), edited, tuple(reactions.get(seq, ())), cid,
            None if origin is None else (origin, origin_ts), role, pinned,
        )  # fmt: skip
        size += _size(record)
        if records and size > bytes_max:
            break
        records.append(record)
    return records


async def _reactions(tx: Tx, conv: int, seqs: Sequence[int]) -> dict[int, list[tuple[int, bytes]]]:
    """Those of records that were changed; the others have none."""
    found: dict[int, list[tuple[int, bytes]]] = {}
    for seq, user, content in await tx.fetchmany(
        "SELECT seq, user_id, content FROM reaction WHERE conv = $1 AND seq = $2 ORDER BY user_id",
        [(conv, seq) for seq in seqs],
    ):
        found.setdefault(seq, []).append((user, content))
    return found


def _size(record: StoredRecord) -> int:
    reactions = sum(REACTION_BYTES + len(what) for _, what in record.reactions)
    return RECORD_BYTES + len(record.content or b"") + USER_BYTES * len(record.users) + reactions


async def entries(tx: Tx, wanted: Sequence[tuple[int, int]]) -> list[Entry]:
    """The entries (conv, seq) as they are now, for pushes that waited. Visibility was decided when they were
    offered.
    """
    rows = await tx.fetchmany(
        "SELECT conv, seq, ts, sender, kind, content, ref, users, cid, origin_user, origin_ts, role"
        " FROM entry WHERE conv = $1 AND seq = $2",
        wanted,
    )
    assert len(rows) == len(wanted)
    return [
        Entry(
            conv,
            seq,
            ts,
            sender,
            kind,
            content,
            ref,
            unpack_users(users),
            cid,
            None if origin is None else (origin, origin_ts),
            role,
        )
        for conv, seq, ts, sender, kind, content, ref, users, cid, origin, origin_ts, role in rows
    ]

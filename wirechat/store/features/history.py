"""Reading logs, as far as the asking user may see them."""

from __future__ import annotations

from collections.abc import Sequence

from wirechat.store.features import visibility
from wirechat.store.records import WALK_MAX, ChangesPage, Entry, HistoryPage, Refusal, StoredRecord, unpack_users
from wirechat.store.tx import Row, Tx

_RECORD = """
    t.seq, t.rev, t.ts, t.sender, t.kind, coalesce(t.latest, t.content), t.ref,
    CASE WHEN t.latest IS NULL THEN t.users ELSE t.latest_users END, t.edited, t.cid,
    CASE WHEN t.latest IS NULL THEN t.origin_user END, t.origin_ts, t.role, t.pinned
"""
RECORD_BYTES, USER_BYTES, REACTION_BYTES = 104, 9, 12
"""At most what they cost in a frame, contents aside."""


async def changes(tx: Tx, user: int, conv: int, since: int, limit: int, bytes_max: int) -> ChangesPage | Refusal:
    """Records with a rev above `since`, by rev. Each entry after `since` names its target; the last one to do so
    shows it. A page without records and with `more` says that there are none up to `upto`, and what is beyond was not
    looked at yet.
    """
    view = await visibility.view(tx, user, conv)
    if isinstance(view, Refusal):
        return view
    start = max(since, view.earliest - 1)
    end = start + WALK_MAX
    rows = await tx.fetch(
        f"SELECT {_RECORD} FROM entry e JOIN entry t ON t.conv = e.conv AND t.seq = e.target"
        f" WHERE e.conv = $1 AND {view.visible} AND e.seq > $5 AND e.seq <= $6 AND t.rev = e.seq"
        " ORDER BY e.seq LIMIT $7",
        *view.parameters, start, end, limit + 1,
    )  # fmt: skip
    records = await _records(tx, conv, rows[:limit], bytes_max)
    fits = len(records) == len(rows)
    more = not fits or end < view.upto
    walked = min(end, view.upto) if fits else records[-1].rev
    passed = max(walked - start, 0) - len(records)
    if not more:
        return ChangesPage(max(view.upto, since), records, more, passed)
    return ChangesPage(records[-1].rev if records else end, records, more, passed)


async def history(tx: Tx, user: int, conv: int, hi: int | None, limit: int, bytes_max: int) -> HistoryPage | Refusal:
    """Records up to seq `hi`, the newest first while reading, ordered by seq in the answer. There may be others below
    `lo`, unless it is 1.
    """
    view = await visibility.view(tx, user, conv)
    if isinstance(view, Refusal):
        return view
    hi = view.upto if hi is None else min(hi, view.upto)
    lo = max(view.earliest, hi - WALK_MAX + 1)
    rows = await tx.fetch(
        f"SELECT {_RECORD} FROM entry t WHERE t.conv = $1 AND {view.visible} AND t.target = t.seq AND t.seq <= $5"
        " AND t.seq >= $6 ORDER BY t.seq DESC LIMIT $7",
        *view.parameters, hi, lo, limit + 1,
    )  # fmt: skip
    records = await _records(tx, conv, rows[:limit], bytes_max)
    more = len(records) < len(rows)
    if more:
        lo = records[-1].seq
    passed = max(hi - lo + 1, 0) - len(records)
    if not more and lo == view.earliest:
        lo = 1
    return HistoryPage(lo, hi, records[::-1], view.upto, passed)


async def records(
    tx: Tx, user: int, conv: int, seqs: Sequence[int], bytes_max: int
) -> tuple[list[StoredRecord], bool] | Refusal:
    """(records with these seqs that there are and that fit, in this order; whether some did not fit)."""
    view = await visibility.view(tx, user, conv)
    if isinstance(view, Refusal):
        return view
    rows = await tx.fetchmany(
        f"SELECT {_RECORD} FROM entry t WHERE t.conv = $1 AND {view.visible} AND t.target = t.seq AND t.seq = $5",
        [(*view.parameters, seq) for seq in dict.fromkeys(seqs)],
    )
    found = await _records(tx, conv, rows, bytes_max)
    return found, len(found) < len(rows)


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
    return [entry_of(row) for row in rows]


def entry_of(row: Row) -> Entry:
    """From conv, seq, ts, sender, kind, content, ref, users, cid, origin_user, origin_ts, role."""
    conv, seq, ts, sender, kind, content, ref, users, cid, origin, origin_ts, role = row
    origin = None if origin is None else (origin, origin_ts)
    return Entry(conv, seq, ts, sender, kind, content, ref, unpack_users(users), cid, origin, role)

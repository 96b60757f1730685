"""What of some conversations was not offered on a node yet: entries, watermarks and members, in one snapshot."""

from __future__ import annotations

from collections.abc import Sequence

from wirechat.store.features.conversations import member_lists
from wirechat.store.features.history import entry_of
from wirechat.store.records import News
from wirechat.store.tx import Tx

Wanted = tuple[int, int, int, int]
"""(conversation, head and receipts that were offered, version of the members that is known; 0 = none)."""


async def news(tx: Tx, wanted: Sequence[Wanted], limit: int) -> list[News]:
    """Those in which there is something. At most `limit` entries and as many watermarks of each: with more, or where
    nothing was offered yet, it is not complete and has none.
    """
    heads = {row[0]: row[1:] for row in await tx.fetchmany(
        "SELECT c.conv, c.head, c.version, r.rrev FROM conv c JOIN conv_rc r ON r.conv = c.conv WHERE c.conv = $1",
        [(conv,) for conv, *_ in wanted],
    )}  # fmt: skip
    found: dict[int, News] = {}
    unknown: list[int] = []
    for conv, head, receipts, version in wanted:
        now_head, now_version, rrev = heads.get(conv, (0, 0, 0))
        if now_head > head or rrev > receipts:
            known = head > 0 or now_head == 1
            complete = known and now_head - head <= limit and rrev - receipts <= limit
            found[conv] = News(conv, now_head, rrev, receipts, complete)
            unknown += [conv] if now_version != version else []
    for conv, members in (await member_lists(tx, unknown)).items():
        found[conv].members = members
    ranges = [(conv, head) for conv, head, *_ in wanted if conv in found and found[conv].complete]
    await _read_entries(tx, found, [(conv, head) for conv, head in ranges if found[conv].head > head])
    await _read_marks(tx, found, [conv for conv, _ in ranges if found[conv].rrev > found[conv].receipts])
    return list(found.values())


async def _read_entries(tx: Tx, found: dict[int, News], after: Sequence[tuple[int, int]]) -> None:
    for row in await tx.fetchmany(
        "SELECT conv, seq, ts, sender, kind, content, ref, users, cid, origin_user, origin_ts, role"
        " FROM entry WHERE conv = $1 AND seq > $2 ORDER BY seq",
        after,
    ):
        found[row[0]].entries.append(entry_of(row))


async def _read_marks(tx: Tx, found: dict[int, News], convs: Sequence[int]) -> None:
    for conv, *mark in await tx.fetchmany(
        "SELECT conv, user_id, delivered, read FROM mark WHERE conv = $1 AND rrev > $2 ORDER BY rrev",
        [(conv, found[conv].receipts) for conv in convs],
    ):
        user, delivered, read = mark
        found[conv].marks.append((user, delivered, read))

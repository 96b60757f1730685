"""What of some conversations was not offered on a node yet: entries, watermarks and members.

Each conversation is read by one statement; its members by a later one, so that they are never older (R6).
"""

from __future__ import annotations

from collections.abc import Sequence

from wirechat.store.features.conversations import member_lists
from wirechat.store.features.history import entry_of
from wirechat.store.records import News
from wirechat.store.tx import Tx

Wanted = tuple[int, int, int, int]
"""(conversation, head and receipts that were offered, version of the members that is known; 0 = none)."""

_NEWS = """
    SELECT c.head, c.version, r.rrev, c.conv, e.seq, e.ts, e.sender, e.kind, e.content, e.ref, e.users, e.cid,
           e.origin_user, e.origin_ts, e.role
    FROM conv c JOIN conv_rc r ON r.conv = c.conv
         LEFT JOIN entry e ON e.conv = c.conv AND e.seq > $1 AND e.seq <= $2
    WHERE c.conv = $3 ORDER BY e.seq
"""


async def news(tx: Tx, wanted: Sequence[Wanted], limit: int) -> list[News]:
    """Those in which there is something. At most `limit` entries and as many watermarks of each: with more, or where
    nothing was offered yet of an older one, it is not complete and has none.
    """
    offered = {conv: (head, receipts, version) for conv, head, receipts, version in wanted}
    found: dict[int, News] = {}
    unknown: list[int] = []
    for now_head, now_version, rrev, conv, seq, *entry in await tx.fetchmany(
        _NEWS, [(head, head + limit if head else 1, conv) for conv, head, *_ in wanted]
    ):
        head, receipts, version = offered[conv]
        if conv not in found and (now_head > head or rrev > receipts):
            known = head > 0 or now_head == 1
            complete = known and now_head - head <= limit and rrev - receipts <= limit
            found[conv] = News(conv, now_head, rrev, receipts, complete)
            unknown += [conv] if now_version != version else []
        if seq is not None and found[conv].complete:
            found[conv].entries.append(entry_of((conv, seq, *entry)))
    await _read_marks(tx, [each for each in found.values() if each.complete and each.rrev > each.receipts])
    for conv, members in (await member_lists(tx, unknown)).items():
        found[conv].members = members
    return list(found.values())


async def _read_marks(tx: Tx, found: Sequence[News]) -> None:
    by_conv = {each.conv: each for each in found}
    for conv, *mark in await tx.fetchmany(
        "SELECT conv, user_id, delivered, read FROM mark WHERE conv = $1 AND rrev > $2 ORDER BY rrev",
        [(each.conv, each.receipts) for each in found],
    ):
        user, delivered, read = mark
        by_conv[conv].marks.append((user, delivered, read))

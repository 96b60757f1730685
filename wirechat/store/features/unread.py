"""How much a member has not read (docs/protocol.md, how much is unread): counted when asked, nothing is kept."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from wirechat.store.features.visibility import View
from wirechat.store.records import ACCOUNT, Count, Kind
from wirechat.store.tx import Tx

_VIEW = f"""
    SELECT m.conv, m.since, c.head, coalesce(k.read, 0),
           EXISTS (SELECT 1 FROM hidden h WHERE h.user_id = m.user_id AND h.conv = m.conv)
    FROM member m JOIN conv c ON c.conv = m.conv LEFT JOIN mark k ON k.conv = m.conv AND k.user_id = m.user_id
    WHERE m.conv = $1 AND m.user_id = $2 AND m.until IS NULL AND c.kind <> {ACCOUNT}
"""
_COUNT = f"""
    SELECT u.conv, count(*), count(m.seq)
    FROM (SELECT t.conv, t.seq FROM entry t
          WHERE t.conv = $1 AND {{visible}} AND t.kind = {Kind.MSG:d} AND t.content IS NOT NULL AND t.sender <> $3
            AND NOT EXISTS (SELECT 1 FROM block b WHERE b.user_id = $3 AND b.blocked = t.sender)
            AND t.seq > $5) u
         LEFT JOIN mention m ON m.user_id = $3 AND m.conv = u.conv AND m.seq = u.seq
    GROUP BY u.conv
"""


@attrs.frozen
class _Unread:
    """What is to be looked through: the entries after `after`."""

    view: View
    read: int
    after: int

    @property
    def entries(self) -> int:
        """How much work that is."""
        return self.view.upto - self.after


async def unread(tx: Tx, user: int, convs: Sequence[int], entries_max: int) -> tuple[list[Count], list[int]]:
    """(counts of those the user is a member of; conversations left out because the others were enough work).

    Looks at the newest `entries_max` entries of a conversation, and at about as many in all.
    """
    chosen: list[_Unread] = []
    left: list[int] = []
    work = 0
    for item in await _views(tx, user, convs, entries_max):
        if chosen and work + item.entries > entries_max:
            left.append(item.view.conv)
        else:
            chosen.append(item)
            work += item.entries
    return await _count(tx, chosen), left


async def _views(tx: Tx, user: int, convs: Sequence[int], entries_max: int) -> list[_Unread]:
    rows = await tx.fetchmany(_VIEW, [(conv, user) for conv in dict.fromkeys(convs)])
    return [
        _Unread(View(conv, user, since, head, since, bool(hides)), read, max(read, head - entries_max))
        for conv, since, head, read, hides in rows
    ]


async def _count(tx: Tx, items: Sequence[_Unread]) -> list[Count]:
    found: dict[int, tuple[int, int]] = {}
    for hides in (False, True):
        some = [item for item in items if item.view.hides is hides and item.entries]
        if some:
            rows = await tx.fetchmany(
                _COUNT.format(visible=some[0].view.visible), [(*item.view.parameters, item.after) for item in some]
            )
            found.update({conv: (unread, mentions) for conv, unread, mentions in rows})
    return [
        Count(item.view.conv, item.view.upto, item.read, *found.get(item.view.conv, (0, 0)), item.after > item.read)
        for item in items
    ]

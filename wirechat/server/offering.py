"""Offering to the sessions of this node what the store has and they were not told: rows of the digest from the pass,
entries and receipts on a hint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import trio

from wirechat import wire
from wirechat.server import limits
from wirechat.server.events import event_of
from wirechat.server.features.sync import row_of
from wirechat.server.hub import Hub
from wirechat.store.database import Store
from wirechat.store.features import conversations, news, sync
from wirechat.store.records import News


async def offer(store: Store, hub: Hub, lagging: Mapping[int, tuple[int, int]]) -> None:
    """What a pass found: conversation -> (head, receipts). Entries where it is known which are missing, for a hint may
    be on its way that says the same; digest rows for the rest.
    """
    begun = [conv for conv, (head, _) in lagging.items() if hub.head(conv) or head == 1]
    for start in range(0, len(begun), limits.NEWS_AT_ONCE):
        await offer_news(store, hub, begun[start : start + limits.NEWS_AT_ONCE])
    rest = {conv: reached for conv, reached in lagging.items() if hub.lags(conv, *reached)}
    if rest:
        await offer_rows(store, hub, rest)
        await _learn_members(store, hub, [conv for conv in rest if hub.members(conv) is None])


async def _learn_members(store: Store, hub: Hub, convs: Sequence[int]) -> None:
    """So that the next pass knows whom these concern: on most nodes nobody."""
    if not hub.others.alone:
        for start in range(0, len(convs), limits.NEWS_AT_ONCE):
            lists = await store.read(conversations.member_lists, convs[start : start + limits.NEWS_AT_ONCE])
            for conv, members in lists.items():
                hub.remember(conv, members)


async def offer_rows(store: Store, hub: Hub, lagging: Mapping[int, tuple[int, int]]) -> None:
    """Tell members, and those who left since the last pass, how far these logs go: conversation -> (head, receipts)."""
    rows = await store.read(sync.rows, list(lagging), hub.horizon)
    for conv, (head, rrev) in lagging.items():
        hub.offered(conv, head, rrev)
        for user, row in rows.get(conv, {}).items():
            frame = wire.Rows((row_of(row),)).encode()
            for session in hub.of(user):
                if session.account_log or not row.account_log:
                    session.offer(frame)


async def offer_news(store: Store, hub: Hub, convs: Sequence[int]) -> int:
    """Read what is new in these conversations and offer it; returns in how many there was something.

    The read runs behind this node's own commits, so that what it sees of them was handed out (R6: the members are read
    after the entries). Of a conversation whose position is not known, or far behind, a row is enough; of all
    of them when the read took so long that what it saw may have been deleted since (P8).
    """
    known = hub.known(convs)
    wanted = [(conv, *hub.position(conv), known.get(conv, 0)) for conv in convs]
    began = trio.current_time()
    found = await store.glance(news.news, wanted, limits.NEWS_ENTRIES)
    fresh = trio.current_time() - began <= limits.NEWS_SECONDS
    lagging: dict[int, tuple[int, int]] = {}
    for each in found:
        if each.members is not None:
            hub.remember(each.conv, each.members)
        if each.complete and fresh:
            _offer(hub, each)
        else:
            lagging[each.conv] = each.head, each.rrev
    hub.flush()
    if lagging:
        await offer_rows(store, hub, lagging)
        hub.flush()
    return len(found)


def _offer(hub: Hub, new: News) -> None:
    for entry in new.entries:
        hub.deliver(event_of(entry), None, new.rrev)
    if new.marks:
        marks = tuple(wire.Watermark(*mark) for mark in new.marks)
        hub.deliver_receipts(new.conv, new.rrev, wire.Receipt(new.conv, new.receipts, new.rrev, marks).encode())

"""How much is unread, counted from the cache by the definition of UNREAD (docs/protocol.md 13.3).

Rules: exact or not at all, so only where everything above the read watermark is held; elsewhere the server counts. A
count is kept until its conversation changes, so that a list of 1,000 conversations may ask for all of them at each
change.
"""

from collections.abc import Callable, Collection, Iterable

from wirechat import wire
from wirechat.client.cache import Cache
from wirechat.client.log import Log
from wirechat.wire.limits import UNREAD_ENTRIES
from wirechat.wire.registries import EntryKind

__all__ = ["Unread", "count"]


def count(
    conv: int,
    records: Iterable[wire.Record],
    *,
    me: int,
    read: int,
    head: int,
    blocked: Collection[int] = (),
) -> wire.Count:
    """What of `records` is unread by `me`: messages of others, `blocked` ones not among them, that are there.

    `records` must be all above `read`, up to `head`; hidden ones are not among them. Only the newest
    limits.unread_entries entries are looked at; `more` says that there are others.
    """
    after = max(read, head - UNREAD_ENTRIES)
    unread = [
        record
        for record in records
        if after < record.seq <= head
        and record.kind == EntryKind.MSG
        and record.content is not None
        and record.sender != me
        and record.sender not in blocked
    ]
    mentions = sum(me in (record.users or ()) for record in unread)
    return wire.Count(conv, head, read, len(unread), mentions, after > read)


class Unread:
    """Counts of the conversations in a cache."""

    def __init__(self, cache: Cache, me: Callable[[], int], blocked: Callable[[], frozenset[int]] = frozenset) -> None:
        """`me`: one's own user id; `blocked`: whose messages do not count."""
        self._cache = cache
        self._me = me
        self._blocked = blocked
        self._counts: dict[int, tuple[object, wire.Count]] = {}

    def of(self, log: Log) -> wire.Count | None:
        """The count of one conversation; None when not everything above the read watermark is held."""
        after = max(log.read, log.pos - UNREAD_ENTRIES)
        if log.former or log.catch or log.want > log.pos or log.low > after + 1:
            return None
        ground = (log.pos, log.read, self._cache.revisions[log.conv], self._blocked())
        known = self._counts.get(log.conv)
        if known is None or known[0] != ground:
            records = self._cache.records_above(log.conv, after)
            found = count(log.conv, records, me=self._me(), read=log.read, head=log.pos, blocked=ground[-1])
            known = self._counts[log.conv] = ground, found
        return known[1]

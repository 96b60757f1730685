"""Reading backwards, and reading what is not held: single records, what is pinned, where one is mentioned."""

from collections.abc import Iterable

import attrs

from wirechat import wire
from wirechat.client.calls import Call
from wirechat.client.sync import Question, Sync

__all__ = ["History", "Mentioned", "Page"]

RECORDS_MAX = 100  # seqs in one RECORDS


@attrs.frozen
class Page:
    """Every record there is from `lo` to `hi`, ordered by seq; seqs without a record in that range are void."""

    records: tuple[wire.Record, ...]
    lo: int
    hi: int

    @property
    def first(self) -> bool:
        """Nothing visible lies before this page."""
        return self.lo <= 1


@attrs.frozen
class Mentioned:
    """Messages that mention one, the highest seq first. `more`: there may be others below the last one."""

    seqs: tuple[int, ...]
    more: bool


class History:
    """client.history"""

    def __init__(self, call: Call, sync: Sync) -> None:
        self._call = call
        self._sync = sync

    async def page(self, conv: int, before: int | None = None, limit: int = 100) -> Page:
        """Records before seq `before`, None = the newest; at most `limit` (1 to 200), the server may give fewer.

        What comes is kept in the cache. For the next page ask before `page.lo`. Raises Refused.
        """
        hi = None if before is None else before - 1
        while hi is None or hi > 0:
            reply = await self._ask(self._sync.ask_history(conv, hi, limit))
            if reply is not None:
                shown = (record for record in reply.records if not self._sync.account.hides(conv, record.seq))
                return Page(tuple(shown), reply.lo, reply.hi)
        return Page((), 1, 0)

    async def records(self, conv: int, seqs: Iterable[int]) -> list[wire.Record]:
        """Single records in the order asked, from the server; those that are not there for one are left out.

        They are for showing and not kept: nobody would keep them up to date. Raises Refused.
        """
        wanted = list(dict.fromkeys(seqs))
        found: list[wire.Record] = []
        while wanted:
            asked = wanted[:RECORDS_MAX]
            reply = await self._call(wire.Records(0, conv, tuple(asked)), wire.RecordsOk)
            found += reply.records
            last = reply.records[-1].seq if reply.more and reply.records else None
            wanted = wanted[asked.index(last) + 1 if last in asked else len(asked) :]
        return found

    async def pins(self, conv: int) -> tuple[wire.Pin, ...]:
        """Which messages are pinned, the one pinned last first, from the server. Raises Refused."""
        return (await self._call(wire.Pins(0, conv), wire.PinsOk)).pins

    async def mentions(self, conv: int, before: int | None = None, limit: int = 100) -> Mentioned:
        """Messages before seq `before` that mention one, None = the newest; at most `limit` (1 to 200), the server may
        give fewer. Raises Refused.
        """
        if before is not None and before <= 1:
            return Mentioned((), False)
        request = wire.Mentions(0, conv, None if before is None else before - 1, limit)
        reply = await self._call(request, wire.MentionsOk)
        return Mentioned(reply.seqs, reply.more)

    async def _ask(self, question: Question) -> wire.HistoryOk | None:
        """None when the question became void on its way."""
        valid = False

        def apply(reply: wire.HistoryOk) -> None:
            nonlocal valid
            valid = self._sync.answer(question, reply)

        reply = await self._call(question.request, wire.HistoryOk, apply)
        return reply if valid else None

"""Reading backwards."""

import attrs

from wirechat import wire
from wirechat.client.calls import Call
from wirechat.client.sync import Question, Sync

__all__ = ["History", "Page"]


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

    async def _ask(self, question: Question) -> wire.HistoryOk | None:
        """None when the question became void on its way."""
        valid = False

        def apply(reply: wire.HistoryOk) -> None:
            nonlocal valid
            valid = self._sync.answer(question, reply)

        reply = await self._call(question.request, wire.HistoryOk, apply)
        return reply if valid else None

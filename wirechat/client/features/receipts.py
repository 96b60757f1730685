"""Delivered, read and unread. Delivered is reported by itself; reading is what a person does."""

from collections.abc import Iterable

from wirechat import wire
from wirechat.client.calls import Call
from wirechat.client.sync import Sync
from wirechat.client.unread import Unread

__all__ = ["Receipts"]

UNREAD_MAX = 256  # conversations in one UNREAD


class Receipts:
    """client.receipts"""

    def __init__(self, call: Call, sync: Sync, unread: Unread) -> None:
        self._call = call
        self._sync = sync
        self._unread = unread

    async def mark_read(self, conv: int, seq: int) -> int:
        """Marks everything up to `seq` as read; a lower seq changes nothing. Returns one's read watermark now."""
        reply = await self._call(
            wire.Mark(0, conv, seq), wire.MarkOk, lambda reply: self._sync.marked(conv, reply.read)
        )
        return reply.read

    async def who_read(self, conv: int, seq: int) -> tuple[wire.Watermark, ...]:
        """The watermarks of those who were members when entry `seq` was written, except its sender, by user id."""
        return (await self._call(wire.WhoRead(0, conv, seq), wire.WhoReadOk)).marks

    def _all(self) -> list[int]:
        """Every conversation; the account log is none."""
        return [conv for conv in self._sync.logs if conv != self._sync.account.conv]

    def counted(self, convs: Iterable[int] | None = None) -> dict[int, wire.Count]:
        """How much is unread, by conversation, where this device can tell; asks nobody. None = all conversations."""
        logs = self._sync.logs
        chosen = self._all() if convs is None else dict.fromkeys(convs)
        counts = {conv: self._unread.of(logs[conv]) for conv in chosen if conv in logs}
        return {conv: count for conv, count in counts.items() if count is not None}

    async def unread(self, convs: Iterable[int] | None = None) -> dict[int, wire.Count]:
        """How much is unread, by conversation; the server is asked where this device cannot tell. None = all.

        Conversations that one is not a member of are left out.
        """
        logs = self._sync.logs
        chosen = dict.fromkeys(self._all() if convs is None else convs)
        counts = self.counted(chosen)
        wanted = [conv for conv in chosen if conv not in counts and not (conv in logs and logs[conv].former)]
        while wanted:
            reply = await self._call(wire.Unread(0, tuple(wanted[:UNREAD_MAX])), wire.UnreadOk)
            counts.update((count.conv, count) for count in reply.counts)
            wanted = [*wanted[UNREAD_MAX:], *(reply.left or () if reply.counts else ())]
        return counts

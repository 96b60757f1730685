"""Delivered and read. Delivered is reported by itself; reading is what a person does."""

from wirechat import wire
from wirechat.client.calls import Call
from wirechat.client.sync import Sync

__all__ = ["Receipts"]


class Receipts:
    """client.receipts"""

    def __init__(self, call: Call, sync: Sync) -> None:
        self._call = call
        self._sync = sync

    async def mark_read(self, conv: int, seq: int) -> int:
        """Marks everything up to `seq` as read; a lower seq changes nothing. Returns one's read watermark now."""
        reply = await self._call(
            wire.Mark(0, conv, seq), wire.MarkOk, lambda reply: self._sync.marked(conv, reply.read)
        )
        return reply.read

    async def who_read(self, conv: int, seq: int) -> tuple[wire.Watermark, ...]:
        """The watermarks of those who were members when entry `seq` was written, except its sender, by user id."""
        return (await self._call(wire.WhoRead(0, conv, seq), wire.WhoReadOk)).marks

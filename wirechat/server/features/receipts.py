"""Delivered, read and unread.

Watermarks are conflated in memory and written behind: read as soon as the last write is done, whose answer it waits
for (P7); delivered once a second, in bites spread over the second, so that a message waits for a bite and not for all.
What is unread is counted when it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import trio

from wirechat import wire
from wirechat.server import limits
from wirechat.server.connection import Connection
from wirechat.server.dispatch import Dispatcher
from wirechat.server.errors import RequestError, of_refusal, of_store
from wirechat.server.hub import Hub
from wirechat.store.database import Store
from wirechat.store.errors import StoreError
from wirechat.store.features import receipts, unread
from wirechat.store.records import ReceiptChange, Refusal

RECEIPT_MARKS_MAX = 500
"""Watermarks in one RECEIPT (protocol/receipts.json)."""


class Receipts:
    """MARK, MARKS, WHO_READ, UNREAD, and the delivered watermarks that ACK implies."""

    def __init__(self, store: Store, hub: Hub) -> None:
        self._store = store
        self._hub = hub
        self._delivered: dict[tuple[int, int], int] = {}
        """(conv, user) -> reached, not yet written."""
        self._written_at = trio.current_time()
        """What had been reached by then is written."""
        self._asked: list[tuple[Connection, wire.Mark, int]] = []
        """Read marks that wait for the next write, with their user."""
        self._wake = trio.Event()

    @property
    def waiting(self) -> int:
        """Delivered watermarks not yet written."""
        return len(self._delivered)

    @property
    def waiting_seconds(self) -> float:
        """How long the oldest of them has been waiting, at most."""
        return trio.current_time() - self._written_at if self._delivered else 0.0

    def register(self, dispatcher: Dispatcher) -> None:
        """Introduce the handlers."""
        dispatcher.inline(wire.Mark, self.mark)
        dispatcher.beside(wire.Marks, self.marks)
        dispatcher.beside(wire.WhoRead, self.who_read)
        dispatcher.exclusive(wire.Unread, self.unread)  # what it costs is known before the next one is looked at

    def reached(self, user: int, conv: int, seq: int) -> None:
        """A device of this user holds the conversation up to `seq`; the store clamps and checks."""
        members = self._hub.members(conv)
        if members is not None and len(members.since) > wire.limits.DELIVERED_MEMBERS:
            return
        if seq > self._delivered.get((conv, user), 0):
            self._delivered[conv, user] = seq

    def mark(self, connection: Connection, request: wire.Mark) -> None:
        """Read up to here; answered once it is durable."""
        self._asked.append((connection, request, connection.require_session().user))
        self._wake.set()

    async def run(self) -> None:
        """Write watermarks until cancelled; what is left then is written once more by the caller with `flush`."""
        while True:
            await self.flush(limits.FLUSH_SECONDS)

    async def flush(self, seconds: float = 0.0) -> None:
        """Write what is waiting, answer, and offer the changes, the delivered ones evenly over so many seconds."""
        began_at = trio.current_time()
        reached = sorted(self._delivered)  # by conversation: what its members have got goes out as one RECEIPT
        size = limits.DELIVERED_AT_ONCE
        bites = [reached[start : start + size] for start in range(0, len(reached), size)] or [[]]
        for number, bite in enumerate(bites, 1):
            if not await self._write(bite):
                break
            await self._write_read(began_at + seconds * number / len(bites))
        else:
            self._written_at = began_at
        await self._write_read(began_at + seconds)

    async def _write_read(self, until: float) -> None:
        """Write what is asked for until then."""
        while trio.current_time() < until:
            with trio.move_on_at(until):
                await self._wake.wait()
            if self._asked:
                await self._write([])

    async def _write(self, reached: Sequence[tuple[int, int]]) -> bool:
        """What was delivered of these, and what is asked for, in one transaction. False: the store failed."""
        self._wake = trio.Event()
        asked, self._asked = self._asked, []
        delivered = {key: self._delivered.pop(key) for key in reached}
        if not asked and not delivered:
            return True
        items = [(request.conv, user, 0, request.seq) for _, request, user in asked]
        items += [(conv, user, seq, 0) for (conv, user), seq in delivered.items()]
        known = self._hub.known({conv for conv, *_ in items})
        try:
            results, changes = await self._store.write(receipts.flush, items, wire.limits.DELIVERED_MEMBERS, known)
        except StoreError as error:
            for key, seq in delivered.items():
                self._delivered[key] = max(seq, self._delivered.get(key, 0))
            for connection, request, _ in asked:
                self._answer(connection, request.rid, of_store(error))
            return False
        else:
            for (connection, request, _), result in zip(asked, results, strict=False):
                self._answer(connection, request.rid, result)
            for change in changes:
                self._offer(change)
            return True
        finally:
            self._hub.flush()

    def _answer(self, connection: Connection, rid: int, result: Any) -> None:
        connection.answered()
        if isinstance(result, Refusal):
            result = of_refusal(result)
        if isinstance(result, RequestError):
            connection.refuse(rid, result)
        else:
            connection.send(wire.MarkOk(rid, result[1]))

    def _offer(self, change: ReceiptChange) -> None:
        if len(change.marks) > RECEIPT_MARKS_MAX:
            return  # not offered, so the next pass sends a row and the clients fetch pages
        if change.members is not None:
            self._hub.remember(change.conv, change.members)
        marks = tuple(wire.Watermark(*mark) for mark in change.marks)
        frame = wire.Receipt(change.conv, change.after, change.upto, marks).encode()
        self._hub.deliver_receipts(change.conv, change.upto, frame)
        self._hub.others.news(change.conv, rrev=change.upto)

    async def marks(self, connection: Connection, request: wire.Marks) -> wire.Message:
        """Watermarks that changed since."""
        user = connection.require_session().user
        limit = min(request.limit or 200, 500)
        page = await self._store.read(receipts.marks, user, request.conv, request.since, limit)
        if isinstance(page, Refusal):
            raise of_refusal(page)
        upto, rows, more = page
        return wire.MarksOk(request.rid, upto, tuple(wire.Watermark(*row) for row in rows), more)

    async def who_read(self, connection: Connection, request: wire.WhoRead) -> wire.Message:
        """Who got how far, among those who were there."""
        user = connection.require_session().user
        rows = await self._store.read(receipts.who_read, user, request.conv, request.seq)
        if isinstance(rows, Refusal):
            raise of_refusal(rows)
        return wire.WhoReadOk(request.rid, tuple(wire.Watermark(*row) for row in rows))

    async def unread(self, connection: Connection, request: wire.Unread) -> wire.Message:
        """How much is unread."""
        user = connection.require_session().user
        entries_max = wire.limits.UNREAD_ENTRIES
        counts, left = await self._store.read(unread.unread, user, request.convs, entries_max)
        work = sum(min(each.head - each.read, entries_max) for each in counts)
        connection.tokens -= work // limits.ENTRIES_PER_TOKEN
        found = tuple(
            wire.Count(each.conv, each.head, each.read, each.unread, each.mentions, each.more) for each in counts
        )
        return wire.UnreadOk(request.rid, found, tuple(left) or None)

"""Reading the log: CHANGES forwards, HISTORY backwards, single records, what is pinned, where one is mentioned, and the
entries of pushes that had to wait.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import structlog
import trio

from wirechat import wire
from wirechat.server import limits
from wirechat.server.connection import Connection
from wirechat.server.dispatch import Dispatcher
from wirechat.server.errors import RequestError, of_refusal
from wirechat.server.events import event_of
from wirechat.server.outbox import Push
from wirechat.store.database import Store
from wirechat.store.errors import StoreError
from wirechat.store.features import history, mentions, pins
from wirechat.store.records import ChangesPage, Entry, MentionsPage, Refusal, StoredRecord

log = structlog.get_logger(__name__)

T = TypeVar("T")

RETRY_SECONDS = 1.0
"""After a failed read the entries for a slow reader are read again."""


class History:
    """HISTORY, CHANGES, RECORDS, PINS, MENTIONS."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._far = trio.Lock()
        """Held by who goes on where one read found nothing: such reads take turns, so that others get between."""

    def register(self, dispatcher: Dispatcher) -> None:
        """Introduce the handlers."""
        dispatcher.beside(wire.History, self.history)
        dispatcher.beside(wire.Changes, self.changes)
        dispatcher.beside(wire.Records, self.records)
        dispatcher.beside(wire.Pins, self.pins)
        dispatcher.beside(wire.Mentions, self.mentions)

    async def history(self, connection: Connection, request: wire.History) -> wire.Message:
        """Records by seq, backwards."""
        user = connection.require_session().user
        limit = _limit(connection, request.limit)
        page = await _fresh(
            connection,
            lambda: self._store.read(history.history, user, request.conv, request.hi, limit, wire.limits.PAGE_BYTES),
        )
        if isinstance(page, Refusal):
            raise of_refusal(page)
        _charge(connection, page.passed)
        return wire.HistoryOk(request.rid, page.lo, page.hi, _records(user, page.records), page.rev)

    async def changes(self, connection: Connection, request: wire.Changes) -> wire.Message:
        """Records changed since, by rev. `upto` comes from the snapshot of the records."""
        user = connection.require_session().user
        limit = _limit(connection, request.limit)

        async def look(since: int) -> ChangesPage | Refusal:
            return await self._store.read(history.changes, user, request.conv, since, limit, wire.limits.PAGE_BYTES)

        async def read() -> ChangesPage | Refusal:
            page = await look(request.since)
            while isinstance(page, ChangesPage) and page.more and not page.records:
                page = await self._farther(connection, page.passed, partial(look, page.upto))
            return page

        page = await _fresh(connection, read)
        if isinstance(page, Refusal):
            raise of_refusal(page)
        _charge(connection, page.passed)
        return wire.ChangesOk(request.rid, page.upto, _records(user, page.records), page.more)

    async def _farther(self, connection: Connection, passed: int, look: Callable[[], Awaitable[T]]) -> T:
        """The next read of a request whose last one found nothing. Who has used up what he may do waits for more."""
        _charge(connection, passed)
        while connection.tokens < 0:  # noqa: ASYNC110  the sweep gives more once a second
            await trio.sleep(limits.SWEEP_SECONDS)
        async with self._far:
            return await look()

    async def records(self, connection: Connection, request: wire.Records) -> wire.Message:
        """Records by seq, in the order asked."""
        user = connection.require_session().user
        if not request.seqs:
            raise RequestError(wire.errors.BAD_REQUEST, "ask for at least one record")
        page = await _fresh(
            connection,
            lambda: self._store.read(history.records, user, request.conv, request.seqs, wire.limits.PAGE_BYTES),
        )
        if isinstance(page, Refusal):
            raise of_refusal(page)
        found, more = page
        return wire.RecordsOk(request.rid, _records(user, found), more)

    async def pins(self, connection: Connection, request: wire.Pins) -> wire.Message:
        """What is pinned."""
        found = await self._store.read(pins.pins, connection.require_session().user, request.conv)
        if isinstance(found, Refusal):
            raise of_refusal(found)
        return wire.PinsOk(request.rid, tuple(wire.Pin(*pin) for pin in found))

    async def mentions(self, connection: Connection, request: wire.Mentions) -> wire.Message:
        """Where the user is mentioned."""
        user, limit = connection.require_session().user, request.limit or 100

        async def look(hi: int | None) -> MentionsPage | Refusal:
            return await self._store.read(mentions.mentions, user, request.conv, hi, limit)

        found = await look(request.hi)
        while isinstance(found, MentionsPage) and found.below and not found.seqs:
            found = await self._farther(connection, found.passed, partial(look, found.below))
        if isinstance(found, Refusal):
            raise of_refusal(found)
        _charge(connection, found.passed)
        return wire.MentionsOk(request.rid, tuple(found.seqs), found.below > 0)

    async def lookup(self, user: int, pushes: Sequence[Push]) -> list[bytes]:
        """EVENT frames of pushes that waited, as the entries are now: what was deleted meanwhile is gone (P8)."""
        wanted = [(push.conv, push.seq) for push in pushes]
        while True:
            try:
                entries = await self._store.read(history.entries, wanted)
            except StoreError as error:
                log.warning("a slow reader waits for the store", reason=str(error))
                await trio.sleep(RETRY_SECONDS)
            else:
                return [_event(user, entry).encode() for entry in entries]


async def _fresh(connection: Connection, read: Callable[[], Awaitable[T]]) -> T:
    """A page that the socket takes at once. It never waits as bytes, which a delete could not reach (P8)."""
    while True:
        page = await read()
        if not connection.outbox.draining:
            return page
        await connection.outbox.wait_empty()


def _charge(connection: Connection, passed: int) -> None:
    """What was looked at in vain costs, as far as the budget reaches: who does not know how much that is must not be
    ended for it.
    """
    connection.tokens -= min(passed // limits.ENTRIES_PER_TOKEN, max(connection.tokens + 1, 0))


def _limit(connection: Connection, limit: int | None) -> int:
    return min(limit or 100, connection.limits.page)


def _event(user: int, entry: Entry) -> wire.Event:
    event = event_of(entry)
    if user != entry.sender:
        event.cid = None
    return event


def _emoji(content: bytes) -> str:
    return str(wire.Content.unpack(content).data)


def _records(user: int, records: Sequence[StoredRecord]) -> tuple[wire.Record, ...]:
    return tuple(_record(user, record) for record in records)


def _record(user: int, record: StoredRecord) -> wire.Record:
    return wire.Record(
        record.seq,
        record.rev,
        record.ts,
        record.sender,
        record.kind,
        None if record.content is None else wire.Content.unpack(record.content),
        record.ref,
        record.users or None,
        record.edited,
        tuple(wire.Reaction(who, _emoji(what)) for who, what in record.reactions) or None,
        record.cid if user == record.sender else None,
        None if record.origin is None else wire.Origin(*record.origin),
        record.role,
        record.pinned,
    )

"""Resuming: SYNC and its digest, the rounds of sessions that fell behind, and ACK.

The order of every statement here is a promise; the rules R1 to R8 are explained in docs/protocol.md and each has a
planted bug.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog
import trio

from wirechat import wire
from wirechat.server import horizon, limits
from wirechat.server.connection import Connection
from wirechat.server.dispatch import Dispatcher
from wirechat.server.errors import RequestError
from wirechat.server.hub import Hub
from wirechat.server.session import Mode, Session
from wirechat.store.database import Store
from wirechat.store.errors import StoreError
from wirechat.store.features import sync
from wirechat.store.records import DigestRow
from wirechat.wire.registries import MemberState, SyncMode

log = structlog.get_logger(__name__)

RETRY_SECONDS = 1.0
"""A round whose reading failed is tried again after this."""

COUNTED_GREASE = b"\x00\x00\x00\x02\x91\x1b"
"""A counted push nobody knows (codes.json, grease)."""


class Sync:
    """SYNC, ACK, and catching up."""

    def __init__(
        self, store: Store, hub: Hub, reached: Callable[[int, int, int], None], grease: Callable[[], bool]
    ) -> None:
        self._store = store
        self._hub = hub
        self._reached = reached
        """(user, conv, seq): a device of this user holds the conversation up to here."""
        self._grease = grease
        self.rounds = dict.fromkeys(("first", "reset", "digest", "behind"), 0)
        """Begun, by what they told: "first" (everything, no token came), "reset" (everything, the token was not ours),
        "digest" (what changed), "behind" (what changed, for one that had been behind)."""

    def register(self, dispatcher: Dispatcher) -> None:
        """Introduce the handlers."""
        dispatcher.exclusive(wire.Sync, self.sync)
        dispatcher.inline(wire.Ack, self.ack)

    async def sync(self, connection: Connection, request: wire.Sync) -> wire.Message | None:
        """One page of the first round. The client asks for each page; pushes wait until the last."""
        session = connection.require_session()
        if request.cursor is None:
            session.round_after = 0
            session.attach()  # R1: the session has been in the hub since login; from here on its offers are kept
            session.round_horizon = await self._store.read(sync.horizon)  # R2
            session.round_from, session.round_account = self._since(session, request.token)
        elif session.mode is not Mode.ATTACHING or request.cursor != _cursor(session.round_after):
            raise RequestError(wire.errors.BAD_REQUEST, "this is not the cursor of the last page")
        page = min(request.page or 200, limits.DIGEST_ROWS)
        starts = session.round_from, session.round_account
        rows, more = await self._rows(session, starts, session.round_after, page)
        mode = SyncMode.DIGEST if session.round_from else SyncMode.RESET
        if more:
            session.round_after = rows[-1].conv
            return wire.SyncOk(request.rid, mode, rows, _cursor(session.round_after), None)
        upto = session.round_horizon
        connection.send(wire.SyncOk(request.rid, mode, rows, None, session.token(self._store.epoch, upto)))
        session.attached(upto)  # after the page: what was held back follows it
        if self._grease():
            session.offer(COUNTED_GREASE)
        return None

    def _since(self, session: Session, token: bytes | None) -> tuple[int, int]:
        """The stamps from which rows are wanted, of conversations and of the account log; 0 for all of them."""
        known = None if token is None else horizon.unpack(token, self._store.epoch)
        since, covered = known or (0, False)
        if since > session.round_horizon:
            log.error("a client presents a horizon from the future: was this database restored without a new epoch?")
            since = 0
        self.rounds["digest" if since else "reset" if token else "first"] += 1
        return since, self._account_since(session, since if covered else 0)

    def _account_since(self, session: Session, since: int) -> int:
        return since if session.account_log else sync.NEVER

    async def _rows(
        self, session: Session, starts: tuple[int, int], after: int, limit: int
    ) -> tuple[tuple[wire.Row, ...], bool]:
        since, account_since = starts
        rows: Sequence[DigestRow] = await self._store.read(
            sync.digest, session.user, since, after, limit + 1, account_since
        )
        return tuple(row_of(row) for row in rows[:limit]), len(rows) > limit

    def catch_up(self, connection: Connection, session: Session) -> None:
        """A session that was behind has room again: run a round beside its reader. It is attached already (R1)."""
        self.rounds["behind"] += 1
        connection.nursery.start_soon(self._round, connection, session)

    async def _round(self, connection: Connection, session: Session) -> None:
        while True:
            try:
                await self._one_round(connection, session)
            except StoreError as error:
                log.warning("a session cannot catch up yet", reason=str(error))
                await trio.sleep(RETRY_SECONDS)
            else:
                return

    async def _one_round(self, connection: Connection, session: Session) -> None:
        starts = session.horizon, self._account_since(session, session.horizon)
        upto = await self._store.read(sync.horizon)  # R2
        after, more = 0, True
        while more:
            rows, more = await self._rows(session, starts, after, limits.ROUND_ROWS)
            await self._wait_room(session)
            after = rows[-1].conv if rows else after
            session.push(wire.Rows(rows, None if more else session.token(self._store.epoch, upto)).encode())  # R3
            self._hub.flush()
        session.attached(upto)
        self._hub.flush()

    async def _wait_room(self, session: Session) -> None:
        while not session.has_room:
            freed = trio.Event()
            session.window_freed = freed.set
            await freed.wait()
            session.window_freed = None

    def ack(self, connection: Connection, ack: wire.Ack) -> None:
        """Push n is durable: its slots are free, and so far was delivered, unless the client knows better."""
        session = connection.require_session()
        if ack.n > session.sent:
            raise wire.ProtocolViolation(wire.errors.ACK_TOO_HIGH, "that push was never sent")
        reached = session.acknowledge(ack.n)
        held = ack.held or ()
        connection.charge(len(held) // limits.POSITIONS_PER_TOKEN)
        for each in held:
            reached[each.conv] = each.pos
        for conv, seq in reached.items():
            if seq:
                self._reached(session.user, conv, seq)


def _cursor(conv: int) -> bytes:
    return conv.to_bytes(8, "big")


def row_of(row: DigestRow) -> wire.Row:
    """A digest row as it goes over the wire."""
    state = MemberState.FORMER if row.former else MemberState.MEMBER
    return wire.Row(row.conv, row.head, row.rrev, row.delivered, row.read, state, row.account_log)

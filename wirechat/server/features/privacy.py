"""Hidden messages and blocked people: entries of the account log."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from wirechat import wire
from wirechat.server.account_log import AccountLog
from wirechat.server.connection import Connection
from wirechat.server.dispatch import Dispatcher
from wirechat.server.errors import RequestError
from wirechat.store.features import privacy
from wirechat.store.records import Refusal
from wirechat.store.tx import Tx
from wirechat.wire.registries import ContentType, EntryKind


class Privacy:
    """HIDE, BLOCK."""

    def __init__(self, account_log: AccountLog, changed: Callable[[int], None]) -> None:
        self._account_log = account_log
        self._changed = changed
        """Told which user has blocked or unblocked somebody."""

    def register(self, dispatcher: Dispatcher) -> None:
        """Introduce the handlers."""
        dispatcher.exclusive(wire.Hide, self.hide)
        dispatcher.exclusive(wire.Block, self.block)

    async def hide(self, connection: Connection, request: wire.Hide) -> wire.Message:
        """A HIDE entry, unless all of it is hidden already."""
        session, conv = connection.require_session(), request.conv
        user = session.user
        seqs = tuple(sorted(set(request.seqs)))
        if not seqs:
            raise RequestError(wire.errors.BAD_REQUEST, "hide at least one message")

        async def project(tx: Tx, stamp: int) -> bool | Refusal:
            return await privacy.hide(tx, user, conv, seqs)

        content = wire.Content(ContentType.HIDDEN, wire.Hidden(conv, seqs).pack())
        await self._account_log.enter(user, EntryKind.HIDE, project, content=content, device=session.device)
        return wire.HideOk(request.rid)

    async def block(self, connection: Connection, request: wire.Block) -> wire.Message:
        """A BLOCK or UNBLOCK entry, unless it is so already."""
        session, other, on = connection.require_session(), request.user, request.on
        user = session.user
        if other == user:
            raise RequestError(wire.errors.BAD_REQUEST, "nobody blocks himself")

        async def project(tx: Tx, stamp: int) -> bool | Refusal:
            return await privacy.block(tx, user, other, on, wire.limits.BLOCKED)

        kind = EntryKind.BLOCK if on else EntryKind.UNBLOCK
        told = partial(self._changed, user)
        await self._account_log.enter(user, kind, project, users=(other,), device=session.device, done=told)
        return wire.BlockOk(request.rid)

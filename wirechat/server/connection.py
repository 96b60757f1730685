"""One socket, one nursery. The reader lives in the nursery's body; everything else of this connection is its child.

The exception barrier is here: whatever goes wrong for one connection ends that connection and nothing else (P10).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
import trio
from trio_websocket import ConnectionClosed, HandshakeError

from wirechat import wire
from wirechat.server import limits
from wirechat.server.config import Limits
from wirechat.server.dispatch import Dispatcher, Handler, Run
from wirechat.server.endpoint import Endpoint
from wirechat.server.errors import RequestError, of_store
from wirechat.server.outbox import Lookup, Outbox
from wirechat.server.proxy import NotProxied
from wirechat.server.session import Session
from wirechat.store.errors import StoreError

if TYPE_CHECKING:
    from wirechat.server.hub import Hub
    from wirechat.server.turns import Turns

log = structlog.get_logger(__name__)

MISBEHAVIOUR = frozenset(
    {
        wire.errors.PROTOCOL,
        wire.errors.FRAME_TOO_LARGE,
        wire.errors.BAD_ENCODING,
        wire.errors.BAD_STATE,
        wire.errors.ACK_TOO_HIGH,
        wire.errors.FLOOD,
    }
)
"""Ends of connections that the operator is told of: what no honest client does."""


class Connection:
    """One client, from its first byte to its last."""

    __slots__ = (
        "_dispatcher",
        "_turns",
        "_wait",
        "active",
        "caps",
        "deadline",
        "draining",
        "ending",
        "endpoint",
        "failures",
        "heard_at",
        "hub",
        "inflight",
        "limits",
        "nonce",
        "nursery",
        "outbox",
        "pinged",
        "session",
        "tokens",
        "window",
        "wire",
    )

    def __init__(self, endpoint: Endpoint, dispatcher: Dispatcher, hub: Hub, turns: Turns, limits: Limits) -> None:
        self.endpoint = endpoint
        self.limits = limits
        """Those this client is told; they hold for it whatever the operator changes meanwhile."""
        self.wire = wire.Connection("server")
        self.hub = hub
        self._dispatcher = dispatcher
        self._turns = turns
        self.ending = False
        """Its last words are said; nothing it asked for makes a session any more."""
        self._wait: Callable[[], Awaitable[None]] | None = None
        """What the reader has to wait for before the next frame is looked at."""
        self.session: Session | None = None
        self.nonce = b""
        self.window = min(wire.limits.WINDOW_DEFAULT, limits.window)
        self.active = True
        self.caps: frozenset[int] = frozenset()
        """The capabilities that are on."""
        self.inflight = 0
        self.failures = 0
        """Failed logins."""
        self.tokens = wire.limits.REQUESTS_BURST
        self.heard_at = trio.current_time()
        self.pinged = False
        self.deadline = endpoint.opened_at + wire.limits.HELLO_MS / 1000
        """When HELLO, and then the login, must be complete; infinite after that."""
        self.draining = False

    async def run(self, lookup: Lookup) -> None:
        """Serve the connection until it ends. Raises nothing but Cancelled."""
        try:
            async with trio.open_nursery() as self.nursery:
                self.outbox = Outbox(self.endpoint, self.nursery, lookup, self.hub.touched)
                try:
                    await self.endpoint.handshake(self.nursery)
                    await self._read()
                finally:
                    self.ending = True  # the nursery may close before we go on, and takes no task then
                self.nursery.cancel_scope.cancel()
        except* (
            OSError,
            trio.BrokenResourceError,
            trio.ClosedResourceError,
            ConnectionClosed,
            HandshakeError,
            NotProxied,
        ) as group:
            log.debug("a connection broke", peer=self.endpoint.peer.address, reason=_first(group))
        except* Exception:  # the barrier
            log.exception("a connection failed", peer=self.endpoint.peer.address)
        finally:
            self.ending = True
            self.outbox.closed = True
            if self.session is not None:
                self.hub.leave(self.session)
                self.session = None  # it holds us too: a cycle would stay until a full collection
            self.endpoint.abort()

    async def _read(self) -> None:
        while not self.ending and await self._turns.receive(self.endpoint, self._received):
            handled = False
            while not handled:
                await self._go_on()
                handled = self._handle_frames()
                self._turns.settle()

    def _received(self, data: bytes) -> bool:
        if self.ending:
            return True  # nobody looks at it, but unread it would make the kernel drop our last words
        self.wire.feed(data)
        return self._handle_frames()

    async def _go_on(self) -> None:
        """Wait for what the frames before have to wait for."""
        wait, self._wait = self._wait, None
        if wait is not None:
            await wait()
        await self.outbox.wait_room()

    def _handle_frames(self) -> bool:
        """Handle what was received until something has to be waited for; whether that was everything."""
        if self.outbox.crowded:
            return False
        next_message, handlers = self.wire.next_message, self._dispatcher.table
        heard = False
        for _ in range(limits.FRAMES_PER_TURN):
            if self.ending:
                return True
            try:
                message = next_message()
                if message is None:
                    return True
                if not heard:
                    heard = True
                    self._heard()
                handler = handlers.get(type(message))
                if handler is None:
                    continue  # an ephemeral frame of a newer version; whatever may not be ignored the wire refused
                if handler.run is Run.INLINE:
                    self._handle_inline(handler, message)
                else:
                    self._begin(handler, message)
            except wire.ProtocolViolation as violation:
                self._violated(violation)
            except Exception:
                log.exception("a frame failed", peer=self.endpoint.peer.address)
                self._wait = partial(self.fail, wire.errors.INTERNAL, "the server failed on this connection")
            if self._wait is not None:
                return False
        self._wait = trio.lowlevel.checkpoint
        return False

    def _heard(self) -> None:
        """Whole frames count: a byte now and then is no sign of life."""
        self.heard_at = trio.current_time()
        self.pinged = False

    def _violated(self, violation: wire.ProtocolViolation) -> None:
        """A request that the wire refused, unknown, malformed or out of place, costs what every request costs. Anything
        else is the end.
        """
        rid = violation.rid
        if rid is not None and violation.code >= 2000:
            self._heard()
            try:
                self.charge(1)
            except wire.ProtocolViolation as flood:
                violation = flood
            else:
                refused = RequestError(violation.code, violation.message) if self.tokens >= 0 else _rate_limited()
                self.refuse(rid, refused)
                return
        self._wait = partial(self.fail, violation.code, violation.message)

    def _handle_inline(self, handler: Handler, message: wire.Message) -> None:
        handler.calls += 1
        if not isinstance(message, wire.Request):
            try:
                handler.call(self, message)
            except RequestError:
                pass  # it asks for nothing and there is nobody to answer for: TYPING or ACK before the login, draining
            return
        try:
            self._admit()
            handler.call(self, message)
        except RequestError as error:
            self.answered()
            self.refuse(message.rid, error)

    def _begin(self, handler: Handler, message: Any) -> None:
        handler.calls += 1
        try:
            self._admit()
        except RequestError as error:
            self.answered()
            self.refuse(message.rid, error)
            return
        if handler.run is Run.EXCLUSIVE:
            self._wait = partial(self._answer, handler, message)
        else:
            self.nursery.start_soon(self._answer, handler, message)

    async def _answer(self, handler: Handler, message: Any) -> None:
        reply: wire.Message | RequestError | None
        try:
            reply = await handler.call(self, message)
        except RequestError as error:
            reply = error
        except StoreError as error:
            reply = of_store(error)
        except Exception:
            log.exception("a request failed", peer=self.endpoint.peer.address)
            await self.fail(wire.errors.INTERNAL, "the server failed on this connection")
            return
        self.answered()
        if isinstance(reply, RequestError):
            self.refuse(message.rid, reply)
        elif reply is not None:
            self.send(reply)
        self.hub.flush()

    def _admit(self) -> None:
        """One more request is in flight; raises RequestError when it may not be."""
        self.inflight += 1
        self.charge(1)
        if self.inflight > self.limits.inflight:
            raise RequestError(wire.errors.TOO_MANY_INFLIGHT, "wait for answers before you ask more")
        if self.tokens < 0:
            raise _rate_limited()
        if self.draining:
            raise RequestError(wire.errors.DRAINING, "the server is stopping")

    def charge(self, tokens: int) -> None:
        """Take from what this connection may do; raises ProtocolViolation for who never stops."""
        self.tokens -= tokens
        if self.tokens < -wire.limits.REQUESTS_BURST:
            raise wire.ProtocolViolation(wire.errors.FLOOD, "requests kept coming after they were refused")

    def answered(self) -> None:
        """One request less is in flight."""
        self.inflight -= 1

    def send(self, message: wire.Message) -> None:
        """Send a frame and let the protocol state follow it."""
        self.wire.sent(message)
        self.outbox.put(message.encode())

    def refuse(self, rid: int, error: RequestError) -> None:
        """Answer a request with an error."""
        self._dispatcher.errors[error.code] += 1
        if self.session is not None:
            self.session.refused(error.code)
        self.send(error.message(rid))

    def require_session(self) -> Session:
        """The login; the wire lets no request through that needs one without it."""
        if self.session is None:
            raise RequestError(wire.errors.NOT_AUTHENTICATED, "log in first")
        return self.session

    async def fail(self, code: int, text: str | None = None, retry_ms: int | None = None) -> None:
        """The connection cannot go on: say why, close politely, leave the nursery."""
        self.ending = True
        self._dispatcher.errors[code] += 1
        if code in MISBEHAVIOUR:
            user = self.session.user if self.session is not None else None
            log.info("a connection was ended", peer=self.endpoint.peer.address, user=user, code=code)
        detail = bytes((1, 1)) if code == wire.errors.VERSION else None
        self.outbox.end(wire.Error(code=code, retry_ms=retry_ms, message=text, detail=detail).encode())
        with trio.move_on_after(2):
            await self.outbox.wait_empty()
        await self.endpoint.aclose(code)
        self.nursery.cancel_scope.cancel()

    def close(self, code: int, text: str | None = None) -> None:
        """`fail` from outside of the reader. Never waits; harmless when repeated."""
        if not self.ending:
            self.ending = True
            if self.session is not None:
                self.hub.leave(self.session)
            self.nursery.start_soon(self.fail, code, text)

    def part(self) -> None:
        """Close politely: all that there is to say was said. Never waits."""
        if not self.ending:
            self.ending = self.outbox.closed = True
            self.nursery.start_soon(self.endpoint.aclose, 0)


def _rate_limited() -> RequestError:
    return RequestError(wire.errors.RATE_LIMIT, "too many requests", retry_ms=1000)


def _first(group: BaseExceptionGroup[BaseException]) -> str:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__

"""One connection: frames out, frames in, requests matched with their replies, and a sign of life.

Rules: nothing here knows what a message means beyond keeping the connection. `post` and `ask` never wait; one task
writes. A request that finds the server's limit used up waits its turn here. Replies are handled in the order they came
among all other frames, because the resume algorithm depends on it. When the connection ends, every unanswered request
fails with UnknownOutcome: it may have been executed.
"""

import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import attrs
import trio

from wirechat import wire
from wirechat.client.errors import ClientError, ConnectionFailed, Unavailable, UnknownOutcome, from_code, network_errors
from wirechat.client.transport import CLOSE_SECONDS, Transport
from wirechat.wire import errors
from wirechat.wire.registries import Capability

__all__ = ["Done", "Link", "Receiver"]

AGENT = "wirechat-python/0.1.0"
VERSION = 1
CAPABILITIES = (Capability.ACCOUNT_LOG, Capability.PINS)
RID_MAX = 2**31 - 1
HORIZON_HEARTBEATS = 4  # a busy connection sends a PING too, now and then, for the horizon in its PONG
LAST_WORDS_SECONDS = 1.0
DRAIN_SECONDS = 2 * wire.limits.DRAIN_MS / 1000  # a server that said GOAWAY closes sooner
LOGGED_OUT = frozenset({errors.NOT_AUTHENTICATED, errors.DEVICE_REVOKED})
"""Answers after which nothing can be asked on this connection: only another login helps, if anything."""

Done = Callable[[wire.Reply | ClientError], None]
Wanted = Callable[[], bool]
R = TypeVar("R", bound=wire.Reply)


class Receiver(Protocol):
    """Who wants the messages of a connection."""

    def received(self, message: wire.Message) -> None:
        """A push or PONG, in order with the replies. Must not wait."""

    async def settle(self) -> None:
        """A chunk has been handed over in full."""

    async def finish(self) -> None:
        """The connection is about to be closed by this side: the last chance to say something."""


@attrs.frozen
class _Asked:
    request: wire.Request
    done: Done
    wanted: Wanted


class Link:
    """The client's end of one connection, from HELLO on. `close` it in the end."""

    def __init__(self, transport: Transport, *, window: int) -> None:
        self.transport = transport
        self.goaway: wire.Goaway | None = None
        self._hello = wire.Hello("WC", VERSION, VERSION, CAPABILITIES, AGENT, window)
        self._connection = wire.Connection(wire.CLIENT)
        self._out: list[bytes] = []
        self._wake = trio.Event()
        self._quiet = trio.Event()
        self._pending: dict[int, _Asked] = {}
        self._backlog: deque[_Asked] = deque()
        self._rid = 0
        self._inflight = 1
        self._heartbeat = wire.limits.HEARTBEAT_MS / 1000
        self._sent_at = self._heard_at = self._pinged_at = trio.current_time()
        self._silent_at = math.inf
        """When a PING will have been without any answer for too long; only that is silence."""
        self._scope = trio.CancelScope()
        self._error: ClientError | None = None
        self.over = False
        """The connection has ended: nothing can be asked any more."""

    # --- before run(): one thing after the other

    async def hello(self) -> wire.Welcome:
        """Greets. Raises ConnectionFailed."""
        self.post(self._hello)
        while not isinstance(message := await self._next(), wire.Welcome):
            pass
        self._inflight = max(1, message.limits.inflight)
        self._heartbeat = max(1.0, message.limits.heartbeat_ms / 1000)
        return message

    async def exchange(self, request: wire.Request, reply: type[R]) -> R:
        """Sends a request and waits for its answer while nothing else is under way. Raises what the server refused."""
        self.post(self._numbered(request))
        while True:
            message = await self._next()
            if isinstance(message, reply):
                return message
            if isinstance(message, wire.Error):
                raise from_code(message.code, message.message, message.retry_ms)

    async def _next(self) -> wire.Message:
        """The next message that is not about the connection itself."""
        while True:
            await self._flush()
            message = self._parse()
            if message is None:
                await self._feed()
            elif not self._control(message):
                return message

    # --- sending

    def post(self, message: wire.Message) -> None:
        """Sends a message after those posted before."""
        self._connection.sent(message)
        self._out.append(message.encode())
        self._sent_at = trio.current_time()
        self._wake.set()

    def ask(self, request: wire.Request, done: Done, wanted: Wanted = lambda: True) -> None:
        """Sends a request when its turn comes; `done` gets the reply or why there is none, and must not wait. When
        `wanted` says no at its turn, it is dropped without a word.
        """
        self._backlog.append(_Asked(request, done, wanted))
        self._advance()

    def _advance(self) -> None:
        while self._backlog and len(self._pending) < self._inflight and self.goaway is None:
            asked = self._backlog.popleft()
            if not asked.wanted():
                continue
            request = self._numbered(asked.request)
            self._pending[request.rid] = asked
            self.post(request)

    def _numbered(self, request: wire.Request) -> wire.Request:
        self._rid = self._rid % RID_MAX + 1
        request.rid = self._rid  # type: ignore[misc]  # every request class has the slot, the base class has none
        return request

    async def _flush(self) -> None:
        if self._out:
            data = b"".join(self._out)
            self._out.clear()
            with network_errors():
                await self.transport.send(data)

    # --- running

    async def run(self, receiver: Receiver, *others: Callable[[], Awaitable[None]]) -> ClientError:
        """Serves the connection until it ends, together with `others`. Returns why it ended."""
        try:
            async with trio.open_nursery() as nursery:
                self._scope = nursery.cancel_scope
                for task in (self._write, self._beat, lambda: self._read(receiver), *others):
                    nursery.start_soon(self._guarded, task)
        finally:
            self._forget()
        return self._error or ConnectionFailed("the connection was closed")

    async def _guarded(self, task: Callable[[], Awaitable[None]]) -> None:
        try:
            await task()
        except ClientError as error:
            self.end(error)

    def end(self, error: ClientError) -> None:
        """Ends the connection for this reason."""
        self._error = self._error or error
        self._scope.cancel()

    def _forget(self) -> None:
        self.over = True
        for asked in self._pending.values():
            asked.done(UnknownOutcome("the connection broke before the answer came"))
        for asked in self._backlog:
            asked.done(Unavailable("the connection broke before the request was sent"))
        self._pending.clear()
        self._backlog.clear()

    async def aclose(self) -> None:
        """Closes the connection: politely when it still works."""
        if self._error is None:
            with trio.move_on_after(CLOSE_SECONDS):
                await self.transport.aclose()
        self.transport.abort()

    async def _write(self) -> None:
        while True:
            try:
                await self._flush()
            except ConnectionFailed:
                await trio.sleep(LAST_WORDS_SECONDS)  # why it ended may still be unread
                raise
            self._wake = trio.Event()
            if not self._out:
                self._quiet.set()
                await self._wake.wait()

    async def flushed(self) -> None:
        """Waits until everything posted so far was given to the transport."""
        self._quiet = trio.Event()
        self._wake.set()
        await self._quiet.wait()

    async def _beat(self) -> None:
        while True:
            now = trio.current_time()
            if now >= self._silent_at:
                raise ConnectionFailed("the server was silent for too long")
            if now >= self._ping_at:
                self._pinged_at = now
                self._silent_at = min(self._silent_at, now + self._heartbeat)
                self.post(wire.Ping(0))
            await trio.sleep_until(min(self._ping_at, self._silent_at))

    @property
    def _ping_at(self) -> float:
        """Nothing was sent for a heartbeat, or heard, or the horizon is old; silence is asked about once."""
        heard_at = self._heard_at if self._silent_at == math.inf else math.inf
        horizon_at = self._pinged_at + (HORIZON_HEARTBEATS - 1) * self._heartbeat
        return min(self._sent_at, heard_at, horizon_at) + self._heartbeat

    async def _read(self, receiver: Receiver) -> None:
        while True:
            error = self._dispatch_all(receiver)
            await receiver.settle()
            if error is not None:
                raise error
            if self.goaway is not None and not self._pending:
                await receiver.finish()
                raise ConnectionFailed("the server is going away")
            await self._feed()

    def _dispatch_all(self, receiver: Receiver) -> ClientError | None:
        """Hands over every complete frame; what came before an error counts."""
        try:
            while (message := self._parse()) is not None:
                self._dispatch(message, receiver)
        except ClientError as error:
            return error
        return None

    def _dispatch(self, message: wire.Message, receiver: Receiver) -> None:
        if isinstance(message, wire.Reply | wire.Error) and message.rid is not None:
            self._reply(message.rid, message)
        elif not self._control(message):
            receiver.received(message)

    def _reply(self, rid: int, message: wire.Reply | wire.Error) -> None:
        if rid in self._pending and isinstance(message, wire.Error) and message.code in LOGGED_OUT:
            raise from_code(message.code, message.message, message.retry_ms)
        asked = self._pending.pop(rid, None)
        if asked is None:
            return
        if isinstance(message, wire.Error):
            asked.done(from_code(message.code, message.message, message.retry_ms))
        elif isinstance(message, asked.request.REPLY):
            asked.done(message)
        else:
            raise ConnectionFailed(f"the server answered {asked.request.NAME} with {message.NAME}")
        self._advance()

    def _control(self, message: wire.Message) -> bool:
        """Handles what is about the connection itself."""
        if isinstance(message, wire.Ping):
            self.post(wire.Pong(message.t))
        elif isinstance(message, wire.Goaway):
            self.goaway = message
        elif isinstance(message, wire.Error) and message.rid is None:
            raise from_code(message.code, message.message, message.retry_ms, fatal=True)
        else:
            return False
        return True

    def _parse(self) -> wire.Message | None:
        try:
            return self._connection.next_message()
        except wire.ProtocolViolation as violation:
            if violation.rid is not None and not violation.fatal:  # a reply: its request has failed, nothing else
                return wire.Error(violation.rid, code=violation.code, message=violation.message)
            raise ConnectionFailed(f"the server broke the protocol: {violation}") from violation

    async def _feed(self) -> None:
        patience = math.inf if self.goaway is None else DRAIN_SECONDS
        data = b""
        with network_errors(), trio.move_on_after(patience):
            data = await self.transport.recv()
        if not data:
            raise ConnectionFailed("the server closed the connection")
        self._heard_at = trio.current_time()
        self._silent_at = math.inf
        self._connection.feed(data)

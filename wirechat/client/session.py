"""One logged-in connection at work: the digest, what is missing, the outbox, and acknowledgements.

Rules: every chunk is one transaction, and only then are ACKs sent, questions asked and callers woken. The resume
algorithm decides what to ask (sync.py), the outbox what to send (outbox.py); this file carries their decisions out.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import attrs
import trio

from wirechat import wire
from wirechat.client.acks import SECONDS_MAX
from wirechat.client.backoff import Uniform, jitter
from wirechat.client.cache import Cache
from wirechat.client.commit import Committer
from wirechat.client.errors import CacheError, ClientError, ConnectionFailed, Refused, Unavailable
from wirechat.client.events import Event, Events, SendFailed
from wirechat.client.link import Link
from wirechat.client.outbox import Entry, Outbox, Sent
from wirechat.client.sync import Question, Sync
from wirechat.client.watching import Watching
from wirechat.wire import errors
from wirechat.wire.registries import EntryKind

__all__ = ["Progress", "Session", "State"]

STALLED_SECONDS = 1.0  # a server that knows less than it said is asked again after this, and some jitter

R = TypeVar("R", bound=wire.Reply)


@attrs.frozen
class State:
    """What outlives a connection."""

    cache: Cache
    committer: Committer
    sync: Sync
    outbox: Outbox
    events: Events
    progress: "Progress"
    watching: Watching


class Progress:
    """Wakes whoever waits for something that may have become true."""

    def __init__(self) -> None:
        self._event = trio.Event()

    async def wait(self) -> None:
        """Until something happened."""
        await self._event.wait()

    def happened(self) -> None:
        """Something did."""
        self._event.set()
        self._event = trio.Event()


class Session:
    """Serves one connection from SYNC to its end."""

    def __init__(self, link: Link, state: State, uniform: Uniform) -> None:
        self._link = link
        self._state = state
        self._sync = state.sync
        self._outbox = state.outbox
        self._uniform = uniform
        self._sending = 0
        self._sending_max = 1
        self._pump_at = math.inf
        self._expire_at = math.inf
        self._watch_failures = 0
        self._failures: dict[int, int] = {}
        self._ack_wanted = trio.Event()
        self._timers: trio.Nursery | None = None

    @property
    def over(self) -> bool:
        """The connection has ended: nothing can be asked any more."""
        return self._link.over

    async def run(self, user: int, limits: wire.Limits, window: int) -> ClientError:
        """Returns why the connection ended."""
        self._sending_max = max(1, limits.inflight // 2)
        try:
            async with trio.open_nursery() as self._timers:
                self._link.ask(self._sync.begin(user, limits, window), self._synced)
                self._watch_again()
                self._state.progress.happened()
                error = await self._link.run(self, self._acknowledge_in_time)
                self._timers.cancel_scope.cancel()
        finally:
            self._sync.started = False
            self._outbox.disconnected()
        self._sync.news += self._state.watching.disconnected()
        self._collect_news()
        await self._state.committer.commit()
        return error

    # --- receiving

    def received(self, message: wire.Message) -> None:
        """A push or PONG."""
        if isinstance(message, wire.Event):
            self._sync.event(message)
            if message.kind == EntryKind.MSG:
                self._sync.news += self._state.watching.wrote(message.conv, message.sender)
        elif isinstance(message, wire.Presence):
            self._presence(message.users)
        elif isinstance(message, wire.Typing):
            self._typing(message)
        elif isinstance(message, wire.Receipt):
            self._sync.receipt(message)
        elif isinstance(message, wire.Rows):
            self._sync.rows(message)
        elif isinstance(message, wire.Pong):
            self._sync.pong(message)
        elif isinstance(message, wire.Unknown) and message.range == "counted":
            self._sync.counted()

    async def settle(self) -> None:
        """Makes everything received durable and acts upon it."""
        self._collect_news()
        while not self._state.committer.clean:
            await self._state.committer.commit()
        if self._sync.lost_entries:
            raise ConnectionFailed("the server has lost entries that it had acknowledged; everything is read anew")
        for question in self._sync.questions():
            self._link.ask(question.request, partial(self._answered, question))
        if self._sync.own_profile_changed:
            self._sync.own_profile_changed = False
            self._link.ask(wire.Account(0), self._own_account)
        if self._sync.acks.urgent:
            self._acknowledge()
        elif self._sync.acks.waiting:
            self._ack_wanted.set()
        self._state.progress.happened()

    def _collect_news(self) -> None:
        news, self._sync.news = self._sync.news, []
        if news:
            self._state.committer.when_durable(partial(self._publish, news))

    def _publish(self, news: list[Event], error: CacheError | None) -> None:
        for event in news if error is None else ():
            self._state.events.publish(event)

    def _acknowledge(self) -> None:
        while (ack := self._sync.acks.take(self._sync.logs)) is not None:
            self._link.post(ack)

    async def _acknowledge_in_time(self) -> None:
        while True:
            await self._ack_wanted.wait()
            self._ack_wanted = trio.Event()
            await trio.sleep(SECONDS_MAX)
            await self.acknowledge()

    async def acknowledge(self) -> None:
        """Acknowledges everything received, now."""
        await self.settle()
        self._acknowledge()

    async def finish(self) -> None:
        """The last words before a polite close."""
        await self.acknowledge()
        await self._link.flushed()

    # --- asking

    def ask(
        self,
        request: wire.Request,
        reply: type[R],
        apply: Callable[[R], object],
        done: Callable[[R | ClientError], None],
    ) -> None:
        """Sends a request. `apply` runs when the reply comes, `done` once what it changed is durable."""

        def answered(result: wire.Reply | ClientError) -> None:
            if isinstance(result, ClientError):
                done(result)
            elif isinstance(result, reply):
                apply(result)
                self._state.committer.when_durable(lambda error: done(error or result))

        if self.over:
            done(Unavailable("the connection broke before the request was sent"))
        else:
            self._link.ask(request, answered)

    def _synced(self, result: wire.Reply | ClientError) -> None:
        if isinstance(result, ClientError):
            self._link.end(result)
        elif isinstance(result, wire.SyncOk):
            resets = self._sync.resets
            following = self._sync.sync_ok(result)
            if following is not None:
                self._link.ask(following, self._synced)
            if self._sync.resets != resets:
                self._void_entries()
            self.pump()

    def _answered(self, question: Question, result: wire.Reply | ClientError) -> None:
        if isinstance(result, wire.Reply):
            self._sync.answer(question, result)
            if question.stalled:
                self._repeat(question, STALLED_SECONDS, partial(self._sync.ask_again, question))
            else:
                self._failures.pop(question.logs[0].conv, None)
        elif _denied(question, result):
            self._sync.denied(question)
        elif isinstance(result, Refused):
            self._sync.unanswered(question, again=False)
        elif result.code is not None:  # otherwise the connection is over, and the next one asks anew
            again = partial(self._sync.unanswered, question, again=True)
            self._repeat(question, (result.retry_ms or 0) / 1000, again)

    def _own_account(self, result: wire.Reply | ClientError) -> None:
        """The handle in the cache must not go stale: it tells whose cache this is."""
        if isinstance(result, wire.AccountOk):
            self._state.cache.put_me(result.user)

    def _repeat(self, question: Question, at_least: float, again: Callable[[], None]) -> None:
        conv = question.logs[0].conv
        failures = self._failures[conv] = self._failures.get(conv, -1) + 1
        if self._timers is not None:
            self._timers.start_soon(self._after, at_least + jitter(self._uniform, failures), again)

    # --- the outbox

    def pump(self) -> None:
        """Sends what the outbox lets out now, and comes back when it lets out more. Before SYNC_OK nobody knows whether
        its seqs still mean the same.
        """
        if self.over or not self._sync.started:
            return
        now = trio.current_time()
        for entry in self._outbox.take(now, self._sending_max - self._sending):
            self._sending += 1
            if entry.kind == EntryKind.MSG:
                self._state.watching.sent(entry.conv)
            self._link.ask(entry.request(), partial(self._entry_answered, entry), partial(self._turn, entry))
        later = self._outbox.next_time(now)
        if later is not None and later < self._pump_at and self._timers is not None:
            self._pump_at = later
            self._timers.start_soon(self._after, later - now, self._pump_again)

    def _turn(self, entry: Entry) -> bool:
        """Whether it may go out now. What failed while it waited behind other requests goes first (P4)."""
        if self._outbox.turn(entry):
            return True
        self._sending -= 1
        self.pump()
        return False

    def _pump_again(self) -> None:
        self._pump_at = math.inf
        self.pump()

    def _entry_answered(self, entry: Entry, result: wire.Reply | ClientError) -> None:
        self._sending -= 1
        if isinstance(result, wire.SendOk):
            self._sync.sent(entry, result)
            self._entry_done(entry, Sent(result.seq, result.ts))
        elif isinstance(result, Refused):
            self._state.cache.remove_entry(entry)
            self._entry_done(entry, result)
        elif isinstance(result, ClientError) and result.code is not None:
            delay = (result.retry_ms or 0) / 1000 + jitter(self._uniform, entry.failures)
            self._outbox.failed(entry, trio.current_time() + delay)
            self.pump()

    def _void_entries(self) -> None:
        for entry in self._outbox.void():
            self._state.cache.remove_entry(entry)
            refused = Refused("the server's log is another one; what this refers to is not known any more")
            self._state.committer.when_durable(partial(self._tell, entry, refused))

    def _entry_done(self, entry: Entry, outcome: Sent | Refused) -> None:
        self._outbox.answered(entry)
        self._state.committer.when_durable(partial(self._tell, entry, outcome))
        self.pump()

    def _tell(self, entry: Entry, outcome: Sent | Refused, error: CacheError | None) -> None:
        noticed = entry.waiter is not None and entry.waiter.settled(error or outcome)
        if isinstance(outcome, Refused) and not noticed and error is None:
            lost = SendFailed(entry.conv, entry.cid, entry.kind, entry.content, entry.ref, outcome, entry.forward)
            self._state.events.publish(lost)

    # --- presence

    def tell(self, message: wire.Message) -> None:
        """Says something that nobody answers."""
        if not self.over:
            self._link.post(message)

    def _watch_again(self) -> None:
        """What the connection before this one knew."""
        watching = self._state.watching
        if not watching.active:
            self.tell(wire.State(False))
        self._watch()

    def _watch(self) -> None:
        if self._state.watching.wanted:
            self._link.ask(wire.PresenceSub(0, self._state.watching.wanted), self._watched)

    def _watched(self, result: wire.Reply | ClientError) -> None:
        if isinstance(result, wire.PresenceSubOk):
            self._presence(result.users)
        elif isinstance(result, Unavailable) and result.code is not None and self._timers is not None:
            delay = (result.retry_ms or 0) / 1000 + jitter(self._uniform, self._watch_failures)
            self._watch_failures += 1
            self._timers.start_soon(self._after, delay, self._watch)

    def _presence(self, statuses: Sequence[wire.Status]) -> None:
        self._sync.news += self._state.watching.told(statuses)
        cache = self._state.cache
        known = {status.user: cache.user(status.user) for status in statuses if status.rev}
        stale = tuple(s.user for s in statuses if (user := known.get(s.user)) is not None and user.rev < s.rev)
        if stale:
            self._link.ask(wire.UserGet(0, stale), self._profiles)

    def _profiles(self, result: wire.Reply | ClientError) -> None:
        if isinstance(result, wire.UserGetOk):
            self._state.cache.put_users(result.users)

    def _typing(self, message: wire.Typing) -> None:
        self._sync.news += self._state.watching.typed(message, trio.current_time())
        self._wait_for_expiry()

    def _wait_for_expiry(self) -> None:
        later = self._state.watching.next_expiry
        if later is not None and later < self._expire_at and self._timers is not None:
            self._expire_at = later
            self._timers.start_soon(self._after, later - trio.current_time(), self._expire)

    def _expire(self) -> None:
        self._expire_at = math.inf
        self._sync.news += self._state.watching.expired(trio.current_time())
        self._wait_for_expiry()

    # --- time

    async def _after(self, seconds: float, action: Callable[[], None]) -> None:
        await trio.sleep(seconds)
        action()
        try:
            await self.settle()
        except ClientError as error:
            self._link.end(error)


def _denied(question: Question, result: ClientError) -> bool:
    return result.code == errors.NO_CONVERSATION and isinstance(question.request, wire.Changes | wire.Marks)

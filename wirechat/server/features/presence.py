"""Presence and typing: told at once or not at all, and stored nowhere but for when somebody was last there.

Rules:
* A user is there while one of his sessions is `active`. Once a second those who watch him are told what changed, each
  in one push; a session whose socket is full, or that nobody looks at, is told later, of the latest state only.
* Who may see whom is read when a session begins to watch. It is read again before the next push when a profile, a block
  or a membership may have changed it here, and when it is a minute old: another node may have changed it.
* Where a user is on other nodes is known from the directory; a node writes down when he was last there if it served
  him, or if somebody watches him here: the other node may have died.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice

import attrs
import structlog
import trio

from wirechat import wire
from wirechat.server import limits
from wirechat.server.connection import Connection
from wirechat.server.dispatch import Dispatcher
from wirechat.server.hub import Hub
from wirechat.server.session import Session
from wirechat.store.database import Store
from wirechat.store.errors import StoreError
from wirechat.store.features import conversations, presence, privacy
from wirechat.store.records import Members

log = structlog.get_logger(__name__)

MINUTE_MS = 60_000


@attrs.define(eq=False)
class Watch:
    """Whom one session watches."""

    session: Session
    told: dict[int, wire.Status]
    """User -> what the client was told last."""
    checked: float
    """When it was read who may be seen."""
    known: dict[int, tuple[int | None, int]] = attrs.Factory(dict)
    """Those who may be seen: (when last there, rev)."""
    pending: dict[int, None] = attrs.Factory(dict)
    """Of whom there may be news."""
    begun: bool = False
    """The answer was given; before it nothing is pushed."""


class Presence:
    """PRESENCE_SUB, and what follows from it."""

    def __init__(self, store: Store, hub: Hub, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._hub = hub
        self._now_ms = now_ms
        self._watches: dict[Session, Watch] = {}
        self._watched: dict[int, dict[Watch, None]] = {}
        """User -> those who watch him."""
        self._left: dict[int, int] = {}
        """User -> when he was last there, not written yet."""
        self._changed: dict[int, None] = {}
        self._doubted: dict[presence.Pair, None] = {}
        """Pairs of which it must be read again whether the first may see the second."""
        self._sweeps = 0
        """How often changes were taken in."""

    def register(self, dispatcher: Dispatcher) -> None:
        """Introduce the handlers."""
        dispatcher.exclusive(wire.PresenceSub, self.watch)  # of two sets the later one holds

    def changed(self, user: int) -> None:
        """Profile, audience or blocks of this user are others now: within a second his watchers know."""
        self._changed[user] = None

    async def watch(self, connection: Connection, request: wire.PresenceSub) -> wire.Message:
        """Replace whom the session watches. Noted before it is read who may be seen: no change falls between."""
        session = connection.require_session()
        connection.tokens -= len(request.users) * limits.TOKENS_PER_WATCHED
        watch, sweeps = self._enter(session, request.users), self._sweeps
        try:
            found = await self._visible([(session.user, user) for user in watch.told])
        except StoreError:
            self._forget(session)
            raise
        self._note_moves()  # who has just left was last there now
        for (_, user), known in found.items():
            watch.known[user] = self._with_unwritten(user, known)
        if sweeps != self._sweeps:
            self._doubt_all(watch)  # a change may have been taken in while this was read
        watch.told = {user: self._status(watch, user) for user in watch.told}
        watch.begun = True
        return wire.PresenceSubOk(request.rid, tuple(watch.told[user] for user in request.users))

    async def _visible(self, pairs: list[presence.Pair]) -> dict[presence.Pair, tuple[int | None, int]]:
        """Those of the pairs in which the first may see the second, read in bites, so that others get between."""
        found: dict[presence.Pair, tuple[int | None, int]] = {}
        for start in range(0, len(pairs), limits.PAIRS_AT_ONCE):
            found |= await self._store.read(presence.visible, pairs[start : start + limits.PAIRS_AT_ONCE])
        return found

    def _enter(self, session: Session, users: Iterable[int]) -> Watch:
        self._forget(session)
        watch = Watch(session, {user: wire.Status(user, False) for user in users}, trio.current_time())
        if watch.told and session in self._hub.of(session.user):  # otherwise it has ended while this task began
            self._watches[session] = watch
            session.left = partial(self._forget, session)
            for user in watch.told:
                self._watched.setdefault(user, {})[watch] = None
        return watch

    def _forget(self, session: Session) -> None:
        watch = self._watches.pop(session, None)
        if watch is None:
            return
        for user in watch.told:
            del self._watched[user][watch]
            if not self._watched[user]:
                del self._watched[user]

    def _status(self, watch: Watch, user: int) -> wire.Status:
        known = watch.known.get(user)
        if known is None:
            return wire.Status(user, False)
        online = self._hub.is_there(user)
        return wire.Status(user, online, None if online else known[0], known[1])

    def _with_unwritten(self, user: int, known: tuple[int | None, int]) -> tuple[int | None, int]:
        return max(known[0] or 0, self._left.get(user, 0)) or None, known[1]

    # once a second

    async def run(self) -> None:
        """Tell and write until cancelled; what is left then is written once more by the caller with `flush`."""
        while True:
            for _ in range(limits.SEEN_SWEEPS):
                await trio.sleep(limits.SWEEP_SECONDS)
                await self.sweep()
            await self.flush()

    async def sweep(self) -> None:
        """Tell everyone what has changed for him."""
        self._note_moves()
        self._doubt()
        try:
            await self._check()
        except StoreError as error:
            log.warning("presence waits for the store", reason=str(error))
        self._tell()
        self._hub.flush()

    def _note_moves(self) -> None:
        """Who came, who went; only that is looked at once a second, however many there are."""
        for user, (was_there, was_here) in self._hub.take_moved().items():
            if was_there and not self._hub.is_there(user) and (was_here or user in self._watched):
                self._left[user] = self._now_ms() // MINUTE_MS * MINUTE_MS
            for watch in self._watched.get(user, ()):
                watch.pending[user] = None
                if user in watch.known:
                    watch.known[user] = self._with_unwritten(user, watch.known[user])

    def _doubt(self) -> None:
        """Note the pairs that must be read again; until then nothing is told of them."""
        changed = dict.fromkeys(self._hub.take_regrouped()) | self._changed
        self._changed = {}
        self._sweeps += bool(changed)
        for user in changed:
            for watch in self._watched.get(user, ()):
                self._doubted[watch.session.user, user] = None
            for session in self._hub.of(user):
                self._doubt_all(self._watches.get(session))
        now = trio.current_time()
        for watch in self._watches.values():
            if watch.pending and now - watch.checked > limits.VISIBLE_SECONDS:
                watch.checked = now
                self._doubt_all(watch)

    def _doubt_all(self, watch: Watch | None) -> None:
        if watch is not None:
            self._doubted.update(((watch.session.user, user), None) for user in watch.told)

    async def _check(self) -> None:
        """Read as many of the doubted pairs as there is time for, in bites, so that others get between."""
        end = trio.current_time() + limits.DOUBT_SECONDS
        while self._doubted:
            pairs = list(islice(self._doubted, limits.PAIRS_AT_ONCE))
            found = await self._store.read(presence.visible, pairs)
            for pair in pairs:
                del self._doubted[pair]
                for session in self._hub.of(pair[0]):
                    self._learn(self._watches.get(session), pair[1], found.get(pair))
            if trio.current_time() >= end:
                break

    def _learn(self, watch: Watch | None, user: int, known: tuple[int | None, int] | None) -> None:
        if watch is None or user not in watch.told:
            return
        watch.pending[user] = None
        if known is None:
            watch.known.pop(user, None)
        else:
            watch.known[user] = self._with_unwritten(user, known)

    def _tell(self) -> None:
        for watch in self._watches.values():
            if watch.pending and watch.begun:
                self._tell_one(watch)

    def _tell_one(self, watch: Watch) -> None:
        asker = watch.session.user
        settled = [u for u in watch.pending if (asker, u) not in self._doubted and not self._hub.is_moving(u)]
        news = [status for user in settled if (status := self._status(watch, user)) != watch.told[user]]
        if news and not watch.session.whisper(wire.Presence(tuple(news)).encode()):
            return
        watch.told.update((status.user, status) for status in news)
        for user in settled:
            del watch.pending[user]

    async def flush(self) -> None:
        """Write when people were last there."""
        self._note_moves()
        written = dict(self._left)
        if not written:
            return
        try:
            await self._store.write(presence.saw, list(written.items()))
        except StoreError as error:
            log.warning("when people were last there is written later", reason=str(error))
            return
        for user, when in written.items():
            if self._left.get(user) == when:
                del self._left[user]


@attrs.frozen
class Typed:
    """Somebody types, or does not any more."""

    conv: int
    on: bool
    user: int
    named: frozenset[int] | None = None
    """Who else may see it as far as the node knows on which he does; None: he types on this one."""


class Typing:
    """TYPING: passed on to the other members who look, and forgotten."""

    def __init__(self, store: Store, hub: Hub) -> None:
        self._store = store
        self._hub = hub
        self._apart: OrderedDict[tuple[int, int, int], tuple[float, frozenset[int]]] = OrderedDict()
        """(conversation, version of its members, user) -> when it was read, who of them must not see him type."""
        self._reading: set[tuple[int, int]] = set()
        self._changes = 0

    def register(self, dispatcher: Dispatcher) -> None:
        """Introduce the handlers."""
        dispatcher.inline(wire.Typing, self.typing)

    def changed(self, user: int) -> None:
        """The blocks of this user may be others now."""
        self._changes += 1
        self._apart.clear()

    def typing(self, connection: Connection, message: wire.Typing) -> None:
        """Pass it on, unless it comes too often."""
        session = connection.require_session()
        connection.charge(limits.TOKENS_PER_TYPING)
        if connection.tokens >= 0 and session.may_type(message.conv, message.on, trio.current_time()):
            self._pass_on(connection.nursery, Typed(message.conv, message.on, session.user))

    def heard(self, nursery: trio.Nursery, conv: int, on: bool, user: int, named: Iterable[int]) -> None:
        """Pass on what was typed on another node to those it has named. What it knew of them may be old by now."""
        self._pass_on(nursery, Typed(conv, on, user, frozenset(named)))

    def _pass_on(self, nursery: trio.Nursery, typed: Typed) -> None:
        """At once, or when it is read who must not see it."""
        members = self._hub.members(typed.conv)
        if members is not None and not _concerns(typed.user, members):
            return
        apart = None if members is None else self._known(typed.user, typed.conv, members)
        place = (typed.user, typed.conv)
        if members is not None and apart is not None:
            self._spread(typed, members, apart)
        elif place not in self._reading and len(self._reading) < limits.TYPING_READS:
            self._reading.add(place)
            nursery.start_soon(self._read, typed)

    def _known(self, user: int, conv: int, members: Members) -> frozenset[int] | None:
        when, apart = self._apart.get((conv, members.version, user), (0.0, None))
        return apart if trio.current_time() - when <= limits.VISIBLE_SECONDS else None

    async def _read(self, typed: Typed) -> None:
        """The members are read too, whether known or not: another node may have put somebody out."""
        user, conv, changes = typed.user, typed.conv, self._changes
        try:
            members = await self._store.read(conversations.member_list, conv)
            if _concerns(user, members):
                self._hub.remember(conv, members)
                others = [other for other in members.since if other != user]
                apart = await self._store.read(privacy.apart, user, others)
                if changes == self._changes:
                    self._remember(user, conv, members, apart)
                    self._spread(typed, members, apart)
                    self._hub.flush()
        except StoreError as error:
            log.debug("nobody is told who types", reason=str(error))
        finally:
            self._reading.discard((user, conv))

    def _remember(self, user: int, conv: int, members: Members, apart: frozenset[int]) -> None:
        self._apart[conv, members.version, user] = (trio.current_time(), apart)
        if len(self._apart) > limits.APART_MAX:
            self._apart.popitem(last=False)

    def _spread(self, typed: Typed, members: Members, apart: frozenset[int]) -> None:
        frame = wire.Typing(typed.conv, typed.on, typed.user).encode()
        recipients = [user for user in members.since if user != typed.user and user not in apart]
        for user in recipients:
            if typed.named is None or user in typed.named:
                for session in self._hub.of(user):
                    session.whisper(frame)
        if typed.named is None:
            self._hub.others.typing(typed.conv, typed.on, typed.user, recipients)


def _concerns(user: int, members: Members) -> bool:
    """Whether anybody hears of it when this user types there."""
    return user in members.since and len(members.since) <= wire.limits.TYPING_MEMBERS

"""One node among others: what it says over the bus and what it does with what it hears.

A hint names a conversation and how far its log goes; what is new is read from the store, never believed. Who is online
where is known from the directory. Lost hints cost at most a second, until the pass; repeated and late ones cost a look
at what was offered already.

Messages are msgpack arrays `[kind, node, ...]`. Unknown kinds and what follows the known fields are passed over, so
that nodes of two versions can run side by side.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import attrs
import structlog
import trio

from wirechat.bus.base import Bus
from wirechat.server import limits, offering
from wirechat.server.directory import Directory, Node, Served
from wirechat.server.hub import Hub
from wirechat.store.database import Store
from wirechat.store.errors import StoreError
from wirechat.store.features import devices
from wirechat.wire.packing import MALFORMED, pack, unpack

log = structlog.get_logger(__name__)


class Kind(enum.IntEnum):
    """What a message is about, and what follows its first two elements."""

    ALIVE = 1
    """Once a second: epoch of the store, clock in ms, number of the last telling, how many users, host."""
    SERVES = 2
    """Number of this telling, what is new of the users (see `directory.Served`)."""
    ASK = 3
    """For all users of the one that gets it."""
    WHOLE = 4
    """Number of the last telling, part, parts, users."""
    BYE = 5
    """It stops."""
    NEWS = 6
    """(conversation, head or 0, receipts or 0) …"""
    LOGIN = 7
    """User, device, number of the login."""
    REVOKED = 8
    """Devices."""
    CHANGED = 9
    """Users whose profile, audience or blocks are others now."""
    TYPING = 10
    """Conversation, whether it begins, user, who may see it."""
    STATUS = 11
    """For how it is; by an operator, who is no node. See `standing`."""
    STANDS = 12
    """Epoch of the store, clock in ms, what it says of itself by name, nodes it hears, what troubles it."""


FROM_ANYBODY = frozenset({Kind.ALIVE, Kind.ASK, Kind.STATUS})
"""All else counts only from nodes that said that they have this store."""


@attrs.define
class Counts:
    """What went through, for the operator."""

    hints_sent: int = 0
    """Conversations named to other nodes."""
    hints_heard: int = 0
    """Conversations named by other nodes."""
    hints_read: int = 0
    """Of those, the ones of which the store had something new for this node."""
    garbled: int = 0
    """Messages that could not be read."""


class Cluster:
    """See `others.Others`.

    changed     called when the profile, the audience or the blocks of a user have changed elsewhere
    typed       called when somebody types elsewhere: a nursery for what that takes, conversation, whether he begins,
                who, and who may see it as far as that node knows
    about       what an operator who asks is told of this node, by name
    host        its machine, for the logs of the others
    """

    def __init__(
        self, bus: Bus, store: Store, hub: Hub, now_ms: Callable[[], int], changed: Callable[[int], None],
        typed: Callable[[trio.Nursery, int, bool, int, Sequence[int]], None],
        about: Callable[[], Mapping[str, Any]], host: str,
    ) -> None:  # fmt: skip
        self.alone = False
        self._bus = bus
        self._store = store
        self._hub = hub
        self._now_ms = now_ms
        self._changed = changed
        self._typed = typed
        self._about = about
        self._host = host
        self.directory = Directory(hub.moves)
        self.counts = Counts()
        self._moved: dict[int, None] = {}
        """Users of this node of whom the others must hear."""
        self._told: dict[int, Served] = {}
        """What the others were told of them."""
        self._telling = 0
        self._news: dict[int, tuple[int, int, tuple[int, ...]]] = {}
        """Conversation -> (head, receipts, who left), not sent yet."""
        self._entered: dict[int, int] = {}
        """Device -> number of its login, of sessions of which the store does not know yet."""
        self._note = trio.Event()
        self._wanted: dict[int, None] = {}
        """Conversations of which others say that there is something new."""
        self._more = trio.Event()
        self._parts: dict[int, tuple[int, dict[int, Sequence[Served]]]] = {}
        """Node -> (telling, part -> users) of an answer that is not complete."""
        self._nursery: trio.Nursery | None = None
        """Of the tasks that hear and read."""
        self._foreign_at: float | None = None
        """When another cluster was heard."""
        self._heard: dict[int, Callable[..., None]] = {
            Kind.ALIVE: self._alive,
            Kind.SERVES: self._serves,
            Kind.ASK: self._ask,
            Kind.WHOLE: self._whole,
            Kind.BYE: self._bye,
            Kind.NEWS: self._hinted,
            Kind.LOGIN: self._login,
            Kind.REVOKED: self._revoked,
            Kind.CHANGED: self._changes,
            Kind.TYPING: self._typing,
            Kind.STATUS: self._status,
        }

    @property
    def node(self) -> int:
        """The number of this node."""
        return self._bus.node

    def troubles(self) -> list[str]:
        """What keeps this node from working with the others as it should; a line for each, saying what to do."""
        found = [] if self._bus.trouble is None else [self._bus.trouble]
        if self._foreign_at is not None and trio.current_time() - self._foreign_at < limits.NODE_SILENT_SECONDS:
            found.append("another cluster uses this bus with the same prefix; give each a bus.prefix of its own")
        for node in self.directory.nodes:
            if abs(node.ahead_ms) > limits.CLOCK_MS:
                apart = f"{abs(node.ahead_ms) / 1000:.1f} s {'ahead of' if node.ahead_ms > 0 else 'behind'}"
                found.append(f"the clock of node {node.number:014x} is {apart} this one; let NTP set both")
        return found

    # what this node tells

    def is_there(self, user: int) -> bool:
        """See `Others`."""
        return self.directory.is_there(user)

    def has(self, user: int, device: int) -> bool:
        """See `Others`."""
        return self.directory.has(user, device)

    def moved(self, user: int) -> None:
        """See `Others`."""
        self._moved[user] = None

    def news(self, conv: int, head: int = 0, rrev: int = 0, leaving: Iterable[int] = ()) -> None:
        """See `Others`."""
        if self.directory.users:
            before = self._news.get(conv, (0, 0, ()))
            self._news[conv] = max(head, before[0]), max(rrev, before[1]), (*before[2], *leaving)

    def logged_in(self, user: int, device: int, login: int) -> None:
        """See `Others`."""
        for node in self.directory.of(user):
            self._send(node.number, Kind.LOGIN, user, device, login)
        self._entered[device] = login
        self._note.set()

    def revoked(self, devices: Iterable[int]) -> None:
        """See `Others`."""
        self._send(None, Kind.REVOKED, list(devices))

    def changed(self, user: int) -> None:
        """See `Others`."""
        self._send(None, Kind.CHANGED, [user])

    def typing(self, conv: int, on: bool, user: int, recipients: Iterable[int]) -> None:
        """See `Others`."""
        seeing: dict[Node, list[int]] = {}
        for recipient in recipients:
            for node in self.directory.of(recipient):
                seeing.setdefault(node, []).append(recipient)
        for node, users in seeing.items():
            self._send(node.number, Kind.TYPING, conv, on, user, users)

    def flush(self) -> None:
        """See `Others`."""
        if self._moved:
            self._tell_moves()
        if self._news:
            self._tell_news()

    def _send(self, node: int | None, kind: Kind, *fields: object) -> None:
        self._bus.send(node, pack((int(kind), self._bus.node, *fields)))

    def _tell_moves(self) -> None:
        moved, self._moved = self._moved, {}
        fresh = [served for user in moved if (served := self._served(user)) != self._told.get(user, (user, 0))]
        for served in fresh:
            if len(served) > 2:
                self._told[served[0]] = served
            else:
                del self._told[served[0]]
        for bite in _bites(fresh):
            self._telling += 1
            self._send(None, Kind.SERVES, self._telling, bite)

    def _served(self, user: int) -> Served:
        sessions = list(self._hub.of(user))
        there = any(session.active for session in sessions)
        return (user, int(there), *sorted(session.device for session in sessions))

    def _tell_news(self) -> None:
        news, self._news = self._news, {}
        hints: dict[Node, list[int]] = {}
        for conv, (head, rrev, leaving) in news.items():
            members = self._hub.members(conv)
            for node in self.directory.serving((*(members.since if members else ()), *leaving)):
                hints.setdefault(node, []).extend((conv, head, rrev))
                self.counts.hints_sent += 1
        for node, named in hints.items():
            self._send(node.number, Kind.NEWS, named)

    # for ever

    async def run(self) -> None:
        """Speak and listen until cancelled; then say goodbye."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._bus.run, self.receive)
                nursery.start_soon(self._keep_alive)
                nursery.start_soon(self._keep_reading)
                nursery.start_soon(self._keep_noting)
        finally:
            self._send(None, Kind.BYE)

    async def _keep_alive(self) -> None:
        while True:
            self.flush()
            fields = self._store.epoch, self._now_ms(), self._telling, len(self._told), self._host
            self._send(None, Kind.ALIVE, *fields)
            await trio.sleep(limits.ALIVE_SECONDS)
            for node in self.directory.silent():
                log.warning("a node is silent", node=f"{node.number:014x}", host=node.host)
                self._forget(node)

    def _forget(self, node: Node) -> None:
        self.directory.forget(node)
        self._parts.pop(node.number, None)

    async def _keep_reading(self) -> None:
        """Offer what others say is new, as the store has it; what came meanwhile is read together."""
        while True:
            await self._more.wait()
            convs = list(islice(self._wanted, limits.NEWS_AT_ONCE))
            for conv in convs:
                del self._wanted[conv]
            if not self._wanted:
                self._more = trio.Event()
            try:
                self.counts.hints_read += await offering.offer_news(self._store, self._hub, convs)
            except StoreError as error:
                log.debug("what others say is new waits for the pass", reason=str(error))

    async def _keep_noting(self) -> None:
        """Write down who has a session here, for the passes of nodes that no hint reaches. Not with the login itself:
        that may commit when its connection is gone, and must not end the one that came in its place.
        """
        while True:
            await self._note.wait()
            self._note = trio.Event()
            entered, self._entered = self._entered, {}
            try:
                await self._store.write(devices.entered, list(entered.items()))
            except StoreError as error:
                log.debug("who has logged in is written down later", reason=str(error))
                self._entered = entered | self._entered
                self._note.set()
                await trio.sleep(limits.ALIVE_SECONDS)

    # what the others tell

    def receive(self, data: bytes) -> None:
        """A message from the bus. What cannot be read hurts nobody."""
        try:
            kind, number, *fields = unpack(data, limits.BUS_ITEMS_MAX)
            heard = self._heard.get(kind)
            ours = kind in FROM_ANYBODY or self.directory.node(number) is not None
            if heard is not None and ours and number != self._bus.node:
                heard(number, *fields)
        except (*MALFORMED, AttributeError, LookupError) as error:
            self.counts.garbled += 1
            log.debug("a message on the bus cannot be read", reason=str(error))

    def _alive(
        self, number: int, epoch: bytes, clock_ms: int, telling: int, users: int, host: str = "", *_: Any
    ) -> None:
        shown = {"node": f"{number:014x}", "host": str(host)}
        if epoch != self._store.epoch:
            if self._foreign_at is None:
                todo = "give each a bus.prefix of its own, or restart those that knew the database before a restore"
                log.error("another cluster uses this bus with the same prefix", **shown, todo=todo)
            self._foreign_at = trio.current_time()
            return
        if self.directory.node(number) is None:
            log.info("a node is heard", **shown)
        node = self.directory.heard(number)
        node.host = shown["host"]
        node.ahead_ms = clock_ms - self._now_ms()
        if self.directory.must_ask(node, telling, users):
            self._send(number, Kind.ASK)

    def _serves(self, number: int, telling: int, served: Sequence[Served], *_: Any) -> None:
        node = self.directory.node(number)
        if node is not None:
            self.directory.changed(node, telling, served)

    def _ask(self, number: int, *_: Any) -> None:
        self.flush()
        bites = list(_bites(list(self._told.values()))) or [[]]
        for part, bite in enumerate(bites):
            self._send(number, Kind.WHOLE, self._telling, part, len(bites), bite)

    def _whole(self, number: int, telling: int, part: int, parts: int, served: Sequence[Served], *_: Any) -> None:
        node = self.directory.node(number)
        if node is None:
            return
        if self._parts.get(number, (-1, {}))[0] != telling:
            self._parts[number] = telling, {}
        have = self._parts[number][1]
        have[part] = served
        if len(have) == parts:
            del self._parts[number]
            self.directory.whole(node, telling, [each for bite in have.values() for each in bite])

    def _bye(self, number: int, *_: Any) -> None:
        node = self.directory.node(number)
        if node is not None:
            log.info("a node has stopped", node=f"{number:014x}", host=node.host)
            self._forget(node)

    def _status(self, number: int, *_: Any) -> None:
        now = trio.current_time()
        heard = [(node.number, int(1000 * (now - node.heard_at)), node.ahead_ms) for node in self.directory.nodes]
        about = self._store.epoch, self._now_ms(), {"users": len(self._told), **self._about()}, heard, self.troubles()
        self._send(number, Kind.STANDS, *about)

    def _hinted(self, number: int, named: Sequence[int], *_: Any) -> None:
        for conv, head, rrev in zip(named[::3], named[1::3], named[2::3], strict=True):
            self.counts.hints_heard += 1
            if self._hub.lags(conv, head, rrev):
                self._wanted[conv] = None
                self._more.set()

    def _login(self, number: int, user: int, device: int, login: int, *_: Any) -> None:
        self._hub.outdated(device, login)

    def _revoked(self, number: int, devices: Sequence[int], *_: Any) -> None:
        self._hub.revoked(devices)

    def _changes(self, number: int, users: Sequence[int], *_: Any) -> None:
        for user in users:
            self._changed(user)

    def _typing(self, number: int, conv: int, on: bool, user: int, recipients: Sequence[int], *_: Any) -> None:
        assert self._nursery is not None
        self._typed(self._nursery, conv, on, user, recipients)
        self._hub.flush()


def _bites(served: Sequence[Served]) -> Iterator[Sequence[Served]]:
    """So many users fit into one message."""
    for start in range(0, len(served), limits.SERVED_AT_ONCE):
        yield served[start : start + limits.SERVED_AT_ONCE]

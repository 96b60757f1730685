"""Who is online, who is in what, and what was offered: the only shared mutable object of a node.

`deliver` is synchronous because it never waits. The store says what is new; the hub only spreads it. Its caches may be
forgotten at any time: a member list costs a read, an offered position costs a digest row.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import TypeVar

import attrs

from wirechat import wire
from wirechat.server import limits
from wirechat.server.events import MEMBERSHIP, leaving
from wirechat.server.others import Nobody, Others
from wirechat.server.outbox import Outbox, Push
from wirechat.server.session import Session
from wirechat.store.records import Members
from wirechat.wire.registries import Capability, EntryKind

T = TypeVar("T")


@attrs.define
class Offered:
    """What of one conversation was offered here: the entries up to `head`, and `first` to `last` behind a hole.

    What follows a hole does not count: whoever left in the hole must still hear of it, from the pass.
    """

    head: int = 0
    receipts: int = 0
    first: int = 0
    last: int = 0

    def note(self, seq: int) -> None:
        """One entry was offered."""
        if seq == self.head + 1:
            self.head = seq
            if self.first:
                self.reach(seq)
        elif seq == self.last + 1:
            self.last = seq
        else:
            self.first = self.last = seq

    def reach(self, head: int) -> None:
        """Everything up to `head` was offered."""
        self.head = max(self.head, head)
        if self.first <= self.head + 1:
            self.head = max(self.head, self.last)


class Hub:
    """Sessions by user and by device, member lists, offered positions."""

    def __init__(self) -> None:
        self._sessions: dict[int, list[Session]] = {}
        self._devices: dict[int, Session] = {}
        self._members: OrderedDict[int, Members] = OrderedDict()
        self._offered: OrderedDict[int, Offered] = OrderedDict()
        self._moved: dict[int, tuple[bool, bool]] = {}
        self.others: Others = Nobody()
        """The other nodes."""
        self._regrouped: dict[int, None] = {}
        self._left: dict[int, None] = {}
        self.touched: list[Outbox] = []
        """Outboxes with something ready; flushed once per commit, not once per frame."""
        self._fresh: list[Push] = []
        """Entries delivered since."""
        self.horizon = 0
        """Everything stamped before this has been offered to the live sessions of this node."""
        self.pushed = 0
        """Counted pushes of sessions that are gone."""
        self.falls = 0
        """How often sessions that are gone fell behind."""
        self.horizon_before = 0
        """What `horizon` was a pass ago."""

    # who is online

    def join(self, session: Session) -> Session | None:
        """Enter a session, unless a newer one of the same device is here; returns the older of both, which must end.

        Logins that share a commit are told of it in any order.
        """
        replaced = self._devices.get(session.device)
        if replaced is not None:
            if replaced.login > session.login:
                return session
            self.leave(replaced)
        self._devices[session.device] = session
        self._sessions.setdefault(session.user, []).append(session)
        self._moves(session.user)
        return replaced

    def leave(self, session: Session) -> None:
        """Forget a session. Harmless when repeated."""
        if self._devices.get(session.device) is session:
            del self._devices[session.device]
            self._left[session.device] = None
        sessions = self._sessions.get(session.user, [])
        if session in sessions:
            self._moves(session.user)
            sessions.remove(session)
            self.pushed += session.sent
            self.falls += session.falls
            if session.left is not None:
                session.left()
                session.left = None  # it may hold the session
            if not sessions:
                del self._sessions[session.user]

    def look(self, session: Session, active: bool) -> None:
        """Somebody looks at this session now, or nobody."""
        self._moves(session.user)
        session.active = active
        self._moves(session.user)

    def is_there(self, user: int) -> bool:
        """Somebody looks at one of his sessions, here or on another node."""
        return any(session.active for session in self._sessions.get(user, ())) or self.others.is_there(user)

    def _moves(self, user: int) -> None:
        self.moves(user, True)
        self.others.moved(user)

    def moves(self, user: int, here: bool = False) -> None:
        """His sessions change, here or on another node. Called before and after."""
        was_there, was_here = self._moved.get(user, (False, False))
        self._moved[user] = was_there or self.is_there(user), was_here or here

    def is_moving(self, user: int) -> bool:
        """He may have come or gone since that was asked last."""
        return user in self._moved

    def take_moved(self) -> dict[int, tuple[bool, bool]]:
        """Users who may have come or gone since this was asked last: whether they were there in between, and whether
        it was here.
        """
        moved, self._moved = self._moved, {}
        return moved

    def take_left(self) -> list[int]:
        """Devices whose sessions ended since this was asked last, each once."""
        left, self._left = list(self._left), {}
        return left

    def revoke(self, devices: Iterable[int]) -> None:
        """These devices were revoked on this node."""
        self.revoked(devices)
        self.others.revoked(devices)

    def revoked(self, devices: Iterable[int]) -> None:
        """These devices were revoked somewhere: they are off from now on."""
        for device in devices:
            session = self._devices.get(device)
            if session is not None:
                session.close(wire.errors.DEVICE_REVOKED)

    def outdated(self, device: int, login: int) -> None:
        """This device logged in somewhere, for the `login`-th time: an older session of it ends."""
        session = self._devices.get(device)
        if session is not None and session.login < login:
            session.close(wire.errors.REPLACED)

    @property
    def online(self) -> int:
        """Devices logged in."""
        return len(self._devices)

    def sessions(self) -> Iterator[Session]:
        """Every session of this node."""
        return iter(list(self._devices.values()))

    def device(self, device: int) -> Session | None:
        """The session of a device."""
        return self._devices.get(device)

    def of(self, user: int) -> Iterable[Session]:
        """The sessions of one user."""
        return self._sessions.get(user, ())

    # who is in what

    def known(self, convs: Iterable[int]) -> dict[int, int]:
        """Versions of the member lists remembered for these conversations."""
        members = self._members
        return {conv: members[conv].version for conv in convs if conv in members}

    def remember(self, conv: int, members: Members) -> None:
        """Keep a member list, unless a younger one is here."""
        have = self._members.get(conv)
        if have is None or members.version >= have.version:
            self._keep(self._members, limits.MEMBER_LISTS_MAX, conv, members)

    def _keep(self, kept: OrderedDict[int, T], most: int, conv: int, value: T) -> None:
        """Keep this, and forget what was kept longest. Where there are other nodes, what is about conversations that
        nobody here is in goes before there is too much: a node looks at all of them, and most are strangers'.
        """
        if not self.others.alone:
            self._forget_strangers(kept, most - most // 8)
        kept[conv] = value
        kept.move_to_end(conv)
        if len(kept) > most:
            kept.popitem(last=False)

    def _forget_strangers(self, kept: OrderedDict[int, T], enough: int) -> None:
        for _ in range(limits.LOOKED_FOR_STRANGERS):
            if len(kept) < max(enough, 1):
                return
            conv = next(iter(kept))
            if self._is_ours(conv):
                kept.move_to_end(conv)
            else:
                del kept[conv]

    def _is_ours(self, conv: int) -> bool:
        """A member is known, and connected here."""
        members = self._members.get(conv)
        return members is not None and any(user in self._sessions for user in members.since)

    def forget(self, conv: int) -> None:
        """The member list of this conversation may be outdated."""
        self._members.pop(conv, None)

    def check(self, conv: int, version: int) -> None:
        """The members are of this version by now."""
        members = self._members.get(conv)
        if members is not None and members.version < version:
            del self._members[conv]

    def concerns(self, conv: int) -> bool:
        """A member may be connected here, or somebody who was put out and was not told; no when the list is known."""
        members = self._members.get(conv)
        if members is None or members.version > self.head(conv):
            return True
        return self._is_ours(conv)

    def regrouped(self, users: Iterable[int]) -> None:
        """They may share conversations with others than before."""
        self._regrouped.update(dict.fromkeys(users))

    def take_regrouped(self) -> Iterable[int]:
        """Users of whom that was said since this was asked last."""
        regrouped, self._regrouped = self._regrouped, {}
        return regrouped

    def members(self, conv: int) -> Members | None:
        """The member list, if remembered."""
        return self._members.get(conv)

    # what was offered

    def deliver(self, event: wire.Event, origin: Session | None, rrev: int) -> None:
        """Offer a committed entry to everyone who may see it; `origin` has it as its reply. `rrev`: how many receipts
        those whom it adds have never been shown.
        """
        push, users = Push(event), event.users or ()
        self._fresh.append(push)
        self._offer(push, origin, leaving(event))
        if event.kind in MEMBERSHIP:
            self.regrouped(users)
        if event.kind == EntryKind.ADD and rrev:
            self._welcome(users, event.conv, event.seq, rrev)

    def _offer(self, push: Push, origin: Session | None, leaving: Iterable[int]) -> None:
        members = self._members.get(push.conv)
        offered = self._position(push.conv)
        if push.seq <= offered.head or members is None:  # without a list it does not count: the pass will see to it
            return
        offered.note(push.seq)
        if push.needs:
            self._offer_to_able(push, origin, members)
            return
        sessions = self._sessions
        for user, since in members.since.items():
            if user in sessions and since <= push.seq:
                for session in sessions[user]:
                    if session is not origin:
                        session.offer(push)
        for user in leaving:
            if user not in members.since:
                for session in self.of(user):
                    if session is not origin:
                        session.offer(push)

    def _offer_to_able(self, push: Push, origin: Session | None, members: Members) -> None:
        """An entry that needs a capability. Who lacks it is told by a row how far a log goes that he knows of."""
        row = wire.Rows((wire.Row(push.conv, push.seq, 0, 0, 0),)).encode()
        for user, since in members.since.items():
            for session in self.of(user):
                if session is origin or since > push.seq:
                    continue
                if push.needs in session.caps:
                    session.offer(push)
                elif push.needs != Capability.ACCOUNT_LOG:
                    session.offer(row)

    def _welcome(self, users: Iterable[int], conv: int, head: int, rrev: int) -> None:
        """Tell those just added how many receipts there were before them: no push has ever shown them one. Who has left
        again, as the member list knows, must not hear of this head (P9).
        """
        members = self._members.get(conv)
        if members is None:
            return
        frame = wire.Rows((wire.Row(conv, head, rrev, 0, 0),)).encode()
        for user in users:
            if user in members.since:
                for session in self.of(user):
                    session.offer(frame)

    def deliver_receipts(self, conv: int, upto: int, frame: bytes) -> None:
        """Offer an encoded RECEIPT to the members."""
        members = self._members.get(conv)
        if members is None:
            return
        offered = self._position(conv)
        offered.receipts = max(offered.receipts, upto)
        for user in members.since:
            for session in self.of(user):
                session.offer(frame)

    def lags(self, conv: int, head: int, rrev: int) -> bool:
        """Whether the store has something of this conversation that was not offered here."""
        offered = self._offered.get(conv)
        return offered is None or head > offered.head or rrev > offered.receipts

    def head(self, conv: int) -> int:
        """Every entry up to here was offered here; 0 where that is not known."""
        offered = self._offered.get(conv)
        return 0 if offered is None else offered.head

    def position(self, conv: int) -> tuple[int, int]:
        """The entry after which there may be some that were not offered here, and the receipts; 0 where nothing is
        remembered.
        """
        offered = self._offered.get(conv)
        return (0, 0) if offered is None else (offered.head or offered.last, offered.receipts)

    def offered(self, conv: int, head: int, rrev: int) -> None:
        """Everything up to here was offered to the members' sessions."""
        offered = self._position(conv)
        offered.reach(head)
        offered.receipts = max(offered.receipts, rrev)

    def doubt(self, conv: int) -> None:
        """Something went wrong while offering: the next pass will send a row."""
        self._offered.pop(conv, None)

    def _position(self, conv: int) -> Offered:
        positions = self._offered
        offered = positions.get(conv)
        if offered is not None:
            positions.move_to_end(conv)
            return offered
        offered = Offered()
        self._keep(positions, limits.POSITIONS_MAX, conv, offered)
        return offered

    def flush(self) -> None:
        """Hand what is ready to the sockets: one write per connection. What they do not take waits as references."""
        if self.touched:
            touched = self.touched[:]
            self.touched.clear()
            for outbox in touched:
                outbox.flush()
        for push in self._fresh:
            push.release()
        self._fresh.clear()
        self.others.flush()

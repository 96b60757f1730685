"""Direct conversations, groups and notes to self, and who is in them.

What changes them is an entry and goes through the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

from wirechat import wire
from wirechat.server.connection import Connection
from wirechat.server.dispatch import Dispatcher
from wirechat.server.errors import RequestError, of_refusal
from wirechat.server.identifiers import draw
from wirechat.server.journal import Journal, Submission
from wirechat.store.database import Store
from wirechat.store.features import conversations
from wirechat.store.records import Append, Appended, Description, Refusal
from wirechat.wire.registries import ContentType, ConversationKind, EntryKind
from wirechat.world import World

LEFT_BYTES = 4096
"""Of a CONV_GET_OK for what is not descriptions: 256 ids of those left out, and a few more."""


class Conversations:
    """CONV_NEW, CONV_GET, CONV_SET, MEMBERS, MEMBER_ADD, MEMBER_DEL, MEMBER_SET."""

    def __init__(self, world: World, store: Store, journal: Journal, digest: Callable[[bytes], bytes]) -> None:
        self._world = world
        self._store = store
        self._journal = journal
        self._digest = digest

    def register(self, dispatcher: Dispatcher) -> None:
        """Introduce the handlers."""
        dispatcher.inline(wire.ConvNew, self.create)
        dispatcher.inline(wire.MemberAdd, self.add)
        dispatcher.inline(wire.MemberDel, self.remove)
        dispatcher.inline(wire.MemberSet, self.assign)
        dispatcher.inline(wire.ConvSet, self.set)
        dispatcher.beside(wire.ConvGet, self.get)
        dispatcher.beside(wire.Members, self.members)

    def create(self, connection: Connection, request: wire.ConvNew) -> None:
        """A CREATE entry in a conversation of its own."""
        user = connection.require_session().user
        others = tuple(sorted(set(request.members) - {user}))
        if request.kind == ConversationKind.DIRECT:
            if len(request.members) != 1 or len(others) != 1 or request.title is not None:
                raise RequestError(wire.errors.BAD_REQUEST, "a direct conversation has one other member and no title")
        elif request.kind == ConversationKind.SELF:
            if request.members or request.title is not None:
                raise RequestError(wire.errors.BAD_REQUEST, "notes to self have no other members and no title")
        elif request.kind != ConversationKind.GROUP:
            raise RequestError(wire.errors.BAD_REQUEST, "this server makes direct conversations, groups and notes")
        if request.title == "":
            raise RequestError(wire.errors.BAD_REQUEST, "a title is not empty; leave it out")
        title = None if request.title is None else wire.Content(ContentType.TEXT, request.title)
        packed = None if title is None else title.pack()
        digest = self._digest(b"new %d %b %b" % (request.kind, repr(others).encode(), packed or b""))
        append = Append(
            draw(self._world), user, request.cid, EntryKind.CREATE, packed, None, others, digest, request.kind
        )
        self._submit(connection, append, title, request.rid, _created)

    def add(self, connection: Connection, request: wire.MemberAdd) -> None:
        """An ADD entry."""
        users = tuple(sorted(set(request.users)))
        if not users:
            raise RequestError(wire.errors.BAD_REQUEST, "add at least one user")
        self._change(connection, request.conv, request.cid, EntryKind.ADD, users, request.rid, _added)

    def remove(self, connection: Connection, request: wire.MemberDel) -> None:
        """A REMOVE entry."""
        self._change(connection, request.conv, request.cid, EntryKind.REMOVE, (request.user,), request.rid, _removed)

    def assign(self, connection: Connection, request: wire.MemberSet) -> None:
        """A ROLE entry."""
        user = connection.require_session().user
        if request.user == user:
            raise RequestError(wire.errors.BAD_REQUEST, "nobody changes his own role; the owner may hand his on")
        digest = self._digest(b"%d %d %d" % (EntryKind.ROLE, request.user, request.role))
        append = Append(
            request.conv, user, request.cid, EntryKind.ROLE, None, None, (request.user,), digest, role=request.role
        )
        self._submit(connection, append, None, request.rid, _assigned)

    def set(self, connection: Connection, request: wire.ConvSet) -> None:
        """A META entry."""
        user = connection.require_session().user
        if request.title is not None and request.about is None:
            content = wire.Content(ContentType.TITLE, request.title)
        elif request.about is not None and request.title is None:
            content = wire.Content(ContentType.ABOUT, request.about)
        else:
            raise RequestError(wire.errors.BAD_REQUEST, "CONV_SET changes either the title or the description")
        packed = content.pack()
        digest = self._digest(b"%d %b" % (EntryKind.META, packed))
        append = Append(request.conv, user, request.cid, EntryKind.META, packed, None, (), digest)
        self._submit(connection, append, content, request.rid, _set)

    def _change(
        self,
        connection: Connection,
        conv: int,
        cid: bytes,
        kind: EntryKind,
        users: tuple[int, ...],
        rid: int,
        reply: Callable[[int, Appended], wire.Message],
    ) -> None:
        user = connection.require_session().user
        digest = self._digest(b"%d %b" % (kind, repr(users).encode()))
        self._submit(connection, Append(conv, user, cid, kind, None, None, users, digest), None, rid, reply)

    def _submit(
        self,
        connection: Connection,
        append: Append,
        content: wire.Content | None,
        rid: int,
        reply: Callable[[int, Appended], wire.Message],
    ) -> None:
        session = connection.require_session()
        append.members_max = connection.limits.members
        self._journal.submit(Submission(append, content, session, rid, reply, connection.answered))

    async def get(self, connection: Connection, request: wire.ConvGet) -> wire.Message:
        """Describe conversations; the others are left out without a word (P9)."""
        user = connection.require_session().user
        found = await self._store.read(conversations.describe, user, request.convs)
        infos = tuple(_info(each) for each in found)
        fit = _fitting(infos)
        return wire.ConvGetOk(request.rid, infos[:fit], tuple(info.conv for info in infos[fit:]) or None)

    async def members(self, connection: Connection, request: wire.Members) -> wire.Message:
        """A page of members."""
        user = connection.require_session().user
        limit = min(request.limit or 200, 500)
        rows = await self._store.read(conversations.members, user, request.conv, request.after or 0, limit + 1)
        if isinstance(rows, Refusal):
            raise of_refusal(rows)
        return wire.MembersOk(request.rid, tuple(wire.Member(*row) for row in rows[:limit]), len(rows) > limit)


def _fitting(infos: Sequence[wire.Info]) -> int:
    """How many go into one frame: with the longest titles and descriptions not all that may be asked for."""
    sizes = accumulate((len(info.pack()) for info in infos), initial=LEFT_BYTES)
    return sum(size <= wire.limits.SERVER_FRAME_BYTES for size in sizes) - 1


def _info(known: Description) -> wire.Info:
    title, about = _text(known.title), _text(known.about)
    return wire.Info(known.conv, known.kind, known.role, known.members, title, known.peer, about)


def _text(packed: bytes | None) -> str | None:
    """What a title or description says; none any more when it is empty."""
    return None if packed is None else str(wire.Content.unpack(packed).data) or None


def _created(rid: int, done: Appended) -> wire.Message:
    return wire.ConvNewOk(rid, done.conv, done.seq, done.ts, done.dup)


def _added(rid: int, done: Appended) -> wire.Message:
    return wire.MemberAddOk(rid, done.seq, done.ts, done.dup)


def _removed(rid: int, done: Appended) -> wire.Message:
    return wire.MemberDelOk(rid, done.seq, done.ts, done.dup)


def _assigned(rid: int, done: Appended) -> wire.Message:
    return wire.MemberSetOk(rid, done.seq, done.ts, done.dup)


def _set(rid: int, done: Appended) -> wire.Message:
    return wire.ConvSetOk(rid, done.seq, done.ts, done.dup)

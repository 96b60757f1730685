"""Conversations and who is in them."""

from collections.abc import Iterable, Mapping

import attrs

from wirechat import wire
from wirechat.client.cache import Cache
from wirechat.client.calls import CID_BYTES, Call
from wirechat.client.log import Log
from wirechat.client.sync import Sync
from wirechat.wire.registries import ConversationKind
from wirechat.world import World

__all__ = ["Conversation", "Conversations"]


@attrs.frozen
class Conversation:
    """A conversation as this device knows it. `info` is None until the server has described it."""

    conv: int
    info: wire.Info | None
    head: int
    """Entries exist up to here."""
    pos: int
    """This device holds every change up to here."""
    delivered: int
    """This user's own delivered watermark."""
    read: int
    """This user's own read watermark."""
    former: bool
    """One is not a member any more; the log ends at `head`."""

    @property
    def unread(self) -> int:
        """Entries after the read watermark."""
        return max(0, self.head - self.read)


class Conversations:
    """client.conversations"""

    def __init__(self, call: Call, sync: Sync, cache: Cache, world: World) -> None:
        self._call = call
        self._sync = sync
        self._cache = cache
        self._world = world

    async def create_group(self, title: str | None, members: Iterable[int]) -> int:
        """Makes a group of oneself and `members`. Returns its id."""
        return await self._new(ConversationKind.GROUP, tuple(members), title)

    async def direct(self, user: int) -> int:
        """The one direct conversation with this user, made when there is none. Returns its id."""
        return await self._new(ConversationKind.DIRECT, (user,), None)

    async def notes(self) -> int:
        """One's notes to self: the conversation with nobody else, made when there is none. Returns its id."""
        return await self._new(ConversationKind.SELF, (), None)

    async def set_title(self, conv: int, text: str) -> int:
        """Gives a group another title; "" = none. Returns the seq of the entry that says so."""
        return await self._set(wire.ConvSet(0, conv, self._cid(), title=text))

    async def set_about(self, conv: int, text: str) -> int:
        """Gives a group another description; "" = none. Returns the seq of the entry that says so."""
        return await self._set(wire.ConvSet(0, conv, self._cid(), about=text))

    async def set_role(self, conv: int, user: int, role: int) -> int:
        """Gives a member of a group another role; Role.OWNER hands one's own on. Returns the seq of the entry."""
        request = wire.MemberSet(0, conv, self._cid(), user, role)
        return (await self._call(request, wire.MemberSetOk, lambda reply: self._sync.exists(conv, reply.seq))).seq

    async def add(self, conv: int, users: Iterable[int]) -> int:
        """Adds users to a group. Returns the seq of the entry that says so."""
        request = wire.MemberAdd(0, conv, self._cid(), tuple(users))
        return (await self._call(request, wire.MemberAddOk, lambda reply: self._sync.exists(conv, reply.seq))).seq

    async def remove(self, conv: int, user: int) -> int:
        """Removes a user from a group. Returns the seq of the entry that says so."""
        request = wire.MemberDel(0, conv, self._cid(), user)
        return (await self._call(request, wire.MemberDelOk, lambda reply: self._sync.exists(conv, reply.seq))).seq

    async def leave(self, conv: int) -> int:
        """Leaves a group; what one could see stays. Returns the seq of the last entry one sees."""
        return await self.remove(conv, self._sync.me)

    async def members(self, conv: int) -> list[wire.Member]:
        """All current members, by user id, from the server."""
        found: list[wire.Member] = []
        more = True
        while more:
            after = found[-1].user if found else 0
            page = await self._call(wire.Members(0, conv, after), wire.MembersOk)
            found += page.members
            more = page.more and bool(page.members)
        return found

    def list(self) -> "list[Conversation]":
        """All conversations in the cache, by id; asks nobody."""
        infos = self._cache.infos()
        logs = sorted(self._sync.logs.items())
        return [_conversation(log, infos) for conv, log in logs if conv != self._sync.account.conv]

    def get(self, conv: int) -> Conversation | None:
        """One conversation from the cache; None when it is not there."""
        log = None if conv == self._sync.account.conv else self._sync.logs.get(conv)
        info = self._cache.info(conv)
        return None if log is None else _conversation(log, {} if info is None else {conv: info})

    async def _new(self, kind: ConversationKind, members: tuple[int, ...], title: str | None) -> int:
        request = wire.ConvNew(0, self._cid(), kind, members, title)
        reply = await self._call(request, wire.ConvNewOk, lambda reply: self._sync.exists(reply.conv, reply.seq))
        return reply.conv

    async def _set(self, request: wire.ConvSet) -> int:
        conv = request.conv
        return (await self._call(request, wire.ConvSetOk, lambda reply: self._sync.exists(conv, reply.seq))).seq

    def _cid(self) -> bytes:
        return self._world.random_bytes(CID_BYTES)


def _conversation(log: Log, infos: Mapping[int, wire.Info]) -> Conversation:
    return Conversation(log.conv, infos.get(log.conv), log.want, log.pos, log.delivered, log.read, log.former)

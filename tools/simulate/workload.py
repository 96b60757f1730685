"""What people do with their devices: one operation after another, drawn from a seeded stream."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from random import Random

import trio

from wirechat import wire
from wirechat.client.client import Client
from wirechat.client.errors import ClientError
from wirechat.wire.registries import ConversationKind, EntryKind, Role

DEEDS = {
    "send": 9,
    "reply": 2,
    "edit": 3,
    "delete": 1,
    "react": 2,
    "pin": 2,
    "unpin": 1,
    "forward": 3,
    "unread": 2,
    "lists": 1,
    "mark": 3,
    "add": 1,
    "remove": 1,
    "leave": 1,
    "role": 2,
    "title": 1,
    "about": 1,
    "moderate": 1,
    "watch": 1,
    "look": 1,
    "typing": 1,
    "page": 2,
    "skim": 2,
    "who_read": 1,
    "members": 1,
    "pry": 2,
    "hide": 1,
    "block": 1,
    "profile": 1,
    "rename": 1,
}
CHURN = ("add", "remove")
ERASING = ("edit", "delete")
ABOUT = ("reply", *ERASING, "react", "pin", "moderate", "hide")
"""Deeds that need a message."""
PRIVATE = ("hide", "block", "profile", "rename")


class Person:
    """Somebody at a device.

    everyone   all user ids
    groups     how many groups this one makes before anything else
    more       deed -> how much more often than usual
    revokes    ends the other device of this user, sooner or later
    """

    def __init__(
        self, name: str, everyone: list[int], groups: int, more: dict[str, int], revokes: bool, chance: Random
    ) -> None:
        self._weights = [weight * more.get(deed, 1) for deed, weight in DEEDS.items()]
        self._name = name
        self._everyone = everyone
        self._groups = groups
        self._revokes = revokes
        self._chance = chance
        self._said = 0
        self.busy: Callable[[float], None] = lambda seconds: None
        """Does not read from the network for so long."""
        self.all_there_are: Callable[[], list[int]] = list
        """The conversations of everybody."""
        self.sit_down()

    def sit_down(self) -> None:
        """The program at this device begins anew: what it only knows in memory is gone."""
        self.watched: tuple[int, ...] = ()
        """Whom it was asked to watch."""
        self._sees = False
        self.active = True
        """Somebody looks at it."""

    def sees_something(self, client: Client) -> bool:
        """There is a conversation at this device, so that there is something to do."""
        self._sees = self._sees or any(known.info is not None for known in client.conversations.list())
        return self._sees

    async def act(self, client: Client) -> None:
        """One operation. Raises ClientError when the server or the network would not."""
        if self._groups:
            await self._make_group(client)
            return
        if self._revokes and self._chance.random() < 0.15:
            await self._revoke(client)
            return
        convs = [known.conv for known in client.conversations.list() if known.info is not None and not known.former]
        if not convs or self._chance.random() < 0.06:
            await self._meet(client)
            return
        deed = self._chance.choices(list(DEEDS), weights=self._weights)[0]
        conv = self._chance.choice(convs)
        if deed in ABOUT and self._message(client, conv, mine=deed in ERASING) is None:
            deed = "send"
        await getattr(self, f"_{deed}")(client, conv)

    async def _meet(self, client: Client) -> None:
        user = self._chance.choice(self._everyone)
        if user == client.user:
            await client.conversations.notes()
        else:
            await client.conversations.direct(user)

    async def _make_group(self, client: Client) -> None:
        self._groups -= 1
        others = [user for user in self._everyone if user != client.user]
        members = self._chance.sample(others, self._chance.randint(1, len(others)))
        conv = await client.conversations.create_group("g", members)
        for user in members:
            if self._chance.random() < 0.5:
                await client.conversations.set_role(conv, user, self._chance.choice((Role.MODERATOR, Role.ADMIN)))

    def _text(self) -> str:
        """Unique, so that every entry can be told from every other; sometimes long."""
        self._said += 1
        return f"{self._name}.{self._said};" + "x" * self._chance.choice([0, 0, 0, 200])

    def _message(self, client: Client, conv: int, mine: bool) -> int | None:
        """The seq of some message that is there."""
        records = client.log(conv).records.values()
        seqs = [
            r.seq
            for r in records
            if r.kind == EntryKind.MSG and r.content is not None and (not mine or r.sender == client.user)
        ]
        return self._chance.choice(seqs[-5:]) if seqs else None

    def _whom(self) -> list[int]:
        """Who is mentioned: mostly nobody, sometimes people who are not there."""
        return self._chance.sample(self._everyone, self._chance.choice([0, 0, 1, 2]))

    async def _send(self, client: Client, conv: int) -> None:
        await client.messages.send(conv, self._text(), mentions=self._whom())

    async def _reply(self, client: Client, conv: int) -> None:
        await client.messages.send(conv, self._text(), reply_to=self._message(client, conv, mine=False))

    async def _edit(self, client: Client, conv: int) -> None:
        seq = self._message(client, conv, mine=True)
        if seq is not None:
            await client.messages.edit(conv, seq, self._text(), mentions=self._whom())

    async def _delete(self, client: Client, conv: int) -> None:
        seq = self._message(client, conv, mine=True)
        if seq is not None:
            await client.messages.delete(conv, seq)

    async def _react(self, client: Client, conv: int) -> None:
        seq = self._message(client, conv, mine=False)
        if seq is not None:
            await client.messages.react(conv, seq, self._chance.choice([None, self._text()[:20]]))

    async def _pin(self, client: Client, conv: int) -> None:
        seq = self._message(client, conv, mine=False)
        if seq is not None and (self._may(client, conv, Role.MODERATOR) or not self._is_group(client, conv)):
            await client.messages.pin(conv, seq)

    async def _unpin(self, client: Client, conv: int) -> None:
        pinned = [record.seq for record in client.log(conv).records.values() if record.pinned is not None]
        if pinned:
            await client.messages.unpin(conv, self._chance.choice(pinned))

    async def _forward(self, client: Client, conv: int) -> None:
        """Mostly a message that is there, sometimes whatever has that number in any conversation."""
        source = self._chance.choice([known.conv for known in client.conversations.list()])
        seq = self._message(client, source, mine=False)
        if seq is None or self._chance.random() < 0.3:
            seq = self._chance.randint(1, max(1, client.log(source).head))
        await client.messages.forward(source, seq, conv)

    async def _unread(self, client: Client, conv: int) -> None:
        """Asks the server also for what this device could count itself."""
        convs = tuple(known.conv for known in client.conversations.list())
        if self._chance.random() < 0.5:
            await client.receipts.unread(convs)
        else:
            await client._call(wire.Unread(0, convs), wire.UnreadOk)

    async def _lists(self, client: Client, conv: int) -> None:
        """What is pinned, where one is mentioned, and single records."""
        await client.history.pins(conv)
        page = await client.history.mentions(conv, limit=self._chance.randint(1, 3))
        head = max(1, client.log(conv).head)
        await client.history.records(conv, [*page.seqs, *(self._chance.randint(1, head) for _ in range(3))])

    async def _mark(self, client: Client, conv: int) -> None:
        await client.receipts.mark_read(conv, self._chance.randint(1, client.log(conv).head + 2))

    async def _add(self, client: Client, conv: int) -> None:
        if self._is_group(client, conv):
            outside = [user for user in self._everyone if user not in _members(client, conv)]
            await client.conversations.add(conv, [self._somebody(outside)])

    async def _remove(self, client: Client, conv: int) -> None:
        if self._is_group(client, conv):
            await client.conversations.remove(conv, self._somebody(sorted(_members(client, conv) - {client.user})))

    def _somebody(self, sensible: list[int]) -> int:
        """Mostly one of these, sometimes anybody at all."""
        return self._chance.choice(sensible if sensible and self._chance.random() < 0.8 else self._everyone)

    async def _leave(self, client: Client, conv: int) -> None:
        if self._is_group(client, conv) and self._chance.random() < 0.5:
            await client.conversations.leave(conv)

    async def _role(self, client: Client, conv: int) -> None:
        """Mostly who may."""
        others = sorted(_members(client, conv) - {client.user})
        if others and self._may(client, conv, Role.ADMIN):
            role = self._chance.choice((1, 2, 2, 3, 3, 4))
            await client.conversations.set_role(conv, self._chance.choice(others), role)

    async def _title(self, client: Client, conv: int) -> None:
        if self._may(client, conv, Role.ADMIN):
            await client.conversations.set_title(conv, self._chance.choice(("", self._text()[:20])))

    async def _about(self, client: Client, conv: int) -> None:
        if self._may(client, conv, Role.ADMIN):
            await client.conversations.set_about(conv, self._chance.choice(("", self._text()[:20])))

    async def _moderate(self, client: Client, conv: int) -> None:
        seq = self._message(client, conv, mine=False)
        if seq is not None and self._may(client, conv, Role.MODERATOR):
            await client.messages.delete(conv, seq)

    async def _watch(self, client: Client, conv: int) -> None:
        """Anybody, also strangers."""
        wanted = tuple(self._chance.sample(self._everyone, self._chance.randint(0, len(self._everyone))))
        await client.presence.watch(wanted)
        self.watched = wanted

    async def _look(self, client: Client, conv: int) -> None:
        self.active = self._chance.random() < 0.5
        client.presence.active(self.active)

    async def _typing(self, client: Client, conv: int) -> None:
        client.presence.typing(conv, self._chance.random() < 0.7)

    def _may(self, client: Client, conv: int, role: Role) -> bool:
        """Whether this device thinks that it may, or tries anyway."""
        known = client.conversations.get(conv)
        return (known is not None and known.info is not None and known.info.role >= role) or (
            self._chance.random() < 0.2
        )

    async def _hide(self, client: Client, conv: int) -> None:
        seq = self._message(client, conv, mine=False)
        if seq is not None:
            await client.account.hide(conv, [seq])

    async def _block(self, client: Client, conv: int) -> None:
        """A block is taken back sooner or later, or there would soon be nobody to talk to."""
        others = [user for user in self._everyone if user != client.user]
        other = self._chance.choice(sorted(client.account.blocked) or others)
        if other in client.account.blocked:
            await client.account.unblock(other)
        else:
            await client.account.block(other)

    async def _profile(self, client: Client, conv: int) -> None:
        await client.account.set_profile(about=self._text())

    async def _rename(self, client: Client, conv: int) -> None:
        await client.account.rename_device(client.device, self._text()[:20])

    async def _revoke(self, client: Client) -> None:
        self._revokes = False
        for device in await client.account.devices():
            if device.device != client.device:
                await client.account.revoke_device(device.device)

    def _is_group(self, client: Client, conv: int) -> bool:
        known = client.conversations.get(conv)
        return known is not None and known.info is not None and known.info.kind == ConversationKind.GROUP

    async def _page(self, client: Client, conv: int) -> None:
        before = self._chance.choice([None, self._chance.randint(1, max(1, client.log(conv).head))])
        await client.history.page(conv, before=before, limit=self._chance.randint(1, 5))

    async def _skim(self, client: Client, conv: int) -> None:
        """Several of the newest pages at once; the program that shows them is busy meanwhile and does not read on."""

        async def page() -> None:
            with contextlib.suppress(ClientError):
                await client.history.page(conv, limit=5)

        self.busy(self._chance.choice([0.0, 3.0, 8.0]))
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(page)

    async def _members(self, client: Client, conv: int) -> None:
        await client.conversations.members(conv)

    async def _pry(self, client: Client, conv: int) -> None:
        """Asks for what is mostly none of his business, or does not exist."""
        where = self._chance.choice([1, *self.all_there_are()])
        request = self._chance.choice(
            [
                wire.Changes(0, where, 0),
                wire.History(0, where),
                wire.Records(0, where, (1, 2)),
                wire.Marks(0, where, 0),
                wire.WhoRead(0, where, 1),
                wire.Mentions(0, where),
                wire.Pins(0, where),
                wire.Members(0, where),
                wire.Hide(0, where, (1,)),
            ]
        )
        await client._call(request, request.REPLY)

    async def _who_read(self, client: Client, conv: int) -> None:
        await client.receipts.who_read(conv, self._chance.randint(1, max(1, client.log(conv).head)))


def _members(client: Client, conv: int) -> set[int]:
    """Who is in a group, as far as this device knows."""
    members: set[int] = set()
    for record in client.log(conv).records.values():
        if record.kind in (EntryKind.CREATE, EntryKind.ADD):
            members.update(record.users or ())
        elif record.kind == EntryKind.REMOVE:
            members.difference_update(record.users or ())
    return members

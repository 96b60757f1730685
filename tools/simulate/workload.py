"""What people do with their devices: one operation after another, drawn from a seeded stream."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from random import Random

import attrs
import trio

from wirechat import wire
from wirechat.client.calls import nothing
from wirechat.client.client import Client
from wirechat.client.errors import ClientError
from wirechat.wire.registries import Audience, ContentType, ConversationKind, EntryKind, Role

DEEDS = {
    "send": 9,
    "burst": 2,
    "regret": 1,
    "again": 2,
    "reply": 2,
    "edit": 3,
    "delete": 1,
    "react": 3,
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
    "title": 2,
    "about": 2,
    "moderate": 1,
    "watch": 2,
    "look": 1,
    "typing": 3,
    "page": 2,
    "skim": 2,
    "members": 1,
    "who_read": 2,
    "info": 1,
    "hide": 1,
    "block": 1,
    "profile": 1,
    "rename": 1,
    "snoop": 2,
    "pause": 1,
}
KEEN = 8
CHURN = ("add", "remove", "leave")
ERASING = ("edit", "delete", "regret")
ABOUT = ("reply", "edit", "delete", "react", "pin", "moderate", "hide")
"""Deeds that need a message."""
PRIVATE = ("hide", "block", "profile", "rename")
WINDOWS = (1, 4, 64)

PROBES: tuple[Callable[[int, bytes], tuple[wire.Request, type[wire.Reply]]], ...] = (
    lambda conv, cid: (wire.Send(0, conv, cid, EntryKind.MSG, wire.Content(ContentType.TEXT, cid.hex())), wire.SendOk),
    lambda conv, cid: (wire.Send(0, conv, cid, EntryKind.DELETE, None, 1), wire.SendOk),
    lambda conv, cid: (wire.MemberAdd(0, conv, cid, (1,)), wire.MemberAddOk),
    lambda conv, cid: (wire.MemberDel(0, conv, cid, 1), wire.MemberDelOk),
    lambda conv, cid: (wire.MemberSet(0, conv, cid, 1, Role.ADMIN), wire.MemberSetOk),
    lambda conv, cid: (wire.ConvSet(0, conv, cid, title="mine"), wire.ConvSetOk),
    lambda conv, cid: (wire.Mark(0, conv, 1), wire.MarkOk),
    lambda conv, cid: (wire.Marks(0, conv, 0), wire.MarksOk),
    lambda conv, cid: (wire.Members(0, conv), wire.MembersOk),
    lambda conv, cid: (wire.WhoRead(0, conv, 1), wire.WhoReadOk),
    lambda conv, cid: (wire.Changes(0, conv, 0), wire.ChangesOk),
    lambda conv, cid: (wire.History(0, conv), wire.HistoryOk),
    lambda conv, cid: (wire.Records(0, conv, (1,)), wire.RecordsOk),
    lambda conv, cid: (wire.Pins(0, conv), wire.PinsOk),
    lambda conv, cid: (wire.Mentions(0, conv), wire.MentionsOk),
    lambda conv, cid: (wire.Hide(0, conv, (1,)), wire.HideOk),
    lambda conv, cid: (wire.Unread(0, (conv,)), wire.UnreadOk),
    lambda conv, cid: (wire.ConvGet(0, (conv,)), wire.ConvGetOk),
)
"""(conversation, a fresh cid) -> what one may ask of it, and the answer that only who was in it gets."""


@attrs.define
class Fashion:
    """What somebody did last, and in which conversation: people do what others do."""

    deed: str = "send"
    conv: int = 0


class Person:
    """Somebody at a device.

    everyone   all user ids
    groups     how many groups this one makes before anything else
    more       deed -> how much more often than usual
    strange    conversations that a user was never in: one may have heard of them
    revokes    ends the other device of this user, sooner or later
    fashion    what everybody follows now and then
    """

    def __init__(
        self,
        name: str,
        everyone: list[int],
        groups: int,
        more: dict[str, int],
        revokes: bool,
        strange: Callable[[int], list[int]],
        fashion: Fashion,
        chance: Random,
    ) -> None:
        self._weights = [weight * more.get(deed, 1) for deed, weight in DEEDS.items()]
        self._name = name
        self._everyone = everyone
        self._groups = groups
        self._revokes = revokes
        self._strange = strange
        self._fashion = fashion
        self._chance = chance
        self._said = 0
        self.busy: Callable[[float], None] = lambda seconds: None
        """Does not read from the network for so long."""
        self.has_old_data: Callable[[], bool] = lambda: False
        """What it knows is from before the server was restored."""
        self._hidden: tuple[int, list[int]] | None = None
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
        conv = self._fashion.conv if self._follows(convs) else self._chance.choice(convs)
        while True:
            if not self._follows([conv]):
                self._fashion.deed = self._chance.choices(list(DEEDS), weights=self._weights)[0]
            deed, self._fashion.conv = self._fashion.deed, conv
            if deed in ABOUT and self._message(client, conv, mine=deed in ERASING) is None:
                deed = "send"
            await getattr(self, f"_{deed}")(client, conv)
            if self._chance.random() < 0.7:
                break  # otherwise something else in the same conversation at once

    def _follows(self, convs: list[int]) -> bool:
        return self._fashion.conv in convs and self._chance.random() < 0.3

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
        """The seq of some message that is there: a new one, or the one that was changed last."""
        records = client.log(conv).records.values()
        found = [
            r
            for r in records
            if r.kind == EntryKind.MSG and r.content is not None and (not mine or r.sender == client.user)
        ]
        changed = [r for r in found if r.rev > r.seq]
        if changed and self._chance.random() < 0.5:
            return max(changed, key=lambda record: record.rev).seq
        return self._chance.choice(found[-5:]).seq if found else None

    def _message_or_any(self, client: Client, conv: int) -> int | None:
        """Mostly a message that is there, sometimes whatever has that number."""
        if self._chance.random() < 0.2:
            return self._any(client, conv)
        return self._message(client, conv, mine=False)

    def _any(self, client: Client, conv: int) -> int:
        """Any number, mostly one of which this device has nothing."""
        log = client.log(conv)
        missing = [seq for seq in range(1, log.head + 1) if seq not in log.records]
        if missing and self._chance.random() < 0.7:
            return self._chance.choice(missing)
        return self._chance.randint(1, max(1, log.head))

    def _whom(self) -> list[int]:
        """Who is mentioned: mostly nobody, sometimes people who are not there."""
        return self._chance.sample(self._everyone, self._chance.choice([0, 0, 1, 2]))

    async def _send(self, client: Client, conv: int) -> None:
        await client.messages.send(conv, self._text(), mentions=self._whom())

    async def _regret(self, client: Client, conv: int) -> None:
        """Writes something and takes it back."""
        sent = await client.messages.send(conv, self._text())
        await trio.sleep(self._chance.uniform(0, 2))
        await client.messages.delete(conv, sent.seq)

    async def _burst(self, client: Client, conv: int) -> None:
        """Several messages, one right after the other."""
        await _together([partial(self._send, client, conv)] * self._chance.randint(2, 4))

    async def _again(self, client: Client, conv: int) -> None:
        """What this device has said before, also where one has left; sometimes something else with the same cid."""
        conv = self._anywhere(client)
        own = [r for r in client.log(conv).records.values() if r.cid is not None and self._has_said(r)]
        if own and not self.has_old_data():
            record = self._chance.choice(own)
            assert record.cid is not None
            request = wire.Send(0, conv, record.cid, record.kind, record.content, record.ref, record.users)
            if self._twist(request, record.seq):
                await _ask_once(client, request)
            else:
                await client._call(request, wire.SendOk)

    def _twist(self, request: wire.Send, seq: int) -> bool:
        """Sometimes make something else of it. False when it is what it was, the entry `seq`."""
        if self._chance.random() < 0.2:
            request.ref = self._chance.randint(1, seq)
        elif self._chance.random() < 0.2:
            request.content = wire.Content(ContentType.TEXT, self._text())
        else:
            return False
        return True

    def _has_said(self, record: wire.Record) -> bool:
        content = record.content
        if record.kind != EntryKind.MSG or content is None or record.origin is not None or record.edited is not None:
            return False
        return str(content.data).startswith(f"{self._name}.")

    async def _reply(self, client: Client, conv: int) -> None:
        await client.messages.send(conv, self._text(), reply_to=self._message_or_any(client, conv))

    async def _edit(self, client: Client, conv: int) -> None:
        seq = self._message(client, conv, mine=True)
        if seq is not None:
            await client.messages.edit(conv, seq, self._text(), mentions=self._whom())

    async def _delete(self, client: Client, conv: int) -> None:
        seq = self._message(client, conv, mine=True)
        if seq is not None:
            await client.messages.delete(conv, seq)

    async def _react(self, client: Client, conv: int) -> None:
        others = [record.seq for record in client.log(conv).records.values() if record.reactions]
        again = others and self._chance.random() < 0.5
        seq = self._chance.choice(others) if again else self._message_or_any(client, conv)
        if seq is not None:
            emoji = None if self._chance.random() < 0.3 else self._text()[:20]
            await client.messages.react(conv, seq, emoji)

    async def _pin(self, client: Client, conv: int) -> None:
        seq = self._message(client, conv, mine=False)
        if seq is not None and (self._may(client, conv, Role.MODERATOR) or not self._is_group(client, conv)):
            await client.messages.pin(conv, seq)

    async def _unpin(self, client: Client, conv: int) -> None:
        pinned = [record.seq for record in client.log(conv).records.values() if record.pinned is not None]
        if pinned:
            await client.messages.unpin(conv, self._chance.choice(pinned))

    async def _forward(self, client: Client, conv: int) -> None:
        """Mostly a message that is there, sometimes whatever has that number in any conversation, also where one has
        left. Sometimes one puts it in words of one's own then.
        """
        source = conv if self._chance.random() < 0.4 else self._anywhere(client)
        seq = self._message(client, source, mine=False)
        if seq is None or self._chance.random() < 0.3:
            seq = self._any(client, source)
        sent = await client.messages.forward(source, seq, conv)
        if self._chance.random() < 0.2:
            await client.messages.edit(conv, sent.seq, self._text())

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
        """Sometimes everything is read at once, also where one has left."""
        if self._chance.random() < 0.2:
            convs = [known.conv for known in client.conversations.list()]
            await _together([partial(client.receipts.mark_read, conv, max(1, client.log(conv).head)) for conv in convs])
        else:
            await client.receipts.mark_read(conv, self._chance.randint(1, client.log(conv).head + 2))

    def _anywhere(self, client: Client) -> int:
        """A conversation that this device knows, rather one that its user has left."""
        known = client.conversations.list()
        left = [each for each in known if each.former]
        return self._chance.choice(left if left and self._chance.random() < 0.3 else known).conv

    async def _add(self, client: Client, conv: int) -> None:
        if self._is_group(client, conv):
            outside = [user for user in self._everyone if user not in _members(client, conv)]
            await client.conversations.add(conv, [self._somebody(outside)])

    async def _remove(self, client: Client, conv: int) -> None:
        """Sometimes for as long as it takes to say something."""
        if self._is_group(client, conv):
            user = self._somebody(sorted(_members(client, conv) - {client.user}))
            await client.conversations.remove(conv, user)
            if self._chance.random() < 0.3:
                await self._send(client, conv)
                await client.conversations.add(conv, [user])

    def _somebody(self, sensible: list[int]) -> int:
        """Mostly one of these, sometimes anybody at all."""
        return self._chance.choice(sensible if sensible and self._chance.random() < 0.8 else self._everyone)

    async def _leave(self, client: Client, conv: int) -> None:
        if self._is_group(client, conv) and self._chance.random() < 0.5:
            await client.conversations.leave(conv)

    async def _role(self, client: Client, conv: int) -> None:
        """Mostly who may; sometimes two at once."""
        others = sorted(_members(client, conv) - {client.user})
        if others and self._may(client, conv, Role.ADMIN):
            roles = [self._chance.choice((1, 2, 2, 3, 3, 4)) for _ in range(self._chance.choice((1, 1, 2)))]
            set_role = client.conversations.set_role
            await _together([partial(set_role, conv, self._chance.choice(others), role) for role in roles])

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
        """Mostly one stops after a while."""
        client.presence.typing(conv, self._chance.random() < 0.9)
        await trio.sleep(self._chance.uniform(0, 5))
        if self._chance.random() < 0.7:
            client.presence.typing(conv, False)

    async def _pause(self, client: Client, conv: int) -> None:
        """The program takes nothing for a while."""
        client._tell(wire.State(self.active, 0))
        await trio.sleep(self._chance.uniform(0, 8))
        client._tell(wire.State(self.active, self._chance.choice(WINDOWS)))

    async def _snoop(self, client: Client, conv: int) -> None:
        """Asks of a conversation that one was never in, or forwards from it."""
        strange = self._strange(client.user)
        if not strange:
            return
        elsewhere = self._chance.choice(strange)
        if self._chance.random() < 0.1:
            await client.messages.forward(elsewhere, self._chance.randint(1, 3), conv)
        else:
            request, reply = self._chance.choice(PROBES)(elsewhere, self._chance.randbytes(8))
            await client._call(request, reply, partial(_note_entry, client, elsewhere))

    def _may(self, client: Client, conv: int, role: Role) -> bool:
        """Whether this device thinks that it may, or tries anyway."""
        known = client.conversations.get(conv)
        return (known is not None and known.info is not None and known.info.role >= role) or (
            self._chance.random() < 0.2
        )

    async def _hide(self, client: Client, conv: int) -> None:
        """Sometimes what is hidden already. Half of the time one looks whether it is gone."""
        seq = self._message(client, conv, mine=False)
        if self._hidden is not None and self._chance.random() < 0.3:
            await client.account.hide(*self._hidden)
        elif seq is not None:
            await client.account.hide(conv, [seq])
            self._hidden = conv, [seq]
        if self._chance.random() < 0.5:
            await self._lists(client, conv)

    async def _block(self, client: Client, conv: int) -> None:
        """A block is taken back sooner or later, or there would soon be nobody to talk to."""
        others = [user for user in self._everyone if user != client.user]
        other = self._chance.choice(sorted(client.account.blocked) or others)
        if other in client.account.blocked:
            await client.account.unblock(other)
        else:
            await client.account.block(other)

    async def _profile(self, client: Client, conv: int) -> None:
        """Sometimes also who may see that this user is there, or only that."""
        about = self._chance.choice((self._text(), None))
        audience = None if about and self._chance.random() < 0.7 else self._chance.choice(list(Audience))
        await client.account.set_profile(about=about, audience=audience)

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
        """Several of the newest pages; the program that shows them is busy meanwhile and does not read on. Sometimes
        what they show is hidden before they are there.
        """

        async def page() -> None:
            await trio.sleep(self._chance.choice([0.0, 0.0, 0.5, 1.5]))
            await client.history.page(conv, limit=5)

        self.busy(self._chance.choice([0.0, 3.0, 8.0]))
        deeds = [page] * 3
        if self._chance.random() < 0.2:
            deeds.append(partial(self._hide, client, conv))
        await _together(deeds)

    async def _members(self, client: Client, conv: int) -> None:
        await client.conversations.members(conv)

    async def _who_read(self, client: Client, conv: int) -> None:
        await client.receipts.who_read(conv, self._any(client, conv))

    async def _info(self, client: Client, conv: int) -> None:
        """What the conversations are called that this device knows, also those that its user has left."""
        convs = tuple(known.conv for known in client.conversations.list())
        await client._call(wire.ConvGet(0, convs), wire.ConvGetOk)


async def _together(deeds: Iterable[Callable[[], Awaitable[object]]]) -> None:
    """Do all at once. Raises the error of one of those that failed."""
    errors: list[ClientError] = []

    async def do(deed: Callable[[], Awaitable[object]]) -> None:
        try:
            await deed()
        except ClientError as error:
            errors.append(error)

    async with trio.open_nursery() as nursery:
        for deed in deeds:
            nursery.start_soon(do, deed)
    if errors:
        raise errors[0]


def _note_entry(client: Client, conv: int, answer: wire.Reply) -> None:
    """Somebody may let him in while he asks; then the answer tells of an entry, and nothing else does."""
    if (seq := getattr(answer, "seq", 0)) > 0:
        client._state.sync.exists(conv, seq)


async def _ask_once(client: Client, request: wire.Send) -> None:
    """On this connection alone: the next one may be to a restored server, where the cid stands for nothing. Raises
    ClientError.
    """
    session = client._connector.session
    if session is None or not client._state.sync.started:
        return
    answers: list[wire.SendOk | ClientError] = []
    answered = trio.Event()

    def take(answer: wire.SendOk | ClientError) -> None:
        answers.append(answer)
        answered.set()

    session.ask(request, wire.SendOk, nothing, take)
    await answered.wait()
    if isinstance(answers[0], ClientError):
        raise answers[0]


def _members(client: Client, conv: int) -> set[int]:
    """Who is in a group, as far as this device knows."""
    members: set[int] = set()
    for record in client.log(conv).records.values():
        if record.kind in (EntryKind.CREATE, EntryKind.ADD):
            members.update(record.users or ())
        elif record.kind == EntryKind.REMOVE:
            members.difference_update(record.users or ())
    return members

"""Sections 10 and 11 of docs/protocol.md, where no transcript and no test of a wing shows it: conversations, members,
sending. Tests are named by the rule they show.
"""

import os
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.server.rig import Client, Rig, serving
from tests.transcripts.people import add, changes, delete, done, edit, history, msg, react, remove
from wirechat import wire
from wirechat.store.features import accounts, devices
from wirechat.store.tx import Tx

CID = b"01234567"


async def direct(one: Client, other: Client, cid: bytes | None = None) -> wire.ConvNewOk:
    request = wire.ConvNew(0, cid or os.urandom(8), 1, (other.user,))
    made: wire.ConvNewOk = await one.ask(request, wire.ConvNewOk)
    return made


async def info(client: Client, conv: int) -> wire.Info:
    (found,) = (await client.ask(wire.ConvGet(0, (conv,)), wire.ConvGetOk)).infos
    assert isinstance(found, wire.Info)
    return found


async def digest(rig: Rig, client: Client) -> list[int]:
    """Every conversation of this user, on a connection that replaces the client's."""
    return [row.conv for page in await (await rig.again(client)).sync() for row in page.rows]


async def test_10_1_two_people_have_one_direct_conversation(tmp_path: Path) -> None:
    """Whoever asks, with whatever cid, also at the same moment; each sees the other as peer."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        for client, other in ((alice, bob), (bob, alice)):
            await client.send(*[wire.ConvNew(900 + n, os.urandom(8), 1, (other.user,)) for n in range(3)])
        made = [await who.expect(wire.ConvNewOk) for who in (alice, bob) for _ in range(3)]
        assert len({(each.conv, each.seq, each.ts) for each in made}) == 1
        assert sorted(each.dup for each in made) == [False] + [True] * 5
        conv = made[0].conv
        for who, peer in ((alice, bob), (bob, alice)):
            assert await info(who, conv) == wire.Info(conv, 1, 1, 2, None, peer.user)
        assert await alice.refused(wire.ConvNew(0, os.urandom(8), 1, (bob.user, bob.user))) == 3000
        assert await digest(rig, alice) == [conv]


async def test_10_2_and_10_10_a_group_has_one_owner_while_it_has_members(tmp_path: Path) -> None:
    """A group of one is a group; who follows the owner is the one who was there first; who is back is a member."""
    async with serving(tmp_path) as rig:
        alice, bob, carol = await rig.person("alice"), await rig.person("bob"), await rig.person("carol")
        conv = await rig.group(alice)
        assert await info(alice, conv) == wire.Info(conv, 2, 4, 1, "group")
        await add(alice, conv, carol)
        await add(alice, conv, bob)
        await remove(alice, conv, alice)
        assert await info(alice, conv) == wire.Info(conv, 2, 0, 0, "group")
        assert await bob.refused(wire.MemberDel(0, conv, os.urandom(8), carol.user)) == 4001
        assert await roles(bob, conv) == {bob.user: 1, carol.user: 4}
        await add(bob, conv, alice)
        assert (await info(alice, conv)).role == 1
        assert await alice.refused(wire.MemberDel(0, conv, os.urandom(8), carol.user)) == 4001
        await remove(carol, conv, carol)
        assert await roles(alice, conv) == {bob.user: 4, alice.user: 1}
        await remove(bob, conv, alice)
        await remove(bob, conv, bob)
        assert await bob.refused(msg(conv, "nobody is here")) == 4001
        assert await bob.refused(wire.MemberAdd(0, conv, os.urandom(8), (alice.user,))) == 4001


async def roles(client: Client, conv: int) -> dict[int, int]:
    page = await client.ask(wire.Members(0, conv), wire.MembersOk)
    return {member.user: member.role for member in page.members}


async def assign(client: Client, conv: int, other: Client, role: int) -> int:
    request = wire.MemberSet(0, conv, os.urandom(8), other.user, role)
    return int((await client.ask(request, wire.MemberSetOk)).seq)


async def many(tx: Tx, count: int) -> list[int]:
    users = []
    for user in range(1000, 1000 + count):
        assert await accounts.create(tx, user, f"user-{user}", None, None, 0) is None
        users.append(user)
    return users


REQUESTS: dict[str, Any] = {
    "SEND a MSG": lambda conv, who, other: msg(conv, "x"),
    "SEND a REACT": lambda conv, who, other: react(conv, 2, "👍"),
    "SEND an EDIT of another's": lambda conv, who, other: edit(conv, 2, "x"),
    "SEND a DELETE of another's": lambda conv, who, other: delete(conv, 2),
    "MARK": lambda conv, who, other: wire.Mark(0, conv, 1),
    "WHO_READ": lambda conv, who, other: wire.WhoRead(0, conv, 2),
    "MEMBERS": lambda conv, who, other: wire.Members(0, conv),
    "CHANGES": lambda conv, who, other: wire.Changes(0, conv, 0),
    "HISTORY": lambda conv, who, other: wire.History(0, conv),
    "MARKS": lambda conv, who, other: wire.Marks(0, conv, 0),
    "MEMBER_ADD": lambda conv, who, other: wire.MemberAdd(0, conv, os.urandom(8), (other,)),
    "MEMBER_DEL of another": lambda conv, who, other: wire.MemberDel(0, conv, os.urandom(8), other),
    "MEMBER_DEL of oneself": lambda conv, who, other: wire.MemberDel(0, conv, os.urandom(8), who),
    "CONV_SET of the title": lambda conv, who, other: wire.ConvSet(0, conv, os.urandom(8), title="x"),
    "CONV_SET of the description": lambda conv, who, other: wire.ConvSet(0, conv, os.urandom(8), about="x"),
    "MEMBER_SET": lambda conv, who, other: wire.MemberSet(0, conv, os.urandom(8), other, 2),
}
RIGHTS = {
    # what                        direct member moderator admin owner former never
    "SEND a MSG": (0, 0, 0, 0, 0, 4001, 4002),
    "SEND a REACT": (0, 0, 0, 0, 0, 4001, 4002),
    "SEND an EDIT of another's": (4001, 4001, 4001, 4001, 4001, 4001, 4002),
    "SEND a DELETE of another's": (4001, 4001, 0, 0, 0, 4001, 4002),
    "MARK": (0, 0, 0, 0, 0, 4001, 4002),
    "WHO_READ": (0, 0, 0, 0, 0, 4001, 4002),
    "MEMBERS": (0, 0, 0, 0, 0, 4001, 4002),
    "CHANGES": (0, 0, 0, 0, 0, 0, 4002),
    "HISTORY": (0, 0, 0, 0, 0, 0, 4002),
    "MARKS": (0, 0, 0, 0, 0, 0, 4002),
    "MEMBER_ADD": (4001, 0, 0, 0, 0, 4001, 4002),
    "MEMBER_DEL of another": (4001, 4001, 0, 0, 0, 4001, 4002),
    "MEMBER_DEL of oneself": (4001, 0, 0, 0, 0, 4001, 4002),
    "CONV_SET of the title": (4001, 4001, 4001, 0, 0, 4001, 4002),
    "CONV_SET of the description": (4001, 4001, 4001, 0, 0, 4001, 4002),
    "MEMBER_SET": (4001, 4001, 4001, 0, 0, 4001, 4002),
}


@pytest.mark.parametrize("what", REQUESTS)
async def test_10_3_and_10_12_who_may_do_what(tmp_path: Path, what: str) -> None:
    """The whole table: 0 stands for yes. Whom it is done to is a member, in a group of his own for each who tries."""
    async with serving(tmp_path) as rig:
        owner, admin, moderator, member, former, never, writer = [
            await rig.person(name) for name in ("owner", "admin", "moderator", "member", "former", "never", "writer")
        ]
        strangers = await rig.server.store.write(many, 7)
        pair = (await direct(writer, member)).conv
        await done(writer, msg(pair, "hello"))
        codes: list[int] = []
        for who in (member, member, moderator, admin, owner, former, never):
            conv = await rig.group(owner, admin, moderator, member, former, writer) if codes else pair
            if codes:
                await done(writer, msg(conv, "hello"))
                await assign(owner, conv, admin, 3)
                await assign(owner, conv, moderator, 2)
                await remove(owner, conv, former)
            other = strangers[len(codes)] if what == "MEMBER_ADD" else writer.user
            answer = await who.ask(REQUESTS[what](conv, who.user, other), wire.Message)
            codes.append(answer.code if isinstance(answer, wire.Error) else 0)
        assert tuple(codes) == RIGHTS[what]


async def test_10_12_among_moderators_nobody_moderates(tmp_path: Path) -> None:
    """Neither those of the same role nor those above; what a former member wrote everyone of them may delete."""
    async with serving(tmp_path) as rig:
        alice, bob, carol = await rig.person("alice"), await rig.person("bob"), await rig.person("carol")
        conv = await rig.group(alice, bob, carol)
        for who in (bob, carol):
            await assign(alice, conv, who, 2)
        said = {who: await done(who, msg(conv, "said")) for who in (alice, carol)}
        for who in (alice, carol):
            assert await bob.refused(delete(conv, said[who])) == 4001
            assert await bob.refused(wire.MemberDel(0, conv, os.urandom(8), who.user)) == 4001
        await remove(carol, conv, carol)
        gone = await done(bob, delete(conv, said[carol]))
        (record,) = (await changes(alice, conv, gone - 1)).records
        assert (record.seq, record.content, record.sender) == (said[carol], None, carol.user)


async def test_10_13_giving_roles(tmp_path: Path) -> None:
    """Every refusal, with one cid, which is then still free; then what everybody sees."""
    async with serving(tmp_path) as rig:
        alice, bob, carol, dave = [await rig.person(name) for name in ("alice", "bob", "carol", "dave")]
        conv = await rig.group(alice, bob, carol, dave)
        pair = (await direct(alice, bob)).conv
        await assign(alice, conv, bob, 3)
        await assign(alice, conv, carol, 2)
        await remove(alice, conv, dave)
        for who, where, whom, role, code in (
            (alice, conv, alice.user, 1, 3000),
            (bob, conv, carol.user, 0, 3000),
            (bob, conv, carol.user, 5, 3000),
            (alice, conv + 1, bob.user, 1, 4002),
            (dave, conv, bob.user, 1, 4001),
            (carol, conv, bob.user, 1, 4001),
            (carol, conv, dave.user, 1, 4001),
            (alice, pair, bob.user, 2, 4001),
            (bob, conv, dave.user, 1, 4000),
            (bob, conv, carol.user, 3, 4001),
            (bob, conv, carol.user, 4, 4001),
            (bob, conv, alice.user, 1, 4001),
            (bob, conv, carol.user, 2, 4005),
        ):
            assert await who.refused(wire.MemberSet(0, where, CID, whom, role)) == code, (whom, role, code)
        given = await bob.ask(wire.MemberSet(0, conv, CID, carol.user, 1), wire.MemberSetOk)
        event = await carol.expect(wire.Event, lambda event: event.seq == given.seq)
        assert event == wire.Event(conv, given.seq, given.ts, bob.user, 10, None, None, (carol.user,), None, role=1)
        record = (await changes(bob, conv, given.seq - 1)).records[0]
        assert (record.kind, record.content, record.users, record.role) == (10, None, (carol.user,), 1)
        again = await bob.ask(wire.MemberSet(0, conv, CID, carol.user, 1), wire.MemberSetOk)
        assert (again.seq, again.ts, again.dup) == (given.seq, given.ts, True)
        assert await bob.refused(wire.MemberSet(0, conv, CID, carol.user, 2)) == 3004
        assert await bob.refused(wire.MemberSet(0, conv, CID, alice.user, 1)) == 3004


async def test_10_14_and_10_15_handing_on(tmp_path: Path) -> None:
    """One entry, two roles; MEMBERS and CONV_GET say them."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        seq = await assign(alice, conv, bob, 4)
        assert (await history(alice, conv)).rev == seq
        assert await roles(alice, conv) == {alice.user: 3, bob.user: 4}
        assert ((await info(alice, conv)).role, (await info(bob, conv)).role) == (3, 4)


async def test_10_16_title_and_description(tmp_path: Path) -> None:
    """One of the two, within its size, empty for none; the newest counts."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        for wrong in (
            wire.ConvSet(0, conv, CID),
            wire.ConvSet(0, conv, CID, "title", "about"),
            wire.ConvSet(0, conv, CID, "", ""),
            wire.ConvSet(0, conv, CID, "x" * 257),
            wire.ConvSet(0, conv, CID, None, "ä" * 513),
        ):
            assert await alice.refused(wrong) == 3000
        made = await alice.ask(wire.ConvSet(0, conv, CID, None, "ä" * 512), wire.ConvSetOk)
        event = await bob.expect(wire.Event, lambda event: event.seq == made.seq)
        assert event == wire.Event(conv, made.seq, made.ts, alice.user, 9, wire.Content(11, "ä" * 512))
        assert await info(bob, conv) == wire.Info(conv, 2, 1, 2, "group", None, "ä" * 512)
        assert (await alice.ask(wire.ConvSet(0, conv, CID, None, "ä" * 512), wire.ConvSetOk)).dup
        assert await alice.refused(wire.ConvSet(0, conv, CID, "ä" * 128)) == 3004
        for title, about in ((None, "x"), (None, "x"), ("ä" * 128, None), (None, ""), ("", None)):
            await alice.ask(wire.ConvSet(0, conv, os.urandom(8), title, about), wire.ConvSetOk)
        page = await changes(bob, conv, made.seq)
        said = [(record.kind, record.content) for record in page.records]
        texts = [(11, "x"), (11, "x"), (10, "ä" * 128), (11, ""), (10, "")]
        assert said == [(9, wire.Content(*each)) for each in texts]
        assert await info(bob, conv) == wire.Info(conv, 2, 1, 2)


async def test_10_17_a_former_member_keeps_the_title_he_knew(tmp_path: Path) -> None:
    """P9: whatever it is called later."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        await alice.ask(wire.ConvSet(0, conv, os.urandom(8), about="before"), wire.ConvSetOk)
        await remove(bob, conv, bob)
        for change in (wire.ConvSet(0, conv, os.urandom(8), "later"), wire.ConvSet(0, conv, os.urandom(8), None, "")):
            await alice.ask(change, wire.ConvSetOk)
        assert await info(bob, conv) == wire.Info(conv, 2, 0, 0, "group", None, "before")


async def test_10_19_notes_to_self(tmp_path: Path) -> None:
    """One for each user, whatever cid; for others it does not exist; nobody joins or leaves."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        for wrong in (wire.ConvNew(0, CID, 3, (alice.user,)), wire.ConvNew(0, CID, 3, (), "title")):
            assert await alice.refused(wrong) == 3000
        made = await alice.ask(wire.ConvNew(0, CID, 3, ()), wire.ConvNewOk)
        for cid in (CID, os.urandom(8)):
            again = await alice.ask(wire.ConvNew(0, cid, 3, ()), wire.ConvNewOk)
            assert (again.conv, again.ts, again.dup) == (made.conv, made.ts, True)
        assert await info(alice, made.conv) == wire.Info(made.conv, 3, 1, 1)
        seq = await done(alice, msg(made.conv, "milk"))
        await done(alice, react(made.conv, seq, "👍"))
        assert (await alice.ask(wire.Mark(0, made.conv, seq), wire.MarkOk)).read == seq
        for change in (
            wire.MemberAdd(0, made.conv, os.urandom(8), (bob.user,)),
            wire.MemberDel(0, made.conv, os.urandom(8), alice.user),
            wire.MemberSet(0, made.conv, os.urandom(8), bob.user, 2),
            wire.ConvSet(0, made.conv, os.urandom(8), "title"),
        ):
            assert await alice.refused(change) == 4001
        assert await bob.refused(msg(made.conv, "hello")) == 4002
        assert (await bob.ask(wire.ConvNew(0, CID, 3, ()), wire.ConvNewOk)).conv != made.conv


async def test_10_4_what_is_wrong_makes_nothing(tmp_path: Path) -> None:
    """Every refusal of CONV_NEW, with one cid, which is then still free (11-5)."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        for wrong, code in (
            (wire.ConvNew(0, CID, 1, ()), 3000),
            (wire.ConvNew(0, CID, 1, (alice.user,)), 3000),
            (wire.ConvNew(0, CID, 1, (bob.user, alice.user)), 3000),
            (wire.ConvNew(0, CID, 1, (bob.user,), "title"), 3000),
            (wire.ConvNew(0, CID, 1, (bob.user ^ 1,)), 4000),
            (wire.ConvNew(0, CID, 2, (bob.user, bob.user ^ 1), "title"), 4000),
            (wire.ConvNew(0, CID, 2, (bob.user,), ""), 3000),
            (wire.ConvNew(0, CID, 2, (bob.user,), "x" * 257), 3000),
            (wire.ConvNew(0, CID, 0, (bob.user,)), 3000),
            (wire.ConvNew(0, CID, 6, ()), 3000),
        ):
            assert await alice.refused(wrong) == code
        made = await alice.ask(wire.ConvNew(0, CID, 2, (bob.user,), "ä" * 128), wire.ConvNewOk)
        assert not made.dup
        assert (await info(alice, made.conv)).title == "ä" * 128
        assert await digest(rig, bob) == [made.conv]


async def test_10_4_and_10_5_the_first_entry_names_everyone_once(tmp_path: Path) -> None:
    """The creator first, though he need not name himself."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        members = (bob.user, alice.user, bob.user)
        made = await alice.ask(wire.ConvNew(0, CID, 2, members), wire.ConvNewOk)
        event = await bob.expect(wire.Event)
        assert (event.seq, event.kind, event.users, event.content) == (1, 6, (alice.user, bob.user), None)
        record = (await changes(alice, made.conv)).records[0]
        assert (record.seq, record.kind, record.users, record.cid) == (1, 6, (alice.user, bob.user), CID)


async def test_10_6_a_cid_makes_one_conversation_of_its_creator(tmp_path: Path) -> None:
    """Repeated it returns the same; with other content it is refused; another's cid is another's."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        first = await alice.ask(wire.ConvNew(0, CID, 2, (bob.user,), "one"), wire.ConvNewOk)
        again = await alice.ask(wire.ConvNew(0, CID, 2, (bob.user,), "one"), wire.ConvNewOk)
        assert (again.conv, again.seq, again.ts, again.dup) == (first.conv, 1, first.ts, True)
        for other in (
            wire.ConvNew(0, CID, 2, (bob.user,), "two"),
            wire.ConvNew(0, CID, 2, (), "one"),
            wire.ConvNew(0, CID, 1, (bob.user,)),
        ):
            assert await alice.refused(other) == 3004
        his = await bob.ask(wire.ConvNew(0, CID, 2, (alice.user,), "one"), wire.ConvNewOk)
        assert (his.conv != first.conv, his.dup) == (True, False)


async def test_10_7_adding(tmp_path: Path) -> None:
    """Who is in already is left out of the entry; a stranger among them, and nobody is added."""
    async with serving(tmp_path) as rig:
        alice, bob, carol = await rig.person("alice"), await rig.person("bob"), await rig.person("carol")
        conv = await rig.group(alice, bob)
        assert await alice.refused(wire.MemberAdd(0, conv, CID, (carol.user, carol.user ^ 1))) == 4000
        assert await alice.refused(wire.MemberAdd(0, conv, CID, (bob.user, alice.user))) == 4005
        assert await alice.refused(wire.MemberAdd(0, conv, CID, ())) == 3000
        users = (carol.user, bob.user, carol.user, alice.user)
        made = await alice.ask(wire.MemberAdd(0, conv, CID, users), wire.MemberAddOk)
        event = await carol.expect(wire.Event)
        assert (event.seq, event.kind, event.users) == (made.seq, 7, (carol.user,)) == (2, 7, (carol.user,))
        assert await alice.refused(wire.MemberDel(0, conv, os.urandom(8), carol.user ^ 1)) == 4000


async def test_10_members_come_in_pages_by_user_id(tmp_path: Path) -> None:
    """Each once, with role and since, in pages of 1 to 500; `more` tells whether there is another."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        conv = await rig.group(alice)
        users = await rig.server.store.write(many, 600)
        for start in (0, 200, 400):
            request = wire.MemberAdd(0, conv, os.urandom(8), tuple(users[start : start + 200]))
            await alice.ask(request, wire.MemberAddOk)
        found: list[wire.Member] = []
        more, limit = True, 500
        while more:
            page = await alice.ask(wire.Members(0, conv, found[-1].user if found else 0, limit), wire.MembersOk)
            assert 0 < len(page.members) <= limit
            found += page.members
            more, limit = page.more, 7
            assert more == (len(found) < 601)
        assert [member.user for member in found] == sorted([*users, alice.user])
        assert {member.since for member in found} == {1, 2, 3, 4}
        assert await alice.refused(wire.Members(0, conv, 0, 501)) == 3000


async def test_11_2_a_cid_is_known_by_sender_and_conversation(tmp_path: Path) -> None:
    """Across kinds of requests; another conversation and another sender are another matter."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        made = await alice.ask(wire.ConvNew(0, b"creation", 2, (bob.user,)), wire.ConvNewOk)
        conv, other = made.conv, await rig.group(alice, bob)
        await alice.say(conv, "said", CID)
        assert await alice.refused(wire.MemberDel(0, conv, CID, bob.user)) == 3004
        assert await alice.refused(wire.MemberAdd(0, conv, CID, (bob.user,))) == 3004
        assert await alice.refused(wire.Send(0, conv, CID, 3, None, 2)) == 3004
        assert await alice.refused(wire.Send(0, conv, b"creation", 1, wire.Content(1, "said"))) == 3004
        assert not (await alice.say(other, "said", CID)).dup
        assert not (await bob.say(conv, "said", CID)).dup
        assert (await changes(alice, conv)).upto == 3


async def test_11_3_a_repetition_is_answered_as_the_first_time(tmp_path: Path) -> None:
    """The same seq and ts for every request with a cid, and nobody hears of it again."""
    async with serving(tmp_path) as rig:
        alice, bob, carol = await rig.person("alice"), await rig.person("bob"), await rig.person("carol")
        conv = await rig.group(alice, bob)
        target = await done(alice, msg(conv, "hello"))
        requests: list[Any] = [
            msg(conv, "re", target),
            edit(conv, target, "hello!"),
            react(conv, target, "👍"),
            react(conv, target, None),
            wire.MemberAdd(0, conv, os.urandom(8), (carol.user,)),
            wire.MemberDel(0, conv, os.urandom(8), carol.user),
            delete(conv, target),
        ]
        first = [await alice.ask(request, request.REPLY) for request in requests]
        again = [await alice.ask(request, request.REPLY) for request in requests]
        assert [(reply.seq, reply.ts) for reply in again] == [(reply.seq, reply.ts) for reply in first]
        assert [reply.dup for reply in first + again] == [False] * 7 + [True] * 7
        assert [(await bob.expect(wire.Event)).seq for _ in range(8)] == list(range(2, 10))
        await bob.silence()


async def test_11_3_and_11_4_equal_means_every_field(tmp_path: Path) -> None:
    """Another text, reference, kind or type of content is 3004, and the log stays as it was."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        conv = await rig.group(alice)
        await done(alice, msg(conv, "target"))
        await alice.say(conv, "x", CID)
        for other in (
            wire.Send(0, conv, CID, 1, wire.Content(1, "y")),
            wire.Send(0, conv, CID, 1, wire.Content(1, "x"), 2),
            wire.Send(0, conv, CID, 1, wire.Content(1, "x"), 0),
            wire.Send(0, conv, CID, 2, wire.Content(1, "x"), 2),
            wire.Send(0, conv, CID, 4, wire.Content(2, "x"), 2),
            wire.Send(0, conv, CID, 4, None, 2),
        ):
            assert await alice.refused(other) == 3004
        page = await changes(alice, conv)
        assert (page.upto, len(page.records)) == (3, 3)


async def test_11_5_a_refusal_does_not_use_up_the_cid(tmp_path: Path) -> None:
    """3000, 4000, 4001 and 4005, then the same cid goes through."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        his = await done(bob, msg(conv, "his"))
        for wrong, code in (
            (wire.Send(0, conv, CID, 1, wire.Content(1, "")), 3000),
            (wire.Send(0, conv, CID, 2, wire.Content(1, "x"), 77), 4000),
            (wire.Send(0, conv, CID, 2, wire.Content(1, "x"), his), 4001),
            (wire.MemberAdd(0, conv, CID, (bob.user,)), 4005),
        ):
            assert await alice.refused(wrong) == code
        sent = await alice.say(conv, "at last", CID)
        assert (sent.seq, sent.dup) == (his + 1, False)


LONG = "x" * 16384


@pytest.mark.parametrize(
    ("kind", "content", "ref", "code"),
    [
        (1, wire.Content(1, "x"), None, 0),
        (1, wire.Content(1, LONG), None, 0),
        (1, wire.Content(1, LONG + "x"), None, 3003),
        (1, wire.Content(1, "é" * 8193), None, 3003),
        (2, wire.Content(1, LONG + "x"), 2, 3003),
        (1, wire.Content(1, ""), None, 3000),
        (1, wire.Content(1, b"bytes"), None, 3000),
        (1, wire.Content(2, "👍"), None, 3000),
        (1, None, None, 3000),
        (1, wire.Content(1, "re"), 2, 0),
        (1, wire.Content(1, "re"), 1, 4000),
        (1, wire.Content(1, "re"), 3, 4000),
        (1, wire.Content(1, "re"), 4, 0),
        (1, wire.Content(1, "re"), 99, 4000),
        (1, wire.Content(1, "re"), 0, 4000),
        (2, wire.Content(1, "x"), 2, 0),
        (2, wire.Content(1, "x"), None, 3000),
        (2, wire.Content(1, "x"), 0, 4000),
        (2, wire.Content(1, "x"), 4, 4004),
        (2, wire.Content(2, "👍"), 2, 3000),
        (2, None, 2, 3000),
        (3, None, 2, 0),
        (3, None, None, 3000),
        (3, wire.Content(1, "x"), 2, 3000),
        (3, None, 4, 4004),
        (3, None, 1, 4000),
        (4, wire.Content(2, "👍"), 2, 0),
        (4, wire.Content(2, "x" * 64), 2, 0),
        (4, wire.Content(2, "x" * 65), 2, 3000),
        (4, wire.Content(2, ""), 2, 3000),
        (4, wire.Content(2, b"x"), 2, 3000),
        (4, wire.Content(1, "x"), 2, 3000),
        (4, None, 2, 0),
        (4, None, None, 3000),
        (4, wire.Content(2, "👍"), 4, 4004),
        (4, None, 4, 4004),
        (6, wire.Content(1, "x"), None, 3000),
        (7, None, None, 3000),
        (8, None, None, 3000),
    ],
    ids=str,
)
async def test_11_6_what_a_send_may_contain(
    tmp_path: Path, kind: int, content: wire.Content | None, ref: int | None, code: int
) -> None:
    """Entry 2 is a message, 3 an edit of it, 4 a deleted message, 5 its DELETE; 0 stands for an entry."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        conv = await rig.group(alice)
        message = await done(alice, msg(conv, "hello"))
        await done(alice, edit(conv, message, "hello!"))
        await done(alice, delete(conv, await done(alice, msg(conv, "gone"))))
        answer = await alice.ask(wire.Send(0, conv, os.urandom(8), kind, content, ref), wire.Message)
        assert (answer.code if isinstance(answer, wire.Error) else 0) == code
        assert (await changes(alice, conv)).upto == (5 if code else 6)


async def test_11_8_the_order_of_checks(tmp_path: Path) -> None:
    """Frame, cid, conversation, right, rest: a repetition counts after removal, an outsider learns nothing."""
    async with serving(tmp_path) as rig:
        alice, bob, eve = await rig.person("alice"), await rig.person("bob"), await rig.person("eve")
        conv = await rig.group(alice, bob)
        first = await bob.say(conv, "before", CID)
        wrong_ref, wrong_frame = wire.Content(1, "x"), wire.Content(2, "x")
        await remove(alice, conv, bob)
        again = await bob.say(conv, "before", CID)
        assert (again.seq, again.dup) == (first.seq, True)
        assert await bob.refused(wire.Send(0, conv, CID, 2, wrong_ref, 99)) == 3004
        assert await bob.refused(wire.Send(0, conv, CID, 1, wrong_frame)) == 3000
        assert await bob.refused(edit(conv, 99, "x")) == 4001
        assert await bob.refused(wire.MemberAdd(0, conv, os.urandom(8), (1,))) == 4001
        for request in (edit(conv, 99, "x"), edit(conv, first.seq, "x"), msg(conv, "x", 99), react(conv, 1, "x")):
            assert await eve.refused(request) == 4002
        assert await eve.refused(wire.MemberAdd(0, conv, os.urandom(8), (1,))) == 4002
        assert await eve.refused(wire.Send(0, conv, CID, 1, wrong_frame)) == 3000


async def test_11_20_the_right_comes_before_the_state(tmp_path: Path) -> None:
    """4001 before 4004, to edit and to pin; 4000 before both; 4004 before 4005."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        gone = await done(alice, msg(conv, "gone"))
        await done(alice, delete(conv, gone))
        assert await bob.refused(edit(conv, gone, "mine")) == 4001
        assert await bob.refused(wire.Send(0, conv, os.urandom(8), 5, None, gone)) == 4001
        assert await bob.refused(wire.Send(0, conv, os.urandom(8), 5, None, 99)) == 4000
        assert await alice.refused(wire.Send(0, conv, os.urandom(8), 13, None, gone)) == 4004
        assert await bob.refused(wire.MemberSet(0, conv, os.urandom(8), 4711, 2)) == 4001
        assert await bob.refused(wire.MemberDel(0, conv, os.urandom(8), 4711)) == 4001
        assert await alice.refused(wire.MemberAdd(0, conv, os.urandom(8), (bob.user, 4711))) == 4000
        assert await alice.refused(wire.MemberAdd(0, conv, os.urandom(8), (bob.user,))) == 4005


async def test_11_8_a_wrong_frame_before_login_is_wrong_first(tmp_path: Path) -> None:
    """What the schema forbids is 3000 before it is 2000."""
    async with serving(tmp_path) as rig:
        client = await rig.greeted()
        assert await client.refused(wire.Send(0, 1, b"short", 1)) == 3000
        assert await client.refused(wire.Send(0, 1, CID, 1, wire.Content(1, "x"))) == 2000


async def second_device(tx: Tx, user: int, key: bytes) -> int:
    assert await devices.create(tx, user ^ 1, user, key, "laptop", 0) is None
    return user ^ 1


async def test_11_10_the_users_other_connections_hear_of_it_with_the_cid(tmp_path: Path) -> None:
    """CONV_NEW, SEND, MEMBER_ADD, MEMBER_DEL; the connection that asked has its reply, and nobody else the cid."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        laptop = await rig.greeted()
        key = alice.key.public_key().public_bytes_raw()
        laptop.device = await rig.server.store.write(second_device, alice.user, key)
        laptop.key, laptop.user = alice.key, alice.user
        await laptop.login()
        await laptop.sync()
        cids = [os.urandom(8) for _ in range(5)]
        made = await alice.ask(wire.ConvNew(0, cids[0], 2, (), "mine"), wire.ConvNewOk)
        await alice.ask(wire.MemberAdd(0, made.conv, cids[1], (bob.user,)), wire.MemberAddOk)
        await alice.say(made.conv, "hello", cids[2])
        await alice.ask(wire.MemberDel(0, made.conv, cids[3], bob.user), wire.MemberDelOk)
        await alice.ask(wire.MemberDel(0, made.conv, cids[4], alice.user), wire.MemberDelOk)
        events = [await laptop.expect(wire.Event) for _ in cids]
        assert [(event.seq, event.cid) for event in events] == list(enumerate(cids, 1))
        assert [(await bob.expect(wire.Event)).cid for _ in range(3)] == [None] * 3
        await alice.silence()
        assert [record.cid for record in (await history(laptop, made.conv)).records] == cids
        assert [record.cid for record in (await history(bob, made.conv)).records] == [None] * 3


async def test_11_16_the_source_of_a_forward_is_looked_at_when_it_is_executed(tmp_path: Path) -> None:
    """Its latest text; and a repetition is one whatever has become of the source."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        source = await done(alice, msg(conv, "first"))
        await done(alice, edit(conv, source, "second"))
        request = wire.Send(0, conv, os.urandom(8), 1, None, forward=wire.Source(conv, source))
        seq = await done(bob, request)
        await done(alice, edit(conv, source, "third"))
        await done(alice, delete(conv, source))
        assert await done(bob, request) == seq
        (record,) = (await bob.ask(wire.Records(0, conv, (seq,)), wire.RecordsOk)).records
        assert record.content == wire.Content(1, "second")


async def test_11_16_a_former_member_forwards_what_he_could_see(tmp_path: Path) -> None:
    """What was changed after he left is withheld from his forwards too."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv, own = await rig.group(alice, bob), await rig.group(bob)
        kept, edited = await done(alice, msg(conv, "kept")), await done(alice, msg(conv, "edited"))
        await remove(alice, conv, bob)
        later = await done(alice, msg(conv, "later"))
        await done(alice, edit(conv, edited, "changed"))
        for seq, answer in ((kept, wire.SendOk), (edited, wire.Error), (later, wire.Error)):
            await bob.ask(wire.Send(0, own, os.urandom(8), 1, None, forward=wire.Source(conv, seq)), answer)


async def test_11_18_other_connections_of_the_sender_get_the_copy(tmp_path: Path) -> None:
    """Live, with its cid; so do the connections of the others, without it."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        source = await done(bob, msg(conv, "text"))
        await alice.expect(wire.Event)
        device = await rig.server.store.write(_another_device, alice.user, alice.key.public_key().public_bytes_raw())
        second = await rig.greeted()
        second.key, second.user, second.device = alice.key, alice.user, device
        await second.login()
        await second.sync()
        request = wire.Send(0, conv, os.urandom(8), 1, None, forward=wire.Source(conv, source))
        seq = await done(alice, request)
        for client, cid in ((second, request.cid), (bob, None)):
            event = await client.expect(wire.Event, lambda event: event.seq == seq)
            assert (event.content, event.cid) == (wire.Content(1, "text"), cid)
            assert event.origin is not None
            assert event.origin.user == bob.user
        await alice.silence()


async def _another_device(tx: Tx, user: int, key: bytes) -> int:
    await devices.create(tx, 4242, user, key, "second", 0)
    return 4242


async def test_11_19_mentions_are_data_beside_the_text(tmp_path: Path) -> None:
    """In the order given, with ids of people who are not there or nowhere; no list is the same as an empty one."""
    async with serving(tmp_path) as rig:
        alice, bob, eve = await rig.person("alice"), await rig.person("bob"), await rig.person("eve")
        conv = await rig.group(alice, bob)
        users = (eve.user, 424242, alice.user, bob.user)
        request = wire.Send(0, conv, os.urandom(8), 1, wire.Content(1, "@nobody"), mentions=users)
        seq = await done(alice, request)
        assert (await bob.expect(wire.Event)).users == users
        await eve.silence()
        await done(alice, edit(conv, seq, "@bob"))
        assert (await changes(bob, conv, seq)).records[0].users is None
        first = wire.Send(0, conv, os.urandom(8), 1, wire.Content(1, "hi"), mentions=())
        assert await done(alice, first) == await done(alice, attrs.evolve(first, mentions=None))

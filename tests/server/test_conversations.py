"""Membership: who hears what, from when to when, and who may do what."""

from __future__ import annotations

import os
from pathlib import Path

from tests.server.rig import Client, serving
from wirechat import wire
from wirechat.store.features import accounts
from wirechat.wire import EntryKind


async def add(client: Client, conv: int, *users: int) -> wire.MemberAddOk:
    return await client.ask(wire.MemberAdd(0, conv, os.urandom(8), users), wire.MemberAddOk)


async def test_one_direct_conversation_for_two_people(tmp_path: Path) -> None:
    """Asking again, from either side, with any cid, returns the same one; nobody joins or leaves."""
    async with serving(tmp_path) as rig:
        alice, bob, eve = await rig.person("alice"), await rig.person("bob"), await rig.person("eve")
        made = await alice.ask(wire.ConvNew(0, os.urandom(8), 1, (bob.user,)), wire.ConvNewOk)
        assert (await bob.expect(wire.Event)).kind == EntryKind.CREATE
        same = await bob.ask(wire.ConvNew(0, os.urandom(8), 1, (alice.user,)), wire.ConvNewOk)
        assert (same.conv, same.dup) == (made.conv, True)
        assert await alice.refused(wire.MemberAdd(0, made.conv, os.urandom(8), (eve.user,))) == 4001
        assert await alice.refused(wire.MemberDel(0, made.conv, os.urandom(8), bob.user)) == 4001
        assert await alice.refused(wire.MemberDel(0, made.conv, os.urandom(8), alice.user)) == 4001
        assert await alice.refused(wire.ConvNew(0, os.urandom(8), 1, (alice.user,))) == 3000
        assert await alice.refused(wire.ConvNew(0, os.urandom(8), 1, (424242,))) == 4000
        (info,) = (await bob.ask(wire.ConvGet(0, (made.conv,)), wire.ConvGetOk)).infos
        assert (info.kind, info.peer, info.members) == (1, alice.user, 2)


async def test_a_member_hears_from_his_join_to_his_leaving_and_nothing_after(tmp_path: Path) -> None:
    """P9: what was said before, and after, stays unknown; the ADD and the REMOVE are his first and last entries."""
    async with serving(tmp_path) as rig:
        alice, bob, carol = await rig.person("alice"), await rig.person("bob"), await rig.person("carol")
        conv = await rig.group(alice, bob)
        await alice.say(conv, "before carol")
        joined = await add(bob, conv, carol.user)
        assert (await carol.expect(wire.Event)).seq == joined.seq
        heard = await alice.say(conv, "with carol")
        assert (await carol.expect(wire.Event)).seq == heard.seq
        left = await alice.ask(wire.MemberDel(0, conv, os.urandom(8), carol.user), wire.MemberDelOk)
        last = await carol.expect(wire.Event)
        assert (last.seq, last.kind, last.users) == (left.seq, EntryKind.REMOVE, (carol.user,))
        await alice.say(conv, "after carol")
        await carol.silence()
        changes = await carol.ask(wire.Changes(0, conv, 0), wire.ChangesOk)
        assert [record.seq for record in changes.records] == [joined.seq, heard.seq, left.seq]
        assert changes.upto == left.seq
        history = await carol.ask(wire.History(0, conv), wire.HistoryOk)
        assert [record.seq for record in history.records] == [joined.seq, heard.seq, left.seq]
        assert await carol.refused(wire.Send(0, conv, os.urandom(8), 1, wire.Content(1, "let me in"))) == 4001
        assert await carol.refused(wire.Members(0, conv)) == 4001
        assert await carol.refused(wire.WhoRead(0, conv, heard.seq)) == 4001


async def test_descriptions_that_do_not_fit_are_left_for_another_request(tmp_path: Path) -> None:
    """2.4: no answer is larger than a client must accept, however long the descriptions are; asking again ends."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        convs = set()
        for _ in range(110):
            made = await alice.ask(wire.ConvNew(0, os.urandom(8), 2, (), "t" * 256), wire.ConvNewOk)
            await alice.ask(wire.ConvSet(0, made.conv, os.urandom(8), about="a" * 1024), wire.ConvSetOk)
            convs.add(made.conv)
        wanted, found = tuple(convs), set()
        for _ in range(2):
            reply = await alice.ask(wire.ConvGet(0, (4242, *wanted)), wire.ConvGetOk)
            assert len(reply.encode()) - 4 <= wire.limits.SERVER_FRAME_BYTES
            found |= {info.conv for info in reply.infos}
            wanted = reply.left or ()
        assert (found, wanted) == (convs, ())


async def test_who_stands_higher_removes_and_everyone_may_leave(tmp_path: Path) -> None:
    """At first the creator alone stands higher; when he leaves another follows him, and back he is a member."""
    async with serving(tmp_path) as rig:
        alice, bob, carol = await rig.person("alice"), await rig.person("bob"), await rig.person("carol")
        conv = await rig.group(alice, carol)
        await add(alice, conv, bob.user)
        assert await bob.refused(wire.MemberDel(0, conv, os.urandom(8), carol.user)) == 4001
        await bob.ask(wire.MemberDel(0, conv, os.urandom(8), bob.user), wire.MemberDelOk)
        assert await alice.refused(wire.MemberDel(0, conv, os.urandom(8), bob.user)) == 4000
        await alice.ask(wire.MemberDel(0, conv, os.urandom(8), alice.user), wire.MemberDelOk)
        await add(carol, conv, alice.user, bob.user)
        assert await alice.refused(wire.MemberDel(0, conv, os.urandom(8), bob.user)) == 4001
        await carol.ask(wire.MemberDel(0, conv, os.urandom(8), bob.user), wire.MemberDelOk)
        page = await alice.ask(wire.Members(0, conv), wire.MembersOk)
        assert sorted((member.user, member.role) for member in page.members) == sorted(
            [(carol.user, 4), (alice.user, 1)]
        )


async def test_a_role_counts_from_its_entry_on_also_for_what_waits_with_it(tmp_path: Path) -> None:
    """[10-3]: sent in one write: what the role forbids before its entry is allowed behind it, on every connection."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        await alice.send(
            wire.MemberSet(501, conv, os.urandom(8), bob.user, 4),
            wire.MemberSet(502, conv, os.urandom(8), bob.user, 1),
            wire.ConvSet(503, conv, os.urandom(8), "an admin still may"),
        )
        handed = await alice.expect(wire.MemberSetOk)
        refused = await alice.expect(wire.Error)
        titled = await alice.expect(wire.ConvSetOk)
        assert (refused.rid, refused.code, titled.seq) == (502, 4001, handed.seq + 1)
        assert [(await bob.expect(wire.Event)).kind for _ in range(2)] == [EntryKind.ROLE, EntryKind.META]
        await bob.ask(wire.MemberSet(0, conv, os.urandom(8), alice.user, 1), wire.MemberSetOk)


async def test_adding_twice_is_told_and_repeating_a_cid_is_not(tmp_path: Path) -> None:
    """4005 for a new request that adds nobody; the repeated one gets its first answer (P2)."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice)
        cid = os.urandom(8)
        first = await alice.ask(wire.MemberAdd(0, conv, cid, (bob.user,)), wire.MemberAddOk)
        again = await alice.ask(wire.MemberAdd(0, conv, cid, (bob.user,)), wire.MemberAddOk)
        assert (again.seq, again.dup) == (first.seq, True)
        assert await alice.refused(wire.MemberAdd(0, conv, os.urandom(8), (bob.user,))) == 4005
        assert await alice.refused(wire.MemberAdd(0, conv, os.urandom(8), ())) == 3000
        assert await alice.refused(wire.MemberAdd(0, conv, os.urandom(8), (999999,))) == 4000


async def test_edits_deletes_and_reactions_reach_everyone_and_end_in_one_record(tmp_path: Path) -> None:
    """P5, P8: the live entries and the fold agree; deleted is gone from every answer."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        first, second = await alice.say(conv, "helo"), await alice.say(conv, "secret plan")

        async def change(client: Client, kind: int, ref: int, content: wire.Content | None = None) -> wire.SendOk:
            return await client.ask(wire.Send(0, conv, os.urandom(8), kind, content, ref), wire.SendOk)

        await change(alice, EntryKind.EDIT, first.seq, wire.Content(1, "hello"))
        await change(bob, EntryKind.REACT, first.seq, wire.Content(2, "👍"))
        last = await change(bob, EntryKind.REACT, first.seq, wire.Content(2, "❤️"))
        await change(alice, EntryKind.EDIT, second.seq, wire.Content(1, "secret plan, edited"))
        deleted = await change(alice, EntryKind.DELETE, second.seq)
        assert await bob.refused(wire.Send(0, conv, os.urandom(8), 2, wire.Content(1, "no"), first.seq)) == 4001
        assert await bob.refused(wire.Send(0, conv, os.urandom(8), 4, wire.Content(2, "👍"), second.seq)) == 4004
        assert await alice.refused(wire.Send(0, conv, os.urandom(8), 3, None, second.seq)) == 4004
        assert await alice.refused(wire.Send(0, conv, os.urandom(8), 2, wire.Content(1, "x"), 99)) == 4000
        page = await bob.ask(wire.Changes(0, conv, 1), wire.ChangesOk)
        hello, gone = page.records
        assert (hello.seq, hello.rev, hello.content) == (first.seq, last.seq, wire.Content(1, "hello"))
        assert hello.reactions == (wire.Reaction(bob.user, "❤️"),)
        assert hello.edited
        assert (gone.seq, gone.rev, gone.content, gone.reactions) == (second.seq, deleted.seq, None, None)
        kinds = [(await bob.expect(wire.Event)).kind for _ in range(5)]
        assert kinds == [1, 1, 2, 2, 3]  # his own reactions were answered, not pushed


async def test_groups_have_a_size(tmp_path: Path) -> None:
    """4007 above limits.members, for making and for adding."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        users = []
        for number in range(1000):
            user = 100_000 + number
            assert await rig.server.store.write(accounts.create, user, f"u{number}", None, None, 0) is None
            users.append(user)
        conv = await rig.group(alice)
        for start in range(0, 1000, 250):
            request = wire.MemberAdd(0, conv, os.urandom(8), tuple(users[start : start + 250]))
            if start < 750:
                await alice.ask(request, wire.MemberAddOk)
            else:
                assert await alice.refused(request) == 4007
        assert (await add(alice, conv, *users[750:999])).seq == 5
        assert await alice.refused(wire.MemberAdd(0, conv, os.urandom(8), (users[999],))) == 4007


async def test_who_is_added_hears_of_the_receipts_there_were(tmp_path: Path) -> None:
    """P5, I3: the ADD says nothing of them, and the horizon goes on: a row must."""
    async with serving(tmp_path) as rig:
        alice, bob, carol = await rig.person("alice"), await rig.person("bob"), await rig.person("carol")
        conv = await rig.group(alice, bob)
        await bob.ask(wire.Mark(0, conv, 1), wire.MarkOk)
        joined = await add(alice, conv, carol.user)
        (row,) = (await carol.expect(wire.Rows)).rows
        assert (row.conv, row.head, row.rrev) == (conv, joined.seq, 1)
        marks = await carol.ask(wire.Marks(0, conv, 0), wire.MarksOk)
        assert marks.marks == (wire.Watermark(bob.user, 1, 1),)

"""The main job end to end over TCP: what one says, the others hear, in one order, once, and it stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio

from tests.server.rig import serving
from wirechat import open_client, wire
from wirechat.client import link, register, transport


async def test_a_message_goes_from_client_to_client_and_is_acknowledged_after_the_commit(tmp_path: Path) -> None:
    """The thin whole: the sender gets SEND_OK, the other gets EVENT, both with the same seq and time (P1, P4)."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        sent = await alice.say(conv, "hello")
        event = await bob.expect(wire.Event)
        assert (event.conv, event.seq, event.ts, event.sender) == (conv, sent.seq, sent.ts, alice.user)
        assert event.content == wire.Content(1, "hello")
        assert event.cid is None


async def test_the_same_cid_makes_one_entry_whatever_happens(tmp_path: Path) -> None:
    """P2: repeated on the same connection, pipelined, on another connection; other content is refused."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        cid = os.urandom(8)
        first = await alice.say(conv, "once", cid)
        again = await alice.say(conv, "once", cid)
        assert (again.seq, again.ts, again.dup) == (first.seq, first.ts, True)
        other = await rig.again(alice)
        assert (await other.say(conv, "once", cid)).seq == first.seq
        assert await other.refused(wire.Send(0, conv, cid, 1, wire.Content(1, "twice"))) == 3004
        assert (await other.say(conv, "next")).seq == first.seq + 1
        assert [(await bob.expect(wire.Event)).seq for _ in range(2)] == [first.seq, first.seq + 1]
        await bob.silence()


async def test_pipelined_messages_keep_their_order_and_leave_no_gap(tmp_path: Path) -> None:
    """P3, P4: a thousand sends of two people at once: seq is dense and everyone sees the same."""
    async with serving(tmp_path) as rig:
        alice, bob, carol = await rig.person("alice", 1024), await rig.person("bob", 1024), await rig.person("c", 1024)
        conv = await rig.group(alice, bob, carol)

        async def talk(client: object, count: int) -> None:
            for start in range(0, count, 50):
                sends = [
                    wire.Send(i, conv, os.urandom(8), 1, wire.Content(1, str(i))) for i in range(start, start + 50)
                ]
                await client.send(*sends)  # type: ignore[attr-defined]
                for send in sends:
                    await client.expect(wire.SendOk, lambda ok, rid=send.rid: ok.rid == rid)  # type: ignore[attr-defined]

        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk, alice, 500)
            nursery.start_soon(talk, bob, 400)
        events = [await carol.expect(wire.Event) for _ in range(900)]
        assert [event.seq for event in events] == list(range(2, 902))
        for who, count in ((alice, 500), (bob, 400)):
            said = [event.content.data for event in events if event.sender == who.user and event.content]
            assert said == [str(i) for i in range(count)]
        times = [event.ts for event in events]
        assert times == sorted(times)


async def test_what_was_acknowledged_is_there_after_a_restart(tmp_path: Path) -> None:
    """P1, P5: a second server on the same data; the device resumes with its token and gets exactly what it lacks."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        token = (await bob.ask_pong()).token if hasattr(bob, "ask_pong") else None
        sent = await alice.say(conv, "before")
    async with serving(tmp_path) as rig:
        back = await rig.again(bob)
        (page,) = await back.sync(token)
        (row,) = page.rows
        assert (row.conv, row.head) == (conv, sent.seq)
        changes = await back.ask(wire.Changes(0, conv, 0), wire.ChangesOk)
        assert [record.seq for record in changes.records] == [1, sent.seq]
        assert changes.upto == sent.seq
        assert not changes.more


async def test_changes_one_at_a_time_in_one_flight_are_all_answered(tmp_path: Path) -> None:
    """A page may be as short as one record."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        for text in range(2, 41):
            await alice.say(conv, str(text))
        await bob.send(*(wire.Changes(1000 + since, conv, since, 1) for since in range(41)))
        pages = [await bob.expect(wire.ChangesOk) for _ in range(41)]
        told = {page.rid - 1000: ([record.seq for record in page.records], page.upto, page.more) for page in pages}
        expected: dict[int, tuple[list[int], int, bool]] = {
            since: ([since + 1], since + 1, since + 1 < 40) for since in range(40)
        }
        assert told == expected | {40: ([], 40, False)}


async def test_an_outsider_learns_nothing(tmp_path: Path) -> None:
    """P9: every request on a conversation one was never in answers as on one that does not exist."""
    async with serving(tmp_path) as rig:
        alice, bob, eve = await rig.person("alice"), await rig.person("bob"), await rig.person("eve")
        conv = await rig.group(alice, bob)
        sent = await alice.say(conv, "secret")
        nowhere = conv ^ 0x5A5A5A5A

        def requests(target: int) -> list[wire.Request]:
            return [
                wire.Send(0, target, os.urandom(8), 1, wire.Content(1, "hi")),
                wire.Send(0, target, os.urandom(8), 3, None, sent.seq),
                wire.History(0, target),
                wire.Changes(0, target, 0),
                wire.Mark(0, target, 1),
                wire.Marks(0, target, 0),
                wire.WhoRead(0, target, 1),
                wire.Members(0, target),
                wire.MemberAdd(0, target, os.urandom(8), (eve.user,)),
                wire.MemberDel(0, target, os.urandom(8), alice.user),
            ]

        for real, made_up in zip(requests(conv), requests(nowhere), strict=True):
            one = await eve.ask(real, wire.Error)
            two = await eve.ask(made_up, wire.Error)
            assert (
                (one.code, one.message, one.detail) == (two.code, two.message, two.detail) == (4002, one.message, None)
            )
        assert (await eve.ask(wire.ConvGet(0, (conv, nowhere)), wire.ConvGetOk)).infos == ()
        await eve.silence()


async def test_leaving_a_websocket_waits_for_its_goodbye_and_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader lives until the close was answered; else every program that ends would wait the whole patience."""
    for module in (link, transport):
        monkeypatch.setattr(module, "CLOSE_SECONDS", 20)
    async with serving(tmp_path) as rig:
        url = rig.listeners["ws"].url
        await register(url, "ada", password="correct horse")
        with trio.fail_after(10):
            async with open_client(url, handle="ada", password="correct horse") as client:
                await client.synced()

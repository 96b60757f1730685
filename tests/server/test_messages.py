"""Pins, forwards, mentions, single records and counts, as clients see them on their sockets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.server.rig import Client, serving
from wirechat import wire
from wirechat.store.features import pins
from wirechat.wire import EntryKind
from wirechat.wire.registries import Capability

TEXT = wire.Content(1, "text")


def send(conv: int, kind: int = EntryKind.MSG, **fields: Any) -> wire.Send:
    """A SEND with a fresh cid."""
    return wire.Send(0, conv, fields.pop("cid", None) or os.urandom(8), kind, **fields)


def pin(conv: int, ref: int) -> wire.Send:
    return send(conv, EntryKind.PIN, ref=ref)


async def done(client: Client, request: wire.Send) -> wire.SendOk:
    answer: wire.SendOk = await client.ask(request, wire.SendOk)
    return answer


async def test_pins_are_pushed_to_those_who_asked_for_them(tmp_path: Path) -> None:
    """[9-17]: the others get a row, and the record from CHANGES; nobody gets both."""
    async with serving(tmp_path) as rig:
        alice, bob, carol = await rig.person("alice"), await rig.person("bob"), await rig.person("carol")
        conv = await rig.group(alice, bob, carol)
        seq = (await alice.say(conv, "text")).seq
        carol = await rig.again(carol, caps=(Capability.PINS,))
        await carol.sync()
        await bob.expect(wire.Event)
        pinned = await done(alice, pin(conv, seq))
        event = await carol.expect(wire.Event)
        assert (event.seq, event.kind, event.ref, event.content) == (pinned.seq, EntryKind.PIN, seq, None)
        (row,) = (await bob.expect(wire.Rows)).rows
        assert (row.conv, row.head, row.state) == (conv, pinned.seq, 0)
        await bob.silence()
        (record,) = (await bob.ask(wire.Changes(0, conv, seq), wire.ChangesOk)).records
        assert (record.seq, record.rev, record.pinned) == (seq, pinned.seq, pinned.seq)
        found = await bob.ask(wire.Pins(0, conv), wire.PinsOk)
        assert found.pins == (wire.Pin(seq, pinned.seq, alice.user, pinned.ts),)
        await done(alice, send(conv, EntryKind.UNPIN, ref=seq))
        assert (await bob.ask(wire.Pins(0, conv), wire.PinsOk)).pins == ()


async def test_what_a_pin_is_refused_with(tmp_path: Path) -> None:
    """[9-14] to [9-16], [11-6]."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        seq = (await alice.say(conv, "text")).seq
        assert await alice.refused(send(conv, EntryKind.PIN)) == 3000
        assert await alice.refused(send(conv, EntryKind.PIN, ref=seq, content=TEXT)) == 3000
        assert await alice.refused(send(conv, EntryKind.UNPIN, ref=seq, mentions=(bob.user,))) == 3000
        assert await alice.refused(pin(conv, 1)) == 4000
        assert await bob.refused(pin(conv, seq)) == 4001
        assert await alice.refused(send(conv, EntryKind.UNPIN, ref=seq)) == 4005
        await done(alice, pin(conv, seq))
        assert await alice.refused(pin(conv, seq)) == 4005
        await done(alice, send(conv, EntryKind.DELETE, ref=seq))
        assert await alice.refused(send(conv, EntryKind.UNPIN, ref=seq)) == 4004


async def test_a_forward_goes_out_with_the_text_and_its_origin(tmp_path: Path) -> None:
    """[11-16] to [11-18]: live and read later; once edited it is an ordinary message."""
    async with serving(tmp_path) as rig:
        alice, bob, carol = await rig.person("alice"), await rig.person("bob"), await rig.person("carol")
        here, there = await rig.group(alice, bob), await rig.group(bob, carol)
        written = await alice.say(here, "text")
        sent = await done(bob, send(there, forward=wire.Source(here, written.seq), ref=None))
        origin = wire.Origin(alice.user, written.ts)
        event = await carol.expect(wire.Event)
        assert (event.seq, event.sender, event.content, event.origin) == (sent.seq, bob.user, TEXT, origin)
        (record,) = (await carol.ask(wire.History(0, there, sent.seq, 1), wire.HistoryOk)).records
        assert (record.content, record.origin, record.cid) == (TEXT, origin, None)
        edited = await done(bob, send(there, EntryKind.EDIT, content=wire.Content(1, "mine"), ref=sent.seq))
        (record,) = (await carol.ask(wire.Changes(0, there, sent.seq), wire.ChangesOk)).records
        assert (record.rev, record.content, record.origin) == (edited.seq, wire.Content(1, "mine"), None)


async def test_what_a_forward_is_refused_with(tmp_path: Path) -> None:
    """[11-16], P9: 4002 is for the target; of the source nothing is told apart."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        mine, hers = await rig.group(bob), await rig.group(alice)
        secret = (await alice.say(hers, "secret")).seq
        own = (await bob.say(mine, "own")).seq
        for source in ((hers, secret), (hers, 99), (424242, 1), (mine, 1), (mine, 99)):
            assert await bob.refused(send(mine, forward=wire.Source(*source))) == 4000
        source = wire.Source(mine, own)
        assert await bob.refused(send(hers, forward=source)) == 4002
        assert await bob.refused(send(mine, forward=source, content=TEXT)) == 3000
        assert await bob.refused(send(mine, forward=source, mentions=(alice.user,))) == 3000
        assert await bob.refused(send(mine, EntryKind.EDIT, forward=source, content=TEXT, ref=own)) == 3000
        await done(bob, send(mine, EntryKind.DELETE, ref=own))
        assert await bob.refused(send(mine, forward=source)) == 4004


async def test_the_same_forward_and_the_same_mentions_are_the_same_content(tmp_path: Path) -> None:
    """P2, [11-3]: in any order of the users; another source or other users under one cid are 3004."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        first, second = (await alice.say(conv, "one")).seq, (await alice.say(conv, "two")).seq
        cid = os.urandom(8)
        sent = await done(alice, send(conv, cid=cid, forward=wire.Source(conv, first)))
        again = await done(alice, send(conv, cid=cid, forward=wire.Source(conv, first)))
        assert (again.seq, again.dup) == (sent.seq, True)
        assert await alice.refused(send(conv, cid=cid, forward=wire.Source(conv, second))) == 3004
        assert await alice.refused(send(conv, cid=cid, content=wire.Content(1, "one"))) == 3004
        cid = os.urandom(8)
        sent = await done(alice, send(conv, cid=cid, content=TEXT, mentions=(alice.user, bob.user)))
        again = await done(alice, send(conv, cid=cid, content=TEXT, mentions=(bob.user, alice.user)))
        assert (again.seq, again.dup) == (sent.seq, True)
        for mentions in ((bob.user,), None):
            assert await alice.refused(send(conv, cid=cid, content=TEXT, mentions=mentions)) == 3004


async def test_mentions_go_out_with_the_message_and_are_found_later(tmp_path: Path) -> None:
    """[11-19], [12-33]: an edit replaces them; P8: a delete takes them along."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        users = (bob.user, alice.user, 424242)
        seqs = [(await done(alice, send(conv, content=TEXT, mentions=users))).seq for _ in range(3)]
        event = await bob.expect(wire.Event)
        assert event.users == users
        page = await bob.ask(wire.Mentions(0, conv, None, 2), wire.MentionsOk)
        assert (page.seqs, page.more) == ((seqs[2], seqs[1]), True)
        page = await bob.ask(wire.Mentions(0, conv, seqs[1] - 1), wire.MentionsOk)
        assert (page.seqs, page.more) == ((seqs[0],), False)
        assert (await alice.ask(wire.Mentions(0, conv), wire.MentionsOk)).seqs == ()
        await done(alice, send(conv, EntryKind.EDIT, content=TEXT, ref=seqs[0]))
        await done(alice, send(conv, EntryKind.DELETE, ref=seqs[2]))
        assert (await bob.ask(wire.Mentions(0, conv), wire.MentionsOk)).seqs == (seqs[1],)
        page = await bob.ask(wire.History(0, conv), wire.HistoryOk)
        assert [record.users for record in page.records[1:]] == [None, users, None]


@pytest.mark.parametrize(
    "fields",
    [
        {"content": TEXT, "mentions": (5, 5)},
        {"content": TEXT, "mentions": tuple(range(51))},
        {"kind": EntryKind.REACT, "content": wire.Content(2, "+"), "ref": 2, "mentions": (5,)},
        {"kind": EntryKind.DELETE, "ref": 2, "mentions": (5,)},
    ],
)
async def test_bad_mentions(tmp_path: Path, fields: dict[str, Any]) -> None:
    """[11-19]: each user once, at most 50, in MSG and EDIT only."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        conv = await rig.group(alice)
        await alice.say(conv, "text")
        assert await alice.refused(send(conv, **fields)) == 3000


async def test_single_records(tmp_path: Path) -> None:
    """[12-31]: in the order asked; what does not exist or may not be seen is left out (P9)."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice)
        await alice.say(conv, "before bob")
        await alice.ask(wire.MemberAdd(0, conv, os.urandom(8), (bob.user,)), wire.MemberAddOk)
        large = [(await alice.say(conv, "x" * 16000)).seq for _ in range(6)]
        page = await bob.ask(wire.Records(0, conv, (large[3], 2, 3, 99, large[0])), wire.RecordsOk)
        assert ([record.seq for record in page.records], page.more) == ([large[3], 3, large[0]], False)
        page = await bob.ask(wire.Records(0, conv, tuple(reversed(large))), wire.RecordsOk)
        assert page.more
        assert [record.seq for record in page.records] == large[::-1][: len(page.records)]
        assert await bob.refused(wire.Records(0, conv, ())) == 3000
        for request in (wire.Records(0, 424242, (1,)), wire.Pins(0, 424242), wire.Mentions(0, 424242)):
            assert await bob.refused(request) == 4002


async def test_unread_counts(tmp_path: Path) -> None:
    """[13-11] to [13-13]: of those one is in; a mark lowers them at once."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        convs = [await rig.group(alice, bob) for _ in range(3)]
        hers = await rig.group(alice)
        for conv in convs[:2]:
            await done(alice, send(conv, content=TEXT, mentions=(bob.user,)))
            await done(alice, send(conv, content=TEXT))
        await bob.ask(wire.Mark(0, convs[1], 2), wire.MarkOk)
        answer = await bob.ask(wire.Unread(0, (*convs, hers, 424242, convs[0])), wire.UnreadOk)
        assert sorted(answer.counts, key=lambda count: convs.index(count.conv)) == [
            wire.Count(convs[0], 3, 0, 2, 1),
            wire.Count(convs[1], 3, 2, 1, 0),
            wire.Count(convs[2], 1, 0, 0, 0),
        ]
        assert answer.left is None


async def test_counting_costs_what_it_costs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """P10, [13-13]: what is too much for one request is left, and much counting is paid with the rate of requests."""
    monkeypatch.setattr("wirechat.wire.limits.UNREAD_ENTRIES", 3)
    monkeypatch.setattr("wirechat.server.limits.ENTRIES_PER_TOKEN", 1)
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        convs = [await rig.group(alice, bob) for _ in range(2)]
        for conv in convs:
            for _ in range(3):
                await alice.say(conv, "text")
        (connection,) = [each for each in rig.server.connections if each.session and each.session.user == bob.user]
        before = connection.tokens
        answer = await bob.ask(wire.Unread(0, tuple(convs)), wire.UnreadOk)
        assert answer.counts == (wire.Count(convs[0], 4, 0, 3, 0, True),)
        assert answer.left == (convs[1],)
        assert connection.tokens <= before - 3


def test_the_store_and_the_protocol_have_the_same_limits() -> None:
    """The store knows nothing of the protocol, so it says the number again."""
    assert pins.PINS_MAX == wire.limits.PINS

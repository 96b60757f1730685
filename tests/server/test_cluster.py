"""Several nodes over one PostgreSQL: what the bus makes fast, and what the pass makes right when the bus loses it."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Any

import attrs
import msgpack
import pytest
import trio
from structlog.testing import capture_logs

from tests.server.nodes import Web, known, node, two_nodes, until, users
from tests.server.rig import Client, Rig
from tests.store.cluster import Cluster as Postgres
from tests.transcripts.people import narrow, stalled
from wirechat import wire
from wirechat.server import limits, offering, tending
from wirechat.server.cluster import Kind
from wirechat.server.hub import Hub
from wirechat.server.standing import Heard, ask
from wirechat.store.database import Store
from wirechat.store.features import devices
from wirechat.wire.registries import Capability
from wirechat.world import REAL

pytestmark = pytest.mark.postgres

NEVER = 1000.0


@pytest.fixture
def no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever arrives came by a hint."""
    monkeypatch.setattr(limits, "PASS_SECONDS", NEVER)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens once a second happens 20 times."""
    for name in ("PASS_SECONDS", "SWEEP_SECONDS", "ALIVE_SECONDS", "ASK_SECONDS"):
        monkeypatch.setattr(limits, name, 0.05)


async def met(one: Rig, other: Rig, *clients: Client) -> None:
    """Each node knows of the users of the other."""
    here = sum(1 for client in clients if client.device in {each.device for each in one.server.hub.sessions()})
    await until(lambda: users(one) == len(clients) - here and users(other) == here)


async def pair(one: Rig, other: Rig, caps: tuple[int, ...] = ()) -> tuple[Client, Client, int]:
    """Alice on one node, bob on the other, and a group of them."""
    alice, bob = await one.person("alice", caps=caps), await other.person("bob", caps=caps)
    await met(one, other, alice, bob)
    made = await alice.ask(wire.ConvNew(0, os.urandom(8), 2, (bob.user,), "group"), wire.ConvNewOk)
    await bob.expect(wire.Message, lambda message: isinstance(message, wire.Event | wire.Rows))
    return alice, bob, made.conv


async def test_p5_a_hint_brings_the_entry(url: str, no_pass: None) -> None:
    async with two_nodes(url) as (one, other, _):
        alice, bob, conv = await pair(one, other)
        for number in range(5):
            sent = await alice.say(conv, f"text {number}")
            event = await bob.expect(wire.Event)
            assert (event.conv, event.seq, event.ts, event.content) == (
                conv, sent.seq, sent.ts, wire.Content(1, f"text {number}"),
            )  # fmt: skip
            assert event.cid is None


async def test_p5_when_every_hint_is_lost_the_pass_tells(url: str) -> None:
    async with two_nodes(url) as (one, other, web):
        alice, bob, conv = await pair(one, other)
        web.cut()
        sent = await alice.say(conv, "nobody hints at this")
        assert (await bob.expect(wire.Event)).seq == sent.seq


async def test_p5_of_much_that_was_missed_a_row_tells(url: str, no_pass: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "NEWS_ENTRIES", 5)
    async with two_nodes(url) as (one, other, web):
        alice, bob, conv = await pair(one, other)
        web.cut()
        cids = [os.urandom(8) for _ in range(limits.NEWS_ENTRIES + 1)]
        await alice.send(*(wire.Send(n, conv, cid, 1, wire.Content(1, "x")) for n, cid in enumerate(cids, 100)))
        for _ in cids:
            await alice.expect(wire.SendOk)
        await tending.one_pass(other.server.store, other.server.hub)
        rows = await bob.expect(wire.Rows)
        assert [(row.conv, row.head) for row in rows.rows] == [(conv, 1 + len(cids))]


async def test_p3_both_write_and_both_see_all(url: str, no_pass: None) -> None:
    """Entries of both nodes, in bursts: everyone hears of every one, and of each once."""
    async with two_nodes(url) as (one, other, _):
        alice, bob, conv = await pair(one, other)
        told: dict[str, list[int]] = {"alice": [], "bob": []}
        for _ in range(5):
            frames = [wire.Send(n, conv, os.urandom(8), 1, wire.Content(1, "x")) for n in range(100, 104)]
            await alice.send(*frames)
            await bob.send(*frames)
            for name, client in (("alice", alice), ("bob", bob)):
                told[name] += [(await client.expect(wire.SendOk)).seq for _ in range(4)]
                told[name] += [(await client.expect(wire.Event)).seq for _ in range(4)]
        assert sorted(told["alice"]) == sorted(told["bob"]) == list(range(2, 42))


async def test_p8_a_hint_shows_the_entry_as_it_is(url: str, no_pass: None) -> None:
    """Deleted before the hint was read: the content is gone."""
    async with two_nodes(url) as (one, other, web):
        alice, bob, conv = await pair(one, other)
        web.cut(Kind.NEWS)
        sent = await alice.say(conv, "secret")
        await alice.ask(wire.Send(0, conv, os.urandom(8), wire.EntryKind.DELETE, None, sent.seq), wire.SendOk)
        web.lines[1].hear(msgpack.packb((Kind.NEWS, 1, [conv, sent.seq, 0])))
        events = [await bob.expect(wire.Event), await bob.expect(wire.Event)]
        assert [(event.seq, event.content) for event in events] == [(sent.seq, None), (sent.seq + 1, None)]


async def test_p8_what_a_hint_brought_waits_without_its_text(url: str, no_pass: None) -> None:
    """Deleted while the way to the client was full."""
    async with two_nodes(url) as (one, other, _):
        alice, bob, conv = await pair(one, other)
        slow = await narrow(other, bob)
        await stalled(other, slow, alice, conv)
        sent = await alice.say(conv, "secret")
        await until(lambda: other.server.hub.position(conv)[0] >= sent.seq)
        await alice.ask(wire.Send(0, conv, os.urandom(8), wire.EntryKind.DELETE, None, sent.seq), wire.SendOk)
        said = await slow.expect(wire.Event, lambda event: event.seq == sent.seq)
        assert said.content is None


async def test_p8_what_was_read_too_long_ago_is_not_shown(
    url: str, no_pass: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleted between the read and the push, which has to wait for something else."""
    async with two_nodes(url) as (one, other, _):
        alice, bob, conv = await pair(one, other)
        store, was_read, is_deleted = other.server.store, trio.Event(), trio.Event()
        real = store.glance

        async def late(*args: Any) -> Any:
            found = await real(*args)
            was_read.set()
            await is_deleted.wait()
            return found

        monkeypatch.setattr(store, "glance", late)
        monkeypatch.setattr(limits, "NEWS_SECONDS", 0.0)
        said = await alice.say(conv, "secret")
        await was_read.wait()
        gone = await alice.ask(wire.Send(0, conv, os.urandom(8), wire.EntryKind.DELETE, None, said.seq), wire.SendOk)
        is_deleted.set()
        rows = await bob.expect(wire.Message, lambda message: isinstance(message, wire.Event | wire.Rows))
        assert isinstance(rows, wire.Rows), rows
        assert [row.head for row in rows.rows] == [gone.seq]


async def test_a_hint_is_not_believed(url: str, no_pass: None) -> None:
    """A head that does not exist, a conversation that does not exist, messages that are none."""
    async with two_nodes(url) as (one, other, web):
        alice, bob, conv = await pair(one, other)
        hear = web.lines[1].hear
        hear(msgpack.packb((Kind.NEWS, 1, [conv, 900, 900, 4242, 7, 7])))
        for garbled in (b"", b"\xc1", b"\x93\x06\x01", msgpack.packb(7), msgpack.packb((Kind.NEWS, 1, [1])),
                        msgpack.packb((Kind.NEWS,)), msgpack.packb((Kind.SERVES, 1, "x", 3)),
                        msgpack.packb((99, 1, "a later version"))):  # fmt: skip
            hear(garbled)
        await bob.silence()
        assert (await alice.say(conv, "and it goes on")).seq == 2
        assert (await bob.expect(wire.Event)).seq == 2
        assert other.server.cluster is not None
        assert other.server.cluster.counts.garbled >= 5


async def test_p7_receipts_cross(url: str, no_pass: None) -> None:
    async with two_nodes(url) as (one, other, _):
        alice, bob, conv = await pair(one, other)
        sent = await alice.say(conv, "read this")
        await bob.expect(wire.Event)
        await bob.ask(wire.Mark(0, conv, sent.seq), wire.MarkOk)
        receipt = await alice.expect(wire.Receipt)
        assert receipt.conv == conv
        assert wire.Watermark(bob.user, sent.seq, sent.seq) in receipt.marks


async def test_p9_who_was_removed_on_another_node_gets_no_more(url: str, no_pass: None) -> None:
    async with two_nodes(url) as (one, other, web):
        alice, bob, conv = await pair(one, other)
        removed = await alice.ask(wire.MemberDel(0, conv, os.urandom(8), bob.user), wire.MemberDelOk)
        assert (await bob.expect(wire.Event)).seq == removed.seq
        await alice.say(conv, "not for bob")
        web.lines[1].hear(msgpack.packb((Kind.NEWS, 1, [conv, removed.seq + 1, 0])))
        await bob.silence()


async def passing_by(one: Rig, other: Rig, web: Web) -> tuple[Client, int, int]:
    """Carol on the other node, which hears nothing, is added, removed again, and something is said. Returns her, the
    conversation, and her last entry.
    """
    alice, bob, conv = await pair(one, other)
    carol = await other.person("carol")
    await bob.ask(wire.Mark(0, conv, 1), wire.MarkOk)
    await bob.expect(wire.Receipt)  # so that whoever is added is told of it
    web.cut()
    await alice.ask(wire.MemberAdd(0, conv, os.urandom(8), (carol.user,)), wire.MemberAddOk)
    removed = await alice.ask(wire.MemberDel(0, conv, os.urandom(8), carol.user), wire.MemberDelOk)
    await alice.say(conv, "not for carol")
    return carol, conv, removed.seq


async def test_p9_who_was_added_and_removed_again_is_told_no_head(url: str, no_pass: None) -> None:
    """He hears of his leaving, and of nothing after it (9-9)."""
    async with two_nodes(url) as (one, other, web):
        carol, conv, end = await passing_by(one, other, web)
        web.lines[1].hear(msgpack.packb((Kind.NEWS, 1, [conv, end + 1, 0])))
        told = await carol.expect(wire.Message, lambda message: isinstance(message, wire.Event | wire.Rows))
        assert isinstance(told, wire.Event), told
        assert told.seq == end
        await carol.silence()


async def test_p9_nor_by_a_node_that_has_no_room_for_the_members(
    url: str, no_pass: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hint tells nobody anything then, and the pass sends rows."""
    async with two_nodes(url) as (one, other, web):
        carol, conv, end = await passing_by(one, other, web)
        monkeypatch.setattr(limits, "MEMBER_LISTS_MAX", 0)
        web.lines[1].hear(msgpack.packb((Kind.NEWS, 1, [conv, end + 1, 0])))
        await carol.silence()
        await tending.one_pass(other.server.store, other.server.hub)
        (row,) = (await carol.expect(wire.Rows)).rows
        assert (row.conv, row.head, row.state) == (conv, end, wire.MemberState.FORMER)


async def test_p9_removed_while_every_hint_was_lost(url: str, quick: None) -> None:
    """The node of the removed one still has the old list of members: his typing friends are none of his business."""
    async with two_nodes(url) as (one, other, web):
        alice, bob, conv = await pair(one, other)
        carol = await other.person("carol")
        await alice.ask(wire.MemberAdd(0, conv, os.urandom(8), (carol.user,)), wire.MemberAddOk)
        await bob.send(wire.Typing(conv, True))
        await carol.expect(wire.Typing)
        web.cut()
        removed = await alice.ask(wire.MemberDel(0, conv, os.urandom(8), carol.user), wire.MemberDelOk)
        await carol.expect(wire.Event, lambda event: event.seq == removed.seq)
        await bob.send(wire.Typing(conv, False))
        await carol.silence()


@pytest.mark.parametrize("blocked", [False, True])
async def test_p9_who_types_is_no_business_of_who_left_while_the_bus_was_slow(
    url: str, no_pass: None, blocked: bool
) -> None:
    """It is looked up when it comes: what the other node knew is old, and this one has forgotten the list."""
    async with two_nodes(url) as (one, other, web):
        alice, bob, conv = await pair(one, other)
        carol = await other.person("carol")
        await alice.ask(wire.MemberAdd(0, conv, os.urandom(8), (carol.user,)), wire.MemberAddOk)
        typing = msgpack.packb((Kind.TYPING, 1, conv, True, alice.user, [bob.user, carol.user]))
        if blocked:
            await carol.ask(wire.Block(0, alice.user, True), wire.BlockOk)
        else:
            await alice.ask(wire.MemberDel(0, conv, os.urandom(8), carol.user), wire.MemberDelOk)
            await carol.expect(wire.Event, lambda event: event.kind == wire.EntryKind.REMOVE)
        other.server.hub.forget(conv)
        for _ in range(2):
            web.lines[1].hear(typing)
            assert await bob.expect(wire.Typing) == wire.Typing(conv, True, alice.user)
        await carol.silence()


async def test_13_22_nor_of_whom_only_the_other_node_knows_to_be_blocked(url: str, no_pass: None) -> None:
    """This one was not told, and remembers for a minute whom it asked about."""
    async with two_nodes(url) as (one, other, web):
        alice, bob, conv = await pair(one, other)
        await alice.send(wire.Typing(conv, True))
        assert await bob.expect(wire.Typing) == wire.Typing(conv, True, alice.user)
        web.cut(Kind.CHANGED, Kind.NEWS)
        await alice.ask(wire.Block(0, bob.user, True), wire.BlockOk)
        await alice.send(wire.Typing(conv, False))
        await bob.silence()


async def test_13_18_a_stranger_is_seen_no_more_when_every_hint_was_lost(url: str, no_pass: None) -> None:
    """More was written than a node offers entry by entry, so that he does not see the removal itself, either."""
    async with two_nodes(url) as (one, other, web):
        alice, bob, conv = await pair(one, other)
        await until(lambda: not other.server.hub._regrouped)  # nothing is looked at again for an older reason
        (there,) = (await bob.ask(wire.PresenceSub(0, (alice.user,)), wire.PresenceSubOk)).users
        assert there.online
        web.cut(Kind.NEWS)
        for n in range(limits.NEWS_ENTRIES):
            await alice.say(conv, f"{n}")
        await alice.ask(wire.MemberDel(0, conv, os.urandom(8), bob.user), wire.MemberDelOk)
        await tending.one_pass(other.server.store, other.server.hub)
        (gone,) = (await bob.expect(wire.Presence)).users
        assert gone == wire.Status(alice.user, False)


async def test_r6_what_is_written_here_is_not_for_who_was_removed_elsewhere(url: str, no_pass: None) -> None:
    """The list of members that this node has is older than the entry; the one of its commit is not."""
    async with two_nodes(url) as (one, other, web):
        alice, bob, conv = await pair(one, other)
        carol = await other.person("carol")
        await alice.ask(wire.MemberAdd(0, conv, os.urandom(8), (carol.user,)), wire.MemberAddOk)
        await carol.expect(wire.Event)
        await bob.say(conv, "for carol too")
        await carol.expect(wire.Event)
        web.cut()
        await alice.ask(wire.MemberDel(0, conv, os.urandom(8), carol.user), wire.MemberDelOk)
        await bob.say(conv, "not for carol")
        await carol.silence()


async def test_13_9_who_was_removed_on_another_node_gets_no_receipts(url: str, no_pass: None) -> None:
    """His node has a list of the members from before, and writes the receipt of somebody else."""
    async with two_nodes(url) as (one, other, web):
        alice, bob, conv = await pair(one, other)
        carol = await other.person("carol")
        added = await alice.ask(wire.MemberAdd(0, conv, os.urandom(8), (carol.user,)), wire.MemberAddOk)
        await bob.expect(wire.Event)
        await carol.expect(wire.Event)
        await bob.ask(wire.Mark(0, conv, added.seq - 1), wire.MarkOk)
        await carol.expect(wire.Receipt)
        web.cut()
        await alice.ask(wire.MemberDel(0, conv, os.urandom(8), carol.user), wire.MemberDelOk)
        await bob.ask(wire.Mark(0, conv, added.seq), wire.MarkOk)
        await bob.expect(wire.Receipt)
        await carol.silence()


async def test_an_added_member_hears_on_his_node(url: str, no_pass: None) -> None:
    async with two_nodes(url) as (one, other, _):
        alice, bob, conv = await pair(one, other)
        carol = await other.person("carol")
        await met(one, other, alice, bob, carol)
        added = await alice.ask(wire.MemberAdd(0, conv, os.urandom(8), (carol.user,)), wire.MemberAddOk)
        event = await carol.expect(wire.Event)
        assert (event.seq, event.users) == (added.seq, (carol.user,))
        sent = await bob.say(conv, "hello")
        assert (await carol.expect(wire.Event)).seq == sent.seq


async def test_the_account_log_crosses(url: str, no_pass: None) -> None:
    """Two devices of one user on two nodes."""
    async with two_nodes(url) as (one, other, _):
        alice, _, conv = await pair(one, other, (Capability.ACCOUNT_LOG,))
        twin = await second_device(one, other, alice)
        sent = await alice.say(conv, "hide me")
        await alice.ask(wire.Hide(0, conv, (sent.seq,)), wire.HideOk)
        assert (await twin.expect(wire.Event, lambda event: event.conv != conv)).kind == wire.EntryKind.HIDE


async def second_device(one: Rig, other: Rig, client: Client) -> Client:
    """Another device of the same user, on the other node. Both know that."""
    await client.ask(wire.SecretSet(0, password=b"quite a long secret"), wire.SecretSetOk)
    twin = await other.greeted(caps=(Capability.ACCOUNT_LOG,))
    login = wire.Auth(0, 1, proof=b"quite a long secret", handle="alice", name="twin")
    done = await twin.ask(login, wire.AuthOk)
    twin.user, twin.device = done.user, done.device
    await twin.sync()
    assert one.server.cluster is not None
    directory = one.server.cluster.directory
    await until(lambda: directory.has(client.user, twin.device))
    return twin


async def test_4_7_the_newest_login_of_a_device_wins_everywhere(url: str, no_pass: None) -> None:
    async with two_nodes(url) as (one, other, _):
        alice, _, _ = await pair(one, other)
        again = await other.again(alice)
        assert await alice.closed() == wire.errors.REPLACED
        await again.sync()
        await again.silence()


async def test_4_7_also_when_nobody_is_told(url: str, quick: None) -> None:
    """By the pass, within 5 s; and what was said about an older login hurts nobody."""
    async with two_nodes(url) as (one, other, web):
        alice, _, _ = await pair(one, other)
        web.cut()
        again = await other.again(alice)
        with trio.fail_after(10):
            assert await alice.closed() == wire.errors.REPLACED
        await again.sync()
        web.lines[1].hear(msgpack.packb((Kind.LOGIN, 1, alice.user, alice.device, 1)))
        await again.silence()


@pytest.mark.parametrize("told", [True, False])
async def test_a_revoked_device_is_off_everywhere(url: str, quick: None, told: bool) -> None:
    async with two_nodes(url) as (one, other, web):
        alice, _, _ = await pair(one, other)
        twin = await second_device(one, other, alice)
        if not told:
            web.cut()
        with trio.fail_after(10):
            await alice.ask(wire.DeviceRevoke(0, twin.device), wire.DeviceRevokeOk)
            assert await twin.closed() == wire.errors.DEVICE_REVOKED


async def test_13_19_presence_crosses(url: str, quick: None) -> None:
    async with two_nodes(url) as (one, other, _):
        alice, bob, _ = await pair(one, other)
        (there,) = (await alice.ask(wire.PresenceSub(0, (bob.user,)), wire.PresenceSubOk)).users
        assert there.online
        await bob.send(wire.State(False))
        (gone,) = (await alice.expect(wire.Presence)).users
        assert (gone.user, gone.online) == (bob.user, False)
        assert gone.seen is not None
        await bob.send(wire.State(True))
        (back,) = (await alice.expect(wire.Presence)).users
        assert back.online


async def test_a_node_that_dies_takes_its_users_along(url: str, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "NODE_SILENT_SECONDS", 0.5)
    async with two_nodes(url) as (one, other, web):
        alice, bob, _ = await pair(one, other)
        await alice.ask(wire.PresenceSub(0, (bob.user,)), wire.PresenceSubOk)
        web.passes = lambda kind, sender, receiver: sender == 1  # nothing is heard of the other node any more
        (gone,) = (await alice.expect(wire.Presence)).users
        assert not gone.online
        assert known(one) == set()
        web.mend()
        (back,) = (await alice.expect(wire.Presence)).users
        assert back.online


async def test_a_node_that_stops_says_so(url: str) -> None:
    web = Web()
    async with node(url, web) as one, node(url, web) as other:
        await until(lambda: known(one) == {2})
        other.stop.set()
        await until(lambda: known(one) == set(), 3)


@pytest.mark.parametrize("told", [True, False])
async def test_a_blocked_person_sees_nothing_across_nodes(url: str, quick: None, told: bool) -> None:
    async with two_nodes(url) as (one, other, web):
        alice, bob, _ = await pair(one, other)
        await alice.ask(wire.PresenceSub(0, (bob.user,)), wire.PresenceSubOk)
        if not told:
            web.cut(Kind.CHANGED, Kind.NEWS)
        await bob.ask(wire.Block(0, alice.user, True), wire.BlockOk)
        (gone,) = (await alice.expect(wire.Presence)).users
        assert (gone.online, gone.seen) == (False, None)


async def test_typing_crosses(url: str) -> None:
    async with two_nodes(url) as (one, other, _):
        alice, bob, conv = await pair(one, other)
        await alice.send(wire.Typing(conv, True))
        assert await bob.expect(wire.Typing) == wire.Typing(conv, True, alice.user)


async def test_devices_elsewhere_are_online(url: str) -> None:
    async with two_nodes(url) as (one, other, _):
        alice, _, _ = await pair(one, other)
        twin = await second_device(one, other, alice)
        found = (await alice.ask(wire.Devices(0), wire.DevicesOk)).devices
        assert {each.device: each.online for each in found} == {alice.device: True, twin.device: True}


async def test_who_missed_something_of_a_node_asks(url: str, quick: None) -> None:
    async with two_nodes(url) as (one, other, web):
        web.cut(Kind.SERVES)
        bob = await other.person("bob")
        await until(lambda: users(one) == 1)
        assert (Kind.WHOLE, 2, 1) in web.sent
        await bob.stream.aclose()
        await until(lambda: users(one) == 0)


async def test_two_clusters_on_one_prefix_are_told(url: str, cluster: Postgres) -> None:
    web = Web()
    with capture_logs() as lines:
        async with node(url, web) as one, node(cluster.place(), web):
            await until(lambda: len(lines) >= 2)
            assert known(one) == set()
            assert one.server.cluster is not None
            assert any("prefix" in line for line in one.server.cluster.troubles())
    assert "bus.prefix" in next(line["todo"] for line in lines if line["log_level"] == "error")


async def test_a_log_names_nodes_that_come_stop_and_fall_silent(
    url: str, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the machine they are on; one that is heard after a silence is told, too."""
    monkeypatch.setattr(limits, "NODE_SILENT_SECONDS", 0.5)
    here = {"node": f"{2:014x}", "host": socket.gethostname()}

    def told(event: str) -> int:
        return sum(here.items() <= line.items() for line in lines if line["event"] == event)

    web = Web()
    with capture_logs() as lines:
        async with node(url, web):
            async with node(url, web):
                await until(lambda: told("a node is heard") == 1)
                web.cut()
                await until(lambda: told("a node is silent") == 1)
                web.mend()
                await until(lambda: told("a node is heard") == 2)
            await until(lambda: told("a node has stopped") == 1)


async def test_clocks_that_differ_are_told(url: str, quick: None) -> None:
    web = Web()
    late = attrs.evolve(REAL, now_ms=lambda: REAL.now_ms() - 60_000)
    async with node(url, web) as one, node(url, web, late) as other:
        assert one.server.cluster is not None
        assert other.server.cluster is not None
        of_one, of_other = one.server.cluster.troubles, other.server.cluster.troubles
        await until(lambda: any("behind this one" in line for line in of_one()))
        await until(lambda: any("ahead of this one" in line for line in of_other()))


async def test_an_operator_who_asks_is_told_how_the_nodes_are(url: str, quick: None) -> None:
    """By each of them, whatever else is on the bus; and whoever asks is no node for them."""
    async with two_nodes(url) as (one, other, web):
        await one.person("alice")
        await until(lambda: users(other) == 1)
        line = web.line()
        line.hear(msgpack.packb((Kind.STANDS, 9)))
        first, second = await ask(line, REAL.now_ms, 2.0)
        assert (first.node, second.node) == (1, 2)
        assert first.epoch == second.epoch == one.server.store.epoch
        assert (first.about["users"], second.about["users"]) == (1, 0)
        assert (first.about["connections"], first.about["draining"]) == (1, False)
        assert first.heard == (Heard(2, first.heard[0].age_ms, first.heard[0].ahead_ms),)
        assert abs(first.ahead_ms) < limits.CLOCK_MS
        assert first.troubles == ()
        assert known(one) == {2}


async def test_a_bus_that_is_away_is_told(url: str) -> None:
    web = Web()
    async with node(url, web) as one:
        web.lines[0].trouble = "NATS cannot be reached"
        assert one.server.cluster is not None
        assert one.server.cluster.troubles() == ["NATS cannot be reached"]


async def test_a_pass_reads_nothing_of_what_concerns_nobody_here(
    url: str, no_pass: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither rows nor members, once it knows who is in it; and it notices when somebody here is added."""
    async with two_nodes(url) as (one, other, web):
        alice, bob, carol = await one.person("alice"), await one.person("bob"), await other.person("carol")
        web.cut()
        conv = await one.group(alice, bob)
        read: list[int] = []
        real = offering.offer

        async def offer(store: Store, hub: Hub, lagging: Mapping[int, tuple[int, int]]) -> None:
            read.extend(lagging)
            await real(store, hub, lagging)

        monkeypatch.setattr(offering, "offer", offer)
        await tending.one_pass(other.server.store, other.server.hub)
        assert conv in read
        read.clear()
        await alice.say(conv, "between the two of us")
        await tending.one_pass(other.server.store, other.server.hub)
        assert conv not in read
        added = await alice.ask(wire.MemberAdd(0, conv, os.urandom(8), (carol.user,)), wire.MemberAddOk)
        await tending.one_pass(other.server.store, other.server.hub)
        assert (await carol.expect(wire.Event)).seq == added.seq
        removed = await alice.ask(wire.MemberDel(0, conv, os.urandom(8), carol.user), wire.MemberDelOk)
        await tending.one_pass(other.server.store, other.server.hub)
        assert (await carol.expect(wire.Event)).seq == removed.seq
        read.clear()
        await alice.say(conv, "carol does not see this")
        await tending.one_pass(other.server.store, other.server.hub)
        assert conv not in read
        await carol.silence()


async def test_a_login_whose_connection_was_gone_puts_nobody_out(url: str, quick: None) -> None:
    """It commits late; its device has come to another node meanwhile and stays there."""
    async with two_nodes(url) as (one, other, _):
        alice, _, _ = await pair(one, other)
        late = await other.server.store.write(devices.issue_resume, alice.device, os.urandom(32), 2**62)
        assert late is not None
        await alice.silence(0.5)
        await alice.ask(wire.Devices(0), wire.DevicesOk)


async def test_another_cluster_on_the_bus_ends_nothing(url: str, no_pass: None) -> None:
    """Its devices and users may have the same numbers."""
    async with two_nodes(url) as (one, other, web):
        alice, _, _ = await pair(one, other)
        stranger = 77
        for message in ((Kind.REVOKED, stranger, [alice.device]), (Kind.LOGIN, stranger, alice.user, alice.device, 99)):
            web.lines[0].hear(msgpack.packb(message))
        await alice.silence()
        web.lines[0].hear(msgpack.packb((Kind.REVOKED, 2, [alice.device])))
        assert await alice.closed() == wire.errors.DEVICE_REVOKED

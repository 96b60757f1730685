"""Presence and typing through sockets: who is told what, when, and who is not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.server.rig import PATIENCE, Client, Rig, serving
from tests.transcripts.people import narrow, stalled
from wirechat import wire
from wirechat.store.features import accounts, presence
from wirechat.store.tx import Tx

NOBODY = 424_242


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second lasts 50 ms."""
    monkeypatch.setattr("wirechat.server.limits.SWEEP_SECONDS", 0.05)


async def watch(client: Client, *users: int) -> list[wire.Status]:
    return list((await client.ask(wire.PresenceSub(0, users), wire.PresenceSubOk)).users)


async def told(client: Client) -> wire.Status:
    """The one status of the next push."""
    (status,) = (await client.expect(wire.Presence)).users
    return status


async def change(rig: Rig, user: int, sql: str, *args: Any) -> None:
    """Something about this user is others now, and the server knows."""

    async def run(tx: Tx) -> None:
        await tx.execute(sql, *args)

    await rig.server.store.write(run)
    rig.server.changed(user)


async def seen_of(rig: Rig, user: int) -> int | None:
    async def read(tx: Tx) -> Any:
        return await tx.fetchrow("SELECT seen FROM account WHERE user_id = $1", user)

    return (await rig.server.store.read(read))[0]


async def gone(rig: Rig, client: Client) -> None:
    """The connection ends, and the server has noticed."""
    await client.stream.aclose()
    with trio.fail_after(10):
        while any(each.device == client.device for each in rig.server.hub.sessions()):  # noqa: ASYNC110
            await trio.sleep(0.01)


async def test_p9_strangers_are_like_who_does_not_exist(tmp_path: Path) -> None:
    """[13-17], [13-18]: one for each user asked for, in that order; of strangers offline and nothing else."""
    async with serving(tmp_path) as rig:
        alice, bob, eve = await rig.person("alice"), await rig.person("bob"), await rig.person("eve")
        await rig.group(alice, bob)
        await change(rig, eve.user, "UPDATE account SET seen = 60000, rev = 3 WHERE user_id = $1", eve.user)
        asked = (eve.user, bob.user, NOBODY, bob.user)
        there = wire.Status(bob.user, True)
        assert await watch(alice, *asked) == [wire.Status(eve.user, False), there, wire.Status(NOBODY, False), there]
        assert await watch(eve, alice.user) == [wire.Status(alice.user, False)]
        await gone(rig, eve)
        await rig.again(eve)
        await alice.silence()


async def test_13_19_who_comes_and_goes_is_told(tmp_path: Path) -> None:
    """Somebody looks at one of his devices, or at none, and then since when in whole minutes."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        await rig.group(alice, bob)
        assert await watch(alice, bob.user) == [wire.Status(bob.user, True)]
        await bob.send(wire.State(False))
        status = await told(alice)
        now = rig.server.world.now_ms()
        assert (status.user, status.online, status.rev) == (bob.user, False, 0)
        assert status.seen is not None
        assert status.seen % 60_000 == 0
        assert 0 <= now - status.seen < 61_000
        await bob.send(wire.State(True))
        assert await told(alice) == wire.Status(bob.user, True)
        await gone(rig, bob)
        assert not (await told(alice)).online
        back = await rig.again(bob)
        assert await told(alice) == wire.Status(back.user, True)


async def test_13_16_who_says_before_the_login_that_nobody_looks_is_not_there(tmp_path: Path) -> None:
    """A device that comes back in somebody's pocket."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        await rig.group(alice, bob)
        await gone(rig, bob)
        await watch(alice, bob.user)
        back = await rig.greeted()
        back.key, back.device, back.user = bob.key, bob.device, bob.user
        await back.send(wire.State(False))
        await back.login()
        await alice.silence()
        await back.send(wire.State(True))
        assert await told(alice) == wire.Status(bob.user, True)


async def test_13_19_only_the_latest_counts(tmp_path: Path) -> None:
    """Whoever is back before anybody was told has not been away."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        await rig.group(alice, bob)
        await watch(alice, bob.user)
        await bob.send(*[wire.State(bool(number % 2)) for number in range(100)])
        await alice.silence()


async def test_p6_nobody_is_told_who_does_not_look_or_does_not_read(tmp_path: Path) -> None:
    """[13-19]: nothing waits for him; when he looks again he is told how it is then."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        await watch(alice, bob.user)
        await alice.send(wire.State(False))
        await bob.send(wire.State(False))
        await alice.silence()
        await alice.send(wire.State(True))
        assert not (await told(alice)).online
        slow = await narrow(rig, alice)
        await watch(slow, bob.user)
        await stalled(rig, slow, bob, conv)
        (connection,) = [each for each in rig.server.connections if each.session and each.session.user == alice.user]
        waiting = len(connection.outbox._waiting)
        await bob.send(wire.State(True), wire.Typing(conv, True))
        await trio.sleep(0.3)
        assert len(connection.outbox._waiting) == waiting
        assert (await slow.expect(wire.Presence)).users == (wire.Status(bob.user, True),)


@pytest.mark.parametrize(
    ("hide", "show"),
    [
        ("INSERT INTO block (user_id, blocked) VALUES ($1, $2)", "DELETE FROM block"),
        ("UPDATE account SET audience = 2 WHERE user_id = $1 AND $2 > 0", "UPDATE account SET audience = 1"),
    ],
)
async def test_13_18_a_block_or_another_audience_counts_at_once(tmp_path: Path, hide: str, show: str) -> None:
    """For both of them, whichever of the two it was; each sees the other as if he did not exist."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        await rig.group(alice, bob)
        await watch(alice, bob.user)
        await watch(bob, alice.user)
        await change(rig, alice.user, hide, alice.user, bob.user)
        assert await told(alice) == wire.Status(bob.user, False)
        assert await told(bob) == wire.Status(alice.user, False)
        assert await watch(bob, alice.user) == [wire.Status(alice.user, False)]
        await bob.send(wire.State(False))
        await alice.silence()
        await bob.send(wire.State(True))
        await change(rig, alice.user, show)
        assert await told(alice) == wire.Status(bob.user, True)
        assert await told(bob) == wire.Status(alice.user, True)


async def test_13_18_a_block_counts_although_who_asked_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """P9: her connection ends while the disk is slow; asking again on the next one would change nothing more."""
    async with serving(tmp_path) as rig:
        ada, bob = await rig.person("ada"), await rig.person("bob")
        await ada.ask(wire.ConvNew(0, os.urandom(8), 1, (bob.user,)), wire.ConvNewOk)
        assert (await watch(bob, ada.user))[0].online
        held: list[Any] = []
        append = rig.server.store.start_append
        monkeypatch.setattr(rig.server.store, "start_append", lambda *args: held.append(args))
        await ada.send(wire.Block(99, bob.user, True))
        with trio.fail_after(10):
            while not held:  # noqa: ASYNC110
                await trio.sleep(0.01)
            (hers,) = (each for each in rig.server.connections if each.session and each.session.user == ada.user)
            hers.nursery.cancel_scope.cancel()
            while hers in rig.server.connections:  # noqa: ASYNC110
                await trio.sleep(0.01)
            append(*held[0])
            while await told(bob) != wire.Status(ada.user, False):
                pass


async def test_13_18_who_shares_no_conversation_any_more_is_not_told(tmp_path: Path) -> None:
    """P9: after a removal neither sees the other; after a new conversation both do."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        await watch(alice, bob.user)
        await watch(bob, alice.user)
        await alice.ask(wire.MemberDel(0, conv, os.urandom(8), bob.user), wire.MemberDelOk)
        assert await told(alice) == wire.Status(bob.user, False)
        assert await told(bob) == wire.Status(alice.user, False)
        await bob.send(wire.State(False))
        await alice.silence()
        await bob.send(wire.State(True))
        await alice.ask(wire.ConvNew(0, os.urandom(8), 1, (bob.user,)), wire.ConvNewOk)
        assert await told(alice) == wire.Status(bob.user, True)
        assert await told(bob) == wire.Status(alice.user, True)


async def test_13_18_what_another_node_changed_counts_after_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read again before the next push, unless that is fresh."""
    monkeypatch.setattr("wirechat.server.limits.VISIBLE_SECONDS", 0.0)
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        await rig.group(alice, bob)
        await watch(alice, bob.user)
        await trio.sleep(0.2)
        monkeypatch.setattr(rig.server, "changed", lambda user: None)
        await change(rig, bob.user, "INSERT INTO block (user_id, blocked) VALUES ($1, $2)", bob.user, alice.user)
        await alice.silence()
        await bob.send(wire.State(False))
        assert await told(alice) == wire.Status(bob.user, False)


async def test_many_who_must_be_looked_at_again_are_not_told_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second has room for as many as can be read in a part of it (256 were the most, and a team of 500 that watched
    each other waited for a minute).
    """
    monkeypatch.setattr("wirechat.server.limits.DOUBT_SECONDS", 10.0)
    async with serving(tmp_path) as rig:
        alice, bob, carol = [await rig.person(name) for name in ("alice", "bob", "carol")]
        await rig.group(alice, bob)
        for each in (carol, alice):
            await watch(each, *range(NOBODY, NOBODY + wire.limits.WATCHED - 1), bob.user)
        await trio.sleep(0.2)
        monkeypatch.setattr("wirechat.server.limits.SWEEP_SECONDS", 1000.0)
        await trio.sleep(0.2)
        rig.server.changed(carol.user)
        rig.server.changed(alice.user)
        await bob.send(wire.State(False), wire.Ping(1))
        await bob.expect(wire.Pong)
        await rig.server.presence.sweep()
        status = await told(alice)
        assert (status.user, status.online) == (bob.user, False)


async def test_p9_what_changes_while_a_watch_begins_is_not_missed(tmp_path: Path) -> None:
    """The block is taken in after it was read who may be seen and before the answer: the answer may be older than it,
    what follows is not.
    """
    held: list[trio.Event] = []
    has_read = trio.Event()

    class Slow(Relay):
        async def read(self, f: Any, *args: Any) -> Any:
            found = await self.store.read(f, *args)
            if f is presence.visible and held:
                has_read.set()
                await held[0].wait()
            return found

    async with serving(tmp_path, store=Slow) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        await rig.group(alice, bob)
        await trio.sleep(0.2)  # the new group has been taken in
        held.append(trio.Event())
        await alice.send(wire.PresenceSub(900, (bob.user,)))
        with trio.fail_after(PATIENCE):
            await has_read.wait()
        release, held[:] = held[0], []
        await change(rig, bob.user, "INSERT INTO block (user_id, blocked) VALUES ($1, $2)", bob.user, alice.user)
        await trio.sleep(0.2)
        release.set()
        await alice.expect(wire.PresenceSubOk)
        assert await told(alice) == wire.Status(bob.user, False)
        await bob.send(wire.State(False))
        await alice.silence()


class Relay:
    """A store behind a store."""

    def __init__(self, store: Any) -> None:
        self.store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


async def test_13_19_another_profile_is_told_by_its_rev(tmp_path: Path) -> None:
    """So that the client asks for it."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        await rig.group(alice, bob)
        await watch(alice, bob.user)
        await change(rig, bob.user, "UPDATE account SET rev = rev + 1 WHERE user_id = $1", bob.user)
        assert await told(alice) == wire.Status(bob.user, True, None, 1)


async def test_13_15_a_new_set_replaces_the_old_one(tmp_path: Path) -> None:
    """And the end of the connection ends it: nothing is kept."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        await rig.group(alice, bob)
        await watch(alice, bob.user, NOBODY)
        assert await watch(alice) == []
        await bob.send(wire.State(False))
        await alice.silence()
        await watch(alice, bob.user, NOBODY)
        await gone(rig, alice)
        with trio.fail_after(10):
            while rig.server.presence._watches or rig.server.presence._watched:  # noqa: ASYNC110
                await trio.sleep(0.01)


async def test_13_20_when_somebody_was_last_there_outlives_the_server(tmp_path: Path) -> None:
    """It is written within seconds, and when the server stops."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        await rig.group(alice, bob)
        await bob.send(wire.State(False))
        with trio.fail_after(10):
            while (seen := await seen_of(rig, bob.user)) is None:  # noqa: ASYNC110
                await trio.sleep(0.02)
        assert seen % 60_000 == 0
        assert await watch(alice, bob.user) == [wire.Status(bob.user, False, seen)]
        rig.stop.set()
        await alice.closed()
        with trio.fail_after(10):
            while await seen_of(rig, alice.user) is None:  # noqa: ASYNC110
                await trio.sleep(0.02)


async def test_13_20_who_leaves_again_while_it_is_written_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The later minute counts, and is not forgotten with the earlier one."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        left, write = rig.server.presence._left, rig.server.store.write

        async def slow(feature: Any, *args: Any) -> Any:
            done = await write(feature, *args)
            if feature is presence.saw and left.get(alice.user) == 60_000:
                left[alice.user] = 120_000
            return done

        monkeypatch.setattr(rig.server.store, "write", slow)
        left[alice.user] = 60_000
        with trio.fail_after(10):
            while await seen_of(rig, alice.user) != 120_000:  # noqa: ASYNC110
                await trio.sleep(0.02)
            while left:  # noqa: ASYNC110
                await trio.sleep(0.02)


# typing


async def typed(client: Client) -> tuple[int, bool, int | None]:
    message = await client.expect(wire.Typing)
    return message.conv, message.on, message.user


async def test_13_22_the_other_members_who_look_are_told(tmp_path: Path) -> None:
    """With the user; not his own other devices, nobody who does not look, no outsider and no former member (P9)."""
    async with serving(tmp_path) as rig:
        names = ("alice", "bob", "carol", "dave", "eve")
        alice, bob, carol, dave, eve = [await rig.person(name) for name in names]
        conv = await rig.group(alice, bob, carol, dave)
        await alice.ask(wire.MemberDel(0, conv, os.urandom(8), dave.user), wire.MemberDelOk)
        for client in (bob, carol, dave):
            await client.expect(wire.Event, lambda event: event.kind == wire.EntryKind.REMOVE)
        await carol.send(wire.State(False), wire.Ping(1))
        await carol.expect(wire.Pong)
        await alice.send(wire.Typing(conv, True, NOBODY))
        assert await typed(bob) == (conv, True, alice.user)
        for client in (eve, dave):
            await client.send(wire.Typing(conv, True), wire.Typing(NOBODY, True))
        await bob.send(wire.Typing(conv, False))
        assert await typed(alice) == (conv, False, bob.user)
        for client in (alice, bob, carol, dave, eve):
            await client.silence(0.1)


async def test_13_22_also_when_the_members_must_be_read(tmp_path: Path) -> None:
    """After a restart the server has forgotten who is in; outsiders do not make it remember."""
    async with serving(tmp_path) as rig:
        alice, bob, eve = await rig.person("alice"), await rig.person("bob"), await rig.person("eve")
        conv = await rig.group(alice, bob)
        rig.server.hub._members.clear()
        await eve.send(wire.Typing(conv, True), wire.Typing(NOBODY, True), wire.Ping(1))
        await eve.expect(wire.Pong)
        await trio.sleep(0.1)
        assert not rig.server.hub._members
        await alice.send(wire.Typing(conv, True))
        assert await typed(bob) == (conv, True, alice.user)


async def test_13_22_not_too_often(tmp_path: Path) -> None:
    """What says the same again within 2.5 s is dropped; what says something else is not."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        other = await rig.group(alice, bob)
        await alice.send(wire.Typing(conv, True))
        assert await typed(bob) == (conv, True, alice.user)
        await alice.send(*[wire.Typing(conv, on) for on in (True, True, False, False, True)], wire.Typing(other, True))
        found = [await typed(bob) for _ in range(3)]
        assert sorted(found) == sorted([(conv, False, alice.user), (conv, True, alice.user), (other, True, alice.user)])
        await bob.silence()


async def test_13_22_not_between_those_who_are_blocked(tmp_path: Path) -> None:
    """Whoever of the two blocks; the others in the group are told. It counts at once, and no longer than it is so."""
    async with serving(tmp_path) as rig:
        alice, bob, carol = await rig.person("alice"), await rig.person("bob"), await rig.person("carol")
        conv = await rig.group(alice, bob, carol)
        await alice.send(wire.Typing(conv, True))
        assert [await typed(client) for client in (bob, carol)] == [(conv, True, alice.user)] * 2
        await change(rig, bob.user, "INSERT INTO block (user_id, blocked) VALUES ($1, $2)", bob.user, alice.user)
        await alice.send(wire.Typing(conv, False))
        assert await typed(carol) == (conv, False, alice.user)
        await bob.send(wire.Typing(conv, True))
        assert await typed(carol) == (conv, True, bob.user)
        for client in (alice, bob):
            await client.silence(0.1)
        await change(rig, bob.user, "DELETE FROM block")
        await alice.send(wire.Typing(conv, True))
        assert await typed(bob) == (conv, True, alice.user)


async def test_13_22_not_in_large_groups(tmp_path: Path) -> None:
    """Above limits.typing_members."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        users = tuple(range(100_000, 100_000 + wire.limits.TYPING_MEMBERS - 1))
        for user in users:
            assert await rig.server.store.write(accounts.create, user, f"u{user}", None, None, 0) is None
        await alice.ask(wire.MemberAdd(0, conv, os.urandom(8), users[:-1]), wire.MemberAddOk)
        await bob.expect(wire.Event)
        await alice.send(wire.Typing(conv, True))
        assert await typed(bob) == (conv, True, alice.user)
        await alice.ask(wire.MemberAdd(0, conv, os.urandom(8), users[-1:]), wire.MemberAddOk)
        await bob.expect(wire.Event)
        await alice.send(wire.Typing(conv, False))
        await bob.silence()


async def test_p10_who_never_stops_typing_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1008, like everything that never stops; what is too much before that goes to nobody."""
    monkeypatch.setattr("wirechat.server.limits.SWEEP_SECONDS", 60.0)
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        await alice.send(*[wire.Typing(conv, bool(number % 2)) for number in range(1000)])
        assert await alice.closed() == wire.errors.FLOOD
        await bob.send(wire.Ping(1))
        await bob.expect(wire.Pong)
        assert sum(isinstance(message, wire.Typing) for message in bob.seen) <= wire.limits.REQUESTS_BURST // 20

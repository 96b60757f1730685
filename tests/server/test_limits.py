"""The limits an operator may set, and change under a running server: what a connection was told holds until its end."""

from __future__ import annotations

import os
from pathlib import Path

import attrs

from tests.server.rig import Client, serving
from wirechat import wire
from wirechat.server.config import Config, Limits


def config(**limits: int) -> Config:
    return Config(grease=0, limits=Limits(**limits))


def text(conv: int, size: int, cid: bytes) -> wire.Send:
    return wire.Send(0, conv, cid, 1, wire.Content(1, "x" * size))


async def test_welcome_tells_them(tmp_path: Path) -> None:
    """[7-7]: each in its place."""
    lower = config(text_bytes=300, inflight=5, heartbeat_ms=7000, window=9, members=3, page=2)
    async with serving(tmp_path, lower) as rig:
        told = (await rig.greeted()).welcome.limits
        assert told == wire.Limits(65536, 300, 5, 7000, 9, 3, 2, 64)


async def test_they_hold(tmp_path: Path) -> None:
    """3003, 4007, a short page, a small window, 5002."""
    async with serving(tmp_path, config(text_bytes=300, inflight=5, window=9, members=2, page=2)) as rig:
        alice, bob, carol = [await rig.person(name, 200) for name in ("alice", "bob", "carol")]
        conv = await rig.group(alice, bob)
        assert await alice.refused(text(conv, 301, os.urandom(8))) == 3003
        assert await alice.refused(wire.ConvNew(0, os.urandom(8), 2, (bob.user, carol.user), "three")) == 4007
        assert await alice.refused(wire.MemberAdd(0, conv, os.urandom(8), (carol.user,))) == 4007
        for _ in range(3):
            await alice.ask(text(conv, 300, os.urandom(8)), wire.SendOk)
        page = await bob.ask(wire.History(0, conv), wire.HistoryOk)
        assert len(page.records) == 2
        assert all(session.window == 9 for session in rig.server.hub.sessions())
        await alice.send(*[attrs.evolve(text(conv, 1, os.urandom(8)), rid=rid) for rid in range(1000, 1012)])
        codes = [getattr(await alice.expect(wire.Message, answers), "code", 0) for _ in range(12)]
        assert codes.count(5002) == 7


def answers(message: wire.Message) -> bool:
    return getattr(message, "rid", None) is not None


async def test_a_change_holds_for_those_who_come_later(tmp_path: Path) -> None:
    """[7-7]: WELCOME's limits hold for this connection."""
    async with serving(tmp_path, config()) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        rig.server.config.limits = Limits(text_bytes=300)
        assert (await alice.say(conv, "x" * 16384)).seq == 2
        later = await rig.again(alice)
        assert later.welcome.limits.text_bytes == 300
        assert await later.refused(text(conv, 301, os.urandom(8))) == 3003


async def test_p2_a_lower_limit_does_not_change_what_was_done(tmp_path: Path) -> None:
    """P2: the same cid gets the same seq, whatever the limits are by now."""
    async with serving(tmp_path, config()) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        long, large = text(conv, 5000, b"long....."[:8]), wire.ConvNew(0, b"large...", 2, (bob.user,), "two")
        first = await alice.ask(long, wire.SendOk)
        made = await alice.ask(large, wire.ConvNewOk)
        rig.server.config.limits = Limits(text_bytes=300, members=1)
        later = await rig.again(alice)
        again = await later.ask(long, wire.SendOk)
        assert (again.seq, again.dup) == (first.seq, True)
        assert (await later.ask(large, wire.ConvNewOk)).conv == made.conv


async def test_strangers_and_connections_are_bounded(tmp_path: Path) -> None:
    """Who is too much is closed at once; room is made by who leaves, or by the operator."""
    async with serving(tmp_path, config(unknown_connections=1, connections=3)) as rig:
        alice = await rig.person("alice")
        stranger = await rig.greeted()
        assert await Client(await rig.stream()).closed() is None
        rig.server.config.limits = Limits(unknown_connections=5, connections=3)
        second = await rig.greeted()
        assert await Client(await rig.stream()).closed() is None
        for client in (alice, stranger, second):
            await client.send(wire.Ping(1))
            await client.expect(wire.Pong)


async def test_logins_at_once_follow_the_operator(tmp_path: Path) -> None:
    """More cores may be given to Argon2id while the server runs; what is beyond the queue is refused with 5000."""
    async with serving(tmp_path, config(logins_waiting=1)) as rig:
        client = await rig.greeted()
        await client.ask(wire.Register(0, "alice", 1, b"correct horse"), wire.RegisterOk)
        rig.server.config.limits = Limits(logins_at_once=3)
        await client.ask(wire.Auth(0, 1, "alice", proof=b"correct horse"), wire.AuthOk)
        passwords = rig.server.dispatcher.table[wire.Auth].call.__self__._passwords
        assert passwords._limiter.total_tokens == 3

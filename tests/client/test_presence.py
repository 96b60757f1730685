"""Presence and typing, over a scripted server."""

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from tests.client.conftest import Opened
from tests.client.stage import OTHER, Peer, Stage, entry, first, meet, row
from wirechat import wire
from wirechat.client import PresenceChanged, Refused, TypingChanged

CONV = 5


def there(user: int = OTHER, rev: int = 0) -> wire.Status:
    return wire.Status(user, True, None, rev)


def away(user: int = OTHER, seen: int | None = 60_000) -> wire.Status:
    return wire.Status(user, False, seen)


async def test_watching_says_how_it_is_and_what_changes(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """[13-15], [13-19]: also on every later connection, without being asked; what was told before is void."""
    async with meet(stage, opened()) as (client, peer), trio.open_nursery() as nursery:
        feed = client.events()

        async def server() -> None:
            asked = await peer.expect(wire.PresenceSub)
            assert asked.users == (OTHER, 9)
            peer.say(wire.PresenceSubOk(asked.rid, (there(), wire.Status(9, False))))

        nursery.start_soon(server)
        assert await client.presence.watch([OTHER, 9, OTHER]) == {OTHER: there(), 9: wire.Status(9, False)}
        assert (await first(feed, PresenceChanged)).statuses == (there(), wire.Status(9, False))
        peer.say(wire.Presence((away(),)))
        assert (await first(feed, PresenceChanged)).statuses == (away(),)
        assert client.presence.get(OTHER) == away()
        peer.say(wire.Presence((away(), there(77))))  # no news, and nobody one watches
        peer.abort()
        again = await stage.connection()
        assert client.presence.get(OTHER) is None
        await again.login()
        sync = await again.expect(wire.Sync)
        asked = await again.expect(wire.PresenceSub)
        assert asked.users == (OTHER, 9)
        again.say(wire.SyncOk(sync.rid, 1, (), None, b"H2"), wire.PresenceSubOk(asked.rid, (there(), away(9))))
        assert (await first(feed, PresenceChanged)).statuses == (there(), away(9))


async def test_p12_a_server_that_cannot_is_asked_again(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    """5000 on a later connection, which nobody waits for; and not when the server does not know presence at all."""
    async with meet(stage, opened()) as (client, peer), trio.open_nursery() as nursery:

        async def server() -> None:
            asked = await peer.expect(wire.PresenceSub)
            peer.say(wire.PresenceSubOk(asked.rid, (there(),)))

        nursery.start_soon(server)
        await client.presence.watch([OTHER])
        feed = client.events()
        peer.abort()
        again = await stage.connection()
        await again.synced()
        start = trio.current_time()
        asked = await again.expect(wire.PresenceSub)
        again.say(wire.Error(asked.rid, code=5000, retry_ms=2000))
        asked = await again.expect(wire.PresenceSub)
        assert trio.current_time() >= start + 2
        again.say(wire.PresenceSubOk(asked.rid, (there(),)))
        assert (await first(feed, PresenceChanged)).statuses == (there(),)
        again.abort()
        old = await stage.connection()
        await old.synced()
        asked = await old.expect(wire.PresenceSub)
        old.say(wire.Error(asked.rid, code=3001))
        await trio.sleep(10)
        assert len(old.heard(wire.PresenceSub)) == 1


async def test_of_two_calls_the_later_one_holds(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    """Also when the earlier one has to be repeated."""
    async with meet(stage, opened()) as (client, peer), trio.open_nursery() as nursery:
        nursery.start_soon(client.presence.watch, [9])
        assert (await peer.expect(wire.PresenceSub)).users == (9,)
        nursery.start_soon(client.presence.watch, [OTHER])
        peer.abort()
        again = await stage.connection()
        await again.login()
        sync = await again.expect(wire.Sync)
        again.say(wire.SyncOk(sync.rid, 1, (), None, b"H2"))
        while (asked := await again.expect(wire.PresenceSub)).users == (9,):
            again.say(wire.PresenceSubOk(asked.rid, (there(9),)))
        assert asked.users == (OTHER,)
        again.say(wire.PresenceSubOk(asked.rid, (there(),)))
        await trio.sleep(10)
        assert again.heard(wire.PresenceSub)[-1].users == (OTHER,)
        assert (client.presence.get(9), client.presence.get(OTHER)) == (None, there())


async def test_watching_nobody_is_not_repeated(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    async with meet(stage, opened()) as (client, peer), trio.open_nursery() as nursery:

        async def server() -> None:
            for users in ((OTHER,), ()):
                asked = await peer.expect(wire.PresenceSub)
                assert asked.users == users
                peer.say(wire.PresenceSubOk(asked.rid, tuple(there(user) for user in users)))

        nursery.start_soon(server)
        await client.presence.watch([OTHER])
        assert await client.presence.watch([]) == {}
        assert client.presence.get(OTHER) is None
        peer.abort()
        again = await stage.connection()
        await again.synced()
        await client.synced()
        assert again.heard(wire.PresenceSub) == []


async def test_p12_too_many_are_refused_here(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    """A frame that is too long would cost every later connection."""
    async with meet(stage, opened()) as (client, peer):
        with pytest.raises(Refused):
            await client.presence.watch(range(1, 258))
        peer.abort()
        again = await stage.connection()
        await again.synced()
        await client.synced()
        assert again.heard(wire.PresenceSub) == []


async def test_13_21_a_newer_profile_is_asked_for(
    autojump_clock: MockClock, stage: Stage, opened: Opened, tmp_path: Path
) -> None:
    """Of users in the cache only, and only when it is newer."""
    async with meet(stage, opened(cache=tmp_path / "cache")) as (client, peer), trio.open_nursery() as nursery:

        async def server() -> None:
            asked = await peer.expect(wire.UserGet)
            peer.say(wire.UserGetOk(asked.rid, (wire.User(OTHER, "bob", "Bob", None, 1),)))
            sub = await peer.expect(wire.PresenceSub)
            peer.say(wire.PresenceSubOk(sub.rid, (there(OTHER, 1), there(9, 5))))
            peer.say(wire.Presence((there(OTHER, 2),)))
            asked = await peer.expect(wire.UserGet)
            assert asked.users == (OTHER,)
            peer.say(wire.UserGetOk(asked.rid, (wire.User(OTHER, "bob", "Robert", None, 2),)))

        nursery.start_soon(server)
        await client.accounts.get([OTHER])
        await client.presence.watch([OTHER, 9])
        await trio.sleep(1)
        assert (await client.accounts.get([OTHER]))[OTHER].name == "Robert"


async def test_13_16_whether_somebody_looks_is_told_on_every_connection(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    async with meet(stage, opened()) as (client, peer):
        client.presence.active(True)
        client.presence.active(False)
        assert (await peer.expect(wire.State)).active is False
        peer.abort()
        again = await stage.connection()
        await again.synced()
        assert (await again.expect(wire.State)).active is False
        client.presence.active(True)
        assert (await again.expect(wire.State)).active is True


async def heard_typing(peer: Peer) -> list[tuple[int, bool]]:
    await trio.sleep(0.1)
    return [(message.conv, message.on) for message in peer.heard(wire.Typing)]


async def test_13_22_typing_is_said_as_often_as_it_makes_sense(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """At most every 3 s, unless it is something else; again after a message was sent; nowhere else."""
    async with meet(stage, opened(), row(CONV, 0)) as (client, peer):
        await client.synced()
        client.presence.typing(CONV, on=False)
        client.presence.typing(77)
        for _ in range(60):
            client.presence.typing(CONV)
            await trio.sleep(0.1)
        assert await heard_typing(peer) == [(CONV, True)] * 2
        client.presence.typing(CONV, on=False)
        client.presence.typing(CONV, on=False)
        client.presence.typing(CONV)
        assert await heard_typing(peer) == [(CONV, True)] * 2 + [(CONV, False), (CONV, True)]
        await client.messages.send_soon(CONV, "hello")
        client.presence.typing(CONV)
        assert len(await heard_typing(peer)) == 5
        peer.abort()
        await trio.lowlevel.checkpoint()
        client.presence.typing(CONV)  # lost


async def test_13_23_who_types_counts_until_something_ends_it(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """6 s after the last time it was said, TYPING without on, a message of his, or the end of the connection."""
    async with meet(stage, opened(), row(CONV, 0)) as (client, peer):
        await client.synced()
        feed = client.events()

        async def begins() -> None:
            peer.say(wire.Typing(CONV, True, OTHER))
            assert await first(feed, TypingChanged) == TypingChanged(CONV, OTHER, True)
            assert client.presence.typers(CONV) == (OTHER,)

        async def ends() -> None:
            assert await first(feed, TypingChanged) == TypingChanged(CONV, OTHER, False)
            assert client.presence.typers(CONV) == ()

        await begins()
        start = trio.current_time()
        await trio.sleep(3)
        peer.say(wire.Typing(CONV, True, OTHER), wire.Typing(CONV, True))
        await ends()
        assert trio.current_time() - start == pytest.approx(9, abs=0.1)
        await begins()
        peer.say(wire.Typing(CONV, False, 9), wire.Typing(CONV, False, OTHER), wire.Typing(CONV, False, OTHER))
        await ends()
        await begins()
        peer.say(entry(CONV, 1))
        await ends()
        await begins()
        peer.abort()
        await ends()

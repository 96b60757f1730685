"""Staying connected: login, its fallbacks, when to come back and when never (P6, P12)."""

from pathlib import Path
from typing import Any

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from trio.testing import MockClock

from tests.client.conftest import Opened
from tests.client.stage import DEVICE, LIMITS, ME, NONCE, Stage, entry, first, make_world, meet, row
from wirechat import wire
from wirechat.client import CacheError, Connected, ConnectionFailed, Disconnected, LoginFailed, MessageAdded, Resynced
from wirechat.client.backoff import MAX_SECONDS, Backoff
from wirechat.client.login import public_key
from wirechat.world import World

CONV = 5
SEED = bytes(range(32))


def highest() -> World:
    """A world whose jitter is always the most there may be."""
    world = make_world()
    return World(world.now_ms, world.random_bytes, lambda low, high: high, world.run_blocking)


# --- backoff


def test_backoff_is_full_jitter_below_a_doubling_ceiling() -> None:
    asked: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        asked.append((low, high))
        return high / 2

    backoff = Backoff(uniform)
    delays = [backoff.delay() for _ in range(10)]
    ceilings = [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert asked == [(0, ceiling) for ceiling in ceilings]
    assert delays == [ceiling / 2 for ceiling in ceilings]


def test_backoff_starts_over_after_a_minute_of_life() -> None:
    backoff = Backoff(lambda low, high: high)
    backoff.delay()
    backoff.lived(59)
    assert backoff.delay() == 1
    backoff.lived(60)
    assert backoff.delay() == 0.5


def test_backoff_survives_years_of_failures() -> None:
    backoff = Backoff(lambda low, high: high)
    assert [backoff.delay() for _ in range(5000)][-1] == MAX_SECONDS


# --- reconnecting


async def test_it_connects_for_ever(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    """The gaps between attempts are the ceilings, because this world's jitter is the most there may be."""
    stage.refuse = 9
    async with meet(stage, opened(world=highest()), row(CONV, 0)):
        gaps = [round(b - a, 3) for a, b in zip(stage.attempts, stage.attempts[1:], strict=False)]
        assert gaps == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]


async def test_goaway_decides_when_to_come_back(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    async with meet(stage, opened(world=highest()), row(CONV, 0)) as (client, peer):
        feed = client.events()
        peer.say(wire.Goaway(1, 7000, 5000))
        assert (await first(feed, Disconnected)).retry_seconds == 12


async def test_after_goaway_the_last_ack_is_said(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    """What is stored is acknowledged before the client leaves by itself."""
    async with meet(stage, opened(), row(CONV, 0)) as (client, peer):
        await client.synced()
        feed = client.events()
        peer.say(entry(CONV, 1), wire.Goaway(1, 0, 1000))
        await first(feed, Disconnected)
        assert [ack.n for ack in peer.heard(wire.Ack)] == [1]


async def test_after_goaway_nothing_new_is_asked_and_what_was_asked_is_awaited(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    async with meet(stage, opened(), row(CONV, 0)) as (client, peer):
        feed = client.events()
        handle = await client.messages.send_soon(CONV, "before")
        send = await peer.expect(wire.Send)
        peer.say(wire.Goaway(1, 0, 1000))
        await trio.sleep(1)
        with trio.move_on_after(1):
            await client.messages.send(6, "after")
        assert client.connected
        peer.say(wire.SendOk(send.rid, 1, 1))
        assert (await handle.wait()).seq == 1
        await first(feed, Disconnected)
        assert [message.conv for message in peer.heard(wire.Send)] == [CONV]
        assert not [refusal for refusal in peer.refused if refusal.startswith("SEND")]


@pytest.mark.parametrize("code", [2001, 2003])
async def test_final_refusals_of_a_login_are_raised_at_once(
    autojump_clock: MockClock, stage: Stage, opened: Opened, code: int
) -> None:
    """Trying the same again would lock the account, or never end."""

    async def server() -> None:
        peer = await stage.connection()
        await peer.greet()
        auth = await peer.expect(wire.Auth)
        peer.say(wire.Error(auth.rid, code=code))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        with pytest.raises(LoginFailed) as refusal:
            async with opened():
                raise AssertionError
        assert refusal.value.code == code
        assert len(stage.attempts) == 1


async def test_replaced_by_another_login_it_gives_up(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    """2007: coming back would throw the other one out, for ever."""
    async with meet(stage, opened(), row(CONV, 0)) as (client, peer):
        feed = client.events()
        handle = await client.messages.send_soon(CONV, "hello")
        await peer.expect(wire.Send)
        peer.say(wire.Error(code=2007))
        assert (await first(feed, Disconnected)).retry_seconds is None
        for attempt in (handle.wait, client.synced, feed.__anext__):
            with pytest.raises(LoginFailed):
                await attempt()
        with pytest.raises(LoginFailed):
            await client.messages.send(CONV, "more")
        await trio.sleep(1000)
        assert len(stage.attempts) == 1


async def lose(stage: Stage) -> None:
    """A login that breaks before the server has answered."""
    peer = await stage.connection()
    await peer.greet()
    await peer.expect(wire.Auth)
    peer.abort()


async def replace(stage: Stage) -> None:
    """A login whose session is replaced at once."""
    peer = await stage.connection()
    await peer.synced()
    peer.say(wire.Error(code=2007))
    peer.abort()


@pytest.mark.parametrize("lost", [1, 2])
async def test_7_28_each_login_that_was_never_answered_may_have_replaced_it_once(
    autojump_clock: MockClock, stage: Stage, opened: Opened, nursery: trio.Nursery, lost: int
) -> None:
    """It is alone, and its own login was done late; whoever replaces it more often than that is somebody else."""

    async def server() -> None:
        for _ in range(lost):
            await lose(stage)
        while True:
            await replace(stage)

    nursery.start_soon(server)
    async with opened() as client:
        await trio.sleep(1000)
        assert client.failure is not None
        assert client.failure.code == 2007
    assert len(stage.attempts) == 2 * lost + 1


async def test_7_28_a_login_that_took_too_long_was_never_answered(
    autojump_clock: MockClock, stage: Stage, opened: Opened, nursery: trio.Nursery
) -> None:
    async def server() -> None:
        silent = await stage.connection()
        await silent.greet()
        await replace(stage)
        await (await stage.connection()).synced()

    nursery.start_soon(server)
    async with opened() as client:
        await trio.sleep(50)
        assert client.failure is None
    assert len(stage.attempts) == 3


@pytest.mark.parametrize(("refused", "comes_back"), [(5, True), (6, False)])
async def test_7_28_a_login_of_more_than_a_minute_ago_is_no_excuse(
    autojump_clock: MockClock, stage: Stage, opened: Opened, nursery: trio.Nursery, refused: int, comes_back: bool
) -> None:
    """It comes in again after 31.5 s, or after 63.5."""

    async def server() -> None:
        await lose(stage)
        stage.refuse = refused
        while True:
            await replace(stage)

    nursery.start_soon(server)
    async with opened(world=highest()):
        await trio.sleep(1000)
    assert len(stage.attempts) == 1 + refused + 1 + comes_back


@pytest.mark.parametrize("rid", [None, 1])
async def test_7_28_a_login_that_was_refused_is_no_excuse(
    autojump_clock: MockClock, stage: Stage, opened: Opened, nursery: trio.Nursery, rid: int | None
) -> None:
    """By 5000, which is an answer; or by 2007, which ends the very connection."""

    async def server() -> None:
        peer = await stage.connection()
        await peer.greet()
        await peer.expect(wire.Auth)
        peer.say(wire.Error(rid, code=5000 if rid else 2007))
        if rid:
            await replace(stage)

    nursery.start_soon(server)
    with pytest.raises(LoginFailed):
        async with opened() as client:
            await client.messages.send(CONV, "nobody takes it")
    await trio.sleep(1000)
    assert len(stage.attempts) == (2 if rid else 1)


async def test_7_28_two_programs_with_one_device_do_not_replace_each_other_for_ever(
    autojump_clock: MockClock, stage: Stage, opened: Opened, nursery: trio.Nursery
) -> None:
    """Each has lost a login. A comes in; B does, A comes back; B comes back; A gives up."""

    async def server() -> None:
        await lose(stage)
        older = await stage.connection()
        await older.synced()
        await lose(stage)
        while True:
            newer = await stage.connection()
            await newer.synced()
            older.say(wire.Error(code=2007))
            older.abort()
            older = newer

    nursery.start_soon(server)
    async with opened() as one:
        await one.synced()
        async with opened() as other:
            await trio.sleep(30)
            assert one.failure is not None
            assert one.failure.code == 2007
            assert other.failure is None
    assert len(stage.attempts) == 6


async def test_the_last_words_of_a_server_count_when_nothing_can_be_sent_any_more(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """What is still unread says why the connection ends: after 2007 nobody fights for the device (7-23)."""
    async with meet(stage, opened(), row(CONV, 0)) as (client, peer):
        await client.synced()
        peer.deaf = True
        client.presence.typing(CONV)
        await trio.sleep(0.2)
        peer.say(wire.Error(code=2007))
        peer.abort()
        await trio.sleep(60)
        assert client.failure is not None
        assert client.failure.code == 2007


async def test_a_server_that_takes_nothing_any_more_is_left(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """Even if it does not close."""
    async with meet(stage, opened(), row(CONV, 0)) as (client, peer):
        await client.synced()
        peer.deaf = True
        client.presence.typing(CONV)
        await (await stage.connection()).login()


async def test_without_reconnect_the_first_failure_is_raised(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    stage.refuse = 1
    with pytest.raises(ConnectionFailed):
        async with opened(reconnect=False):
            raise AssertionError


async def test_a_known_device_starts_without_a_connection(
    autojump_clock: MockClock, stage: Stage, opened: Opened, tmp_path: Path
) -> None:
    path = tmp_path / "cache"
    async with meet(stage, opened(cache=path), row(CONV, 0)) as (client, peer):
        peer.say(entry(CONV, 1))
        await peer.expect(wire.Ack)
    stage.refuse = 1000
    async with opened(cache=path) as client:
        assert (client.user, client.device, client.connected) == (ME, DEVICE, False)
        assert client.log(CONV).pos == 1


async def test_a_server_that_never_answers_is_left(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    async def server() -> None:
        await stage.connection()
        peer = await stage.connection()
        await peer.synced()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        async with opened():
            assert stage.attempts[1] - stage.attempts[0] >= 30


# --- login


async def test_the_resume_token_goes_first_and_is_renewed(
    autojump_clock: MockClock, stage: Stage, opened: Opened, tmp_path: Path
) -> None:
    path = tmp_path / "cache"
    for expected, given in ((None, b"first"), (b"first", b"second"), (b"second", b"third")):
        async with meet(stage, opened(cache=path), row(CONV, 0), resume=given) as (_, peer):
            auth = peer.heard(wire.Auth)[0]
            if expected is None:
                assert (auth.method, auth.handle, auth.proof, auth.device) == (1, "ada", b"correct horse", None)
            else:
                assert (auth.method, auth.proof) == (4, expected)


@pytest.mark.parametrize("with_key", [True, False])
async def test_an_expired_token_falls_back_on_the_same_connection(
    autojump_clock: MockClock, stage: Stage, opened: Opened, tmp_path: Path, with_key: bool
) -> None:
    """2002: then the key, then the password, for the same device."""
    path = tmp_path / "cache"
    options: dict[str, Any] = {"cache": path, "device_key": SEED if with_key else None}
    async with meet(stage, opened(**options), row(CONV, 0)):
        pass

    async def server() -> None:
        peer = await stage.connection()
        await peer.greet()
        resume = await peer.expect(wire.Auth)
        peer.say(wire.Error(resume.rid, code=2002))
        auth = await peer.expect(wire.Auth)
        assert (auth.method, auth.device, auth.handle) == (3 if with_key else 1, DEVICE, "ada")
        peer.say(wire.AuthOk(auth.rid, ME, DEVICE, b"new", 1000))
        await peer.expect(wire.Sync)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        async with opened(cache=path):
            pass


async def test_an_unknown_key_falls_back_to_the_password(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """2001 for a key may mean that the server has lost it; the password registers it again."""

    async def server() -> None:
        peer = await stage.connection()
        await peer.greet()
        for method in (3, 1):
            auth = await peer.expect(wire.Auth)
            assert (auth.method, auth.device) == (method, DEVICE)
            peer.say(wire.Error(auth.rid, code=2001))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        with pytest.raises(LoginFailed):
            async with opened(device_key=SEED, device=DEVICE):
                raise AssertionError
    assert len(stage.attempts) == 1


async def test_an_expired_token_with_nothing_else_is_final(
    autojump_clock: MockClock, stage: Stage, opened: Opened, tmp_path: Path
) -> None:
    path = tmp_path / "cache"
    async with meet(stage, opened(cache=path), row(CONV, 0)):
        pass

    async def server() -> None:
        peer = await stage.connection()
        await peer.greet()
        resume = await peer.expect(wire.Auth)
        peer.say(wire.Error(resume.rid, code=2002))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        with pytest.raises(LoginFailed):
            async with opened(cache=path, password=None):
                raise AssertionError


@pytest.mark.parametrize("bindings", [(0,), (0, 1)])
@pytest.mark.parametrize("digest", [None, b"d" * 32])
async def test_a_device_key_signs_the_connection(
    autojump_clock: MockClock, stage: Stage, opened: Opened, bindings: tuple[int, ...], digest: bytes | None
) -> None:
    """The signature names the nonce, the device and, where the server offers it, the certificate it saw."""
    stage.digest = digest
    opening = opened(password=None, device_key=SEED, device=DEVICE)
    async with meet(stage, opening, row(CONV, 0), bindings=bindings) as (_, peer):
        auth = peer.heard(wire.Auth)[0]
        binding = 1 if digest is not None and 1 in bindings else 0
        assert (auth.method, auth.device, auth.binding) == (3, DEVICE, binding)
        signed = wire.auth.signed_bytes(NONCE, DEVICE, binding, digest if binding and digest else b"")
        Ed25519PrivateKey.from_private_bytes(SEED).public_key().verify(auth.proof, signed)


async def test_a_password_login_registers_the_key(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    async with meet(stage, opened(device_key=SEED, name="laptop"), row(CONV, 0)) as (_, peer):
        auth = peer.heard(wire.Auth)[0]
        assert (auth.method, auth.key, auth.name) == (1, public_key(SEED), "laptop")


async def test_no_password_where_the_server_takes_none(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    """2005 is known beforehand from WELCOME.methods: the password does not even leave."""

    async def server() -> None:
        peer = await stage.connection()
        await peer.greet(methods=(3, 4))
        with pytest.raises(trio.EndOfChannel):
            await peer.next()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(server)
        with pytest.raises(LoginFailed) as refusal:
            async with opened():
                raise AssertionError
        assert refusal.value.code == 2005


async def test_a_cache_serves_one_account(
    autojump_clock: MockClock, stage: Stage, opened: Opened, tmp_path: Path
) -> None:
    path = tmp_path / "cache"
    async with meet(stage, opened(cache=path), row(CONV, 0)):
        pass
    with pytest.raises(CacheError):
        async with opened(cache=path, handle="bob"):
            raise AssertionError


# --- the sign of life


async def test_a_silent_client_pings_and_takes_the_horizon(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    async with meet(stage, opened(), row(CONV, 0)) as (client, peer):
        await client.synced()
        start = trio.current_time()
        ping = await peer.expect(wire.Ping)
        assert trio.current_time() - start <= LIMITS.heartbeat_ms / 1000
        peer.say(wire.Pong(ping.t, 1, b"H2"))
        peer.abort()
        again = await stage.connection()
        await again.login()
        assert (await again.expect(wire.Sync)).token == b"H2"


async def test_a_silent_server_is_left(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    async with meet(stage, opened(), row(CONV, 0)) as (client, _):
        feed = client.events()
        await client.synced()
        start = trio.current_time()
        gone = await first(feed, Disconnected)
        assert "silent" in gone.error.message
        assert trio.current_time() - start <= 2 * LIMITS.heartbeat_ms / 1000


async def test_a_server_that_has_nothing_to_say_is_not_left(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """7-15: only silence after a PING is silence. What this client says unasked (TYPING here) is never answered."""
    async with meet(stage, opened(), row(CONV, 0)) as (client, peer):
        await client.synced()
        answered = 0
        for _ in range(40):
            await trio.sleep(0.2 * LIMITS.heartbeat_ms / 1000)
            client.presence.typing(CONV)
            for ping in peer.heard(wire.Ping)[answered:]:
                answered += 1
                peer.say(wire.Pong(ping.t, 1))
        assert client.connected
        assert answered


async def test_a_ping_is_answered(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    async with meet(stage, opened(), row(CONV, 0)) as (_, peer):
        peer.say(wire.Ping(42))
        assert (await peer.expect(wire.Pong)).t == 42


async def test_a_server_that_breaks_the_protocol_is_left(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """What came before the fault counts."""
    async with meet(stage, opened(), row(CONV, 0)) as (client, peer):
        feed = client.events()
        peer.raw(entry(CONV, 1).encode() + b"\0\0\0\1\xc1")
        await first(feed, Disconnected)
        assert client.log(CONV).pos == 1


@pytest.mark.parametrize("code", [17, 1999, 9000])
async def test_p11_an_unknown_error_ends_the_connection_and_no_more(
    autojump_clock: MockClock, stage: Stage, opened: Opened, code: int
) -> None:
    """5.2: without a rid a class that this version does not know is as 1xxx."""
    async with meet(stage, opened(), row(CONV, 0)) as (client, peer):
        feed = client.events()
        peer.say(wire.Error(code=code))
        gone = await first(feed, Disconnected)
        assert isinstance(gone.error, ConnectionFailed)
        await (await stage.connection()).login()


async def test_a_reset_is_announced(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    async with meet(stage, opened(), row(CONV, 0)) as (client, peer):
        feed = client.events()
        peer.abort()
        again = await stage.connection()
        await again.synced(row(9, 0), mode=2, token=b"H9")
        await first(feed, Connected)
        await first(feed, Resynced)
        await client.synced()
        assert [conversation.conv for conversation in client.conversations.list()] == [9]


async def test_a_known_device_need_not_wait(
    autojump_clock: MockClock, stage: Stage, opened: Opened, tmp_path: Path
) -> None:
    """Without `wait` what is cached can be read while nobody answers; the connection comes when it comes."""
    async with meet(stage, opened(cache=tmp_path / "cache"), row(5, 0)) as (client, peer):
        feed = client.events()
        peer.say(entry(5, 1, "hello"))
        await first(feed, MessageAdded)
    async with opened(cache=tmp_path / "cache", password=None, wait=False) as client:
        assert [record.seq for record in client.log(5).records.values()] == [1]
        assert not client.connected
        feed = client.events()
        await (await stage.connection()).login()
        await first(feed, Connected)

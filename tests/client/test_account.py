"""client.account, over a real server and over a scripted one: devices, secrets, profile, blocks, hidden messages."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.client.conftest import Opened
from tests.client.stage import DEVICE, ME, OTHER, Stage, edit, entry, first, meet, record, row
from tests.server.rig import Rig, serving
from wirechat import wire
from wirechat.client import (
    AccountChanged,
    Client,
    ConversationChanged,
    DevicesChanged,
    LoginFailed,
    MessageAdded,
    MessagesHidden,
    Refused,
    open_client,
    register,
)
from wirechat.client.cache import Cache
from wirechat.client.events import Event, Feed, RecordChanged
from wirechat.client.sync import Sync
from wirechat.wire.registries import Audience, ContentType, EntryKind

PASSWORD = "correct horse"
CONV, LOG = 5, 90
PATIENCE = 20


def url(rig: Rig) -> str:
    return f"wirechat://127.0.0.1:{rig.listeners['tcp'].port}"


@asynccontextmanager
async def device(rig: Rig, handle: str, **options: Any) -> AsyncIterator[Client]:
    with trio.fail_after(PATIENCE):
        async with open_client(url(rig), handle=handle, **{"password": PASSWORD, **options}) as client:
            await client.synced()
            yield client


@asynccontextmanager
async def people(tmp_path: Path, *handles: str) -> AsyncIterator[Rig]:
    async with serving(tmp_path / "server") as rig:
        for handle in handles:
            await register(url(rig), handle, password=PASSWORD)
        yield rig


async def caught_up(client: Client, conv: int | None, pos: int) -> None:
    """This device holds a log up to here; None: the account log."""
    while client.log(conv or client._state.sync.account.conv or 0).pos < pos:  # noqa: ASYNC110  no event for it
        await trio.sleep(0.01)
    await client.synced()


async def test_the_account_log_is_nowhere_to_be_seen(tmp_path: Path) -> None:
    """It is no conversation of anybody, no event, and what is synced is synced with it."""
    async with people(tmp_path, "ada") as rig, device(rig, "ada") as phone, device(rig, "ada") as laptop:
        feed = phone.events()
        await phone.account.set_profile(name="Ada")
        for client in (phone, laptop):
            assert client.conversations.list() == []
            await caught_up(client, None, 3)
            log = client._state.sync.account.conv
            assert log is not None
            assert client.conversations.get(log) is None
            assert client.log(log).pos == 3
        assert [type(event) for event in feed._waiting] == [AccountChanged]


async def test_devices_are_listed_renamed_and_revoked(tmp_path: Path) -> None:
    """A revoked one stops for good, says why, and forgets how it logged in; its logs stay."""
    cache = str(tmp_path / "laptop")
    async with people(tmp_path, "ada") as rig, device(rig, "ada", name="phone") as phone:
        news = phone.events()
        async with device(rig, "ada", name="laptop", cache=cache) as laptop:
            await first(news, DevicesChanged)
            conv = await laptop.conversations.create_group("notes", [])
            await phone.account.rename_device(laptop.device, "old laptop")
            assert {each.name for each in await phone.account.devices()} == {"phone", "old laptop"}
            with pytest.raises(Refused) as refused:
                await phone.account.rename_device(4711, "x")
            assert refused.value.code == 4000
            feed = laptop.events()
            await phone.account.revoke_device(laptop.device)
            with pytest.raises(LoginFailed) as ended:
                await ended_feed(feed)
            assert ended.value.code == 2003
            assert "this device was revoked" in str(ended.value)
            assert laptop.failure is ended.value
        assert [each.name for each in await phone.account.devices()] == ["phone"]
        identity = read_identity(cache)
        assert (identity.handle, identity.user) == ("ada", phone.user)
        assert (identity.device, identity.resume, identity.key) == (None, None, None)
        async with device(rig, "ada", cache=cache) as again:
            assert [known.conv for known in again.conversations.list()] == [conv]


async def ended_feed(feed: Feed) -> None:
    async for _ in feed:
        pass


def read_identity(path: str) -> Any:
    cache = Cache(path, bytes(16))
    cache.close()
    return cache.identity


async def test_a_device_that_was_revoked_while_it_was_away(tmp_path: Path) -> None:
    """It learns it when it comes back, whatever it tries, and does not come back again and again."""
    cache = str(tmp_path / "laptop")
    async with people(tmp_path, "ada") as rig, device(rig, "ada") as phone:
        async with device(rig, "ada", cache=cache, device_key=bytes(32)) as laptop:
            number = laptop.device
        await phone.account.revoke_device(number)
        with pytest.raises(LoginFailed) as ended:
            async with device(rig, "ada", cache=cache, password=None):
                pass
        assert ended.value.code == 2003
        assert read_identity(cache).key is None


async def test_logging_out(tmp_path: Path) -> None:
    """Answered, and then the client has given up."""
    cache = str(tmp_path / "phone")
    async with people(tmp_path, "ada") as rig:
        async with device(rig, "ada", cache=cache) as phone:
            await phone.account.log_out()
            with pytest.raises(LoginFailed):
                await ended_feed(phone.events())
        assert read_identity(cache).resume is None
        with pytest.raises(LoginFailed):
            async with device(rig, "ada", cache=cache, password=None):
                pass


async def test_changing_the_password(tmp_path: Path) -> None:
    """The old one is asked for; the others may be logged out."""
    async with people(tmp_path, "ada") as rig, device(rig, "ada") as phone, device(rig, "ada") as laptop:
        with pytest.raises(LoginFailed) as wrong:
            await phone.account.change_password("not this one", "battery staple")
        assert wrong.value.code == 2001
        with pytest.raises(Refused):
            await phone.account.change_password(PASSWORD, "short")
        await phone.account.change_password(PASSWORD, "battery staple", revoke_others=True)
        with pytest.raises(LoginFailed):
            await ended_feed(laptop.events())
        assert phone.connected
        async with device(rig, "ada", password="battery staple"):
            pass


async def test_profile(tmp_path: Path) -> None:
    """What is left out stays; other devices hear of it, and their caches still know whose they are."""
    cache = str(tmp_path / "laptop")
    async with people(tmp_path, "ada", "bob") as rig, device(rig, "ada") as phone:
        async with device(rig, "ada", cache=cache) as laptop:
            news = laptop.events()
            user = await phone.account.set_profile(handle="ada.l", name="Ada", about="counting")
            assert (user.handle, user.name, user.about, user.rev) == ("ada.l", "Ada", "counting", 1)
            await first(news, AccountChanged)
            await laptop.account.me()
        with pytest.raises(Refused) as taken:
            await phone.account.set_profile(handle="bob")
        assert taken.value.code == 4005
        await phone.account.set_profile(about="", audience=Audience.NOBODY)
        me = await phone.account.me()
        assert (me.user.name, me.user.about, me.audience, me.has_password) == ("Ada", None, Audience.NOBODY, True)
        async with device(rig, "ada.l", cache=cache) as laptop:
            assert laptop.user == phone.user


async def test_blocked_users_are_known_on_all_devices(tmp_path: Path) -> None:
    """Also on one that comes later; the newest entry decides."""
    async with people(tmp_path, "ada", "bob", "cat") as rig, device(rig, "ada") as phone:
        bob, cat = [(await phone.accounts.find(handle)).user for handle in ("bob", "cat")]
        async with device(rig, "ada") as laptop:
            await phone.account.block(bob)
            await phone.account.block(cat)
            await phone.account.unblock(bob)
            await caught_up(laptop, None, 5)
            await caught_up(phone, None, 5)
            assert phone.account.blocked == laptop.account.blocked == {cat}
        async with device(rig, "ada") as tablet:
            assert tablet.account.blocked == {cat}
        with pytest.raises(Refused) as refused:
            await phone.conversations.direct(cat)
        assert refused.value.code == 4003


async def test_p5_hidden_messages_vanish_on_all_devices(tmp_path: Path) -> None:
    """From logs, caches and pages; on a device that was away too; others keep them."""
    cache = str(tmp_path / "laptop")
    async with people(tmp_path, "ada", "bob") as rig, device(rig, "ada") as phone, device(rig, "bob") as bob:
        conv = await bob.conversations.create_group("group", [phone.user])
        seqs = [(await bob.messages.send(conv, f"text {number}")).seq for number in range(4)]
        async with device(rig, "ada", cache=cache) as laptop:
            assert set(seqs) < set(laptop.log(conv).records)
        await caught_up(phone, conv, 5)
        news = phone.events()
        await phone.account.hide(conv, [seqs[2], seqs[0]])
        assert (await first(news, MessagesHidden)).seqs == (seqs[0], seqs[2])
        await bob.messages.edit(conv, seqs[0], "changed")
        await caught_up(phone, conv, 6)
        assert set(phone.log(conv).records) == {1, seqs[1], seqs[3]}
        async with device(rig, "ada", cache=cache) as laptop:
            await laptop.synced()
            assert set(laptop.log(conv).records) == {1, seqs[1], seqs[3]}
            page = await laptop.history.page(conv)
            assert {each.seq for each in page.records} == {1, seqs[1], seqs[3]}
        assert set(bob.log(conv).records) == {1, *seqs}
        assert b"text 0" not in (tmp_path / "laptop").read_bytes()


# over a script


def hiding(seq: int, conv: int, *seqs: int) -> wire.Event:
    content = wire.Content(ContentType.HIDDEN, wire.Hidden(conv, seqs).pack())
    return wire.Event(LOG, seq, 1, ME, EntryKind.HIDE, content)


async def test_a_hidden_message_stays_hidden_whenever_it_comes(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """P5: an answer that was on its way when it was hidden must not bring it back, nor may an event show it."""
    async with meet(stage, opened(), row(CONV, 2)) as (client, peer):
        asked = await peer.expect(wire.Changes)
        peer.say(wire.ChangesOk(asked.rid, 2, (record(1), record(2)), False))
        await caught_up(client, CONV, 2)
        feed = client.events()
        peer.say(entry(CONV, 3), hiding(1, CONV, 2, 3, 4, 5), entry(CONV, 4))
        await caught_up(client, CONV, 4)
        assert list(client.log(CONV).records) == [1]
        peer.say(row_push(CONV, 6))
        asked = await peer.next_of(wire.Changes)
        peer.say(wire.ChangesOk(asked.rid, 6, (record(2, 6), record(5)), False))
        await caught_up(client, CONV, 6)
        assert list(client.log(CONV).records) == [1]
        events = list(feed._waiting)
        assert [event.record.seq for event in events if isinstance(event, MessageAdded)] == []
        assert MessagesHidden(CONV, (2, 3, 4, 5)) in events


def test_an_edit_does_not_bring_back_what_is_being_hidden() -> None:
    """10-31: as long as the file still has the message, an entry about it finds it there."""
    cache = Cache(None, b"o" * 16)
    sync = Sync(cache)
    for push in (entry(CONV, 1), entry(CONV, 2)):
        sync.event(push)
    cache.write(cache.take())
    sync.event(hiding(1, CONV, 1, 2))
    sync.event(edit(CONV, 3, 1, "before it is being written"))
    statements = cache.take()
    sync.event(edit(CONV, 4, 2, "while it is being written"))
    cache.write(statements)
    cache.write(cache.take())
    assert cache.view(CONV).records == {}
    assert [event for event in sync.news if isinstance(event, RecordChanged)] == []


def row_push(conv: int, head: int) -> wire.Rows:
    return wire.Rows((row(conv, head),))


async def test_the_account_log_is_read_from_its_start(
    autojump_clock: MockClock, stage: Stage, opened: Opened, tmp_path: Path
) -> None:
    """However long it is, and nobody asks what it is called; what it says is known again after a restart."""
    account = wire.Row(LOG, 3000, 0, 0, 0, 0, True)
    cache = tmp_path / "cache"
    blocked = wire.Record(3000, 3000, 1, ME, EntryKind.BLOCK, None, None, (OTHER,))
    async with meet(stage, opened(cache=cache, jump_entries=5), account) as (client, peer):
        asked = await peer.expect(wire.Changes)
        assert (asked.conv, asked.since) == (LOG, 0)
        peer.say(wire.ChangesOk(asked.rid, 3000, (blocked,), False))
        await client.synced()
        assert peer.heard(wire.ConvGet) == []
        assert client.conversations.list() == []
    async with meet(stage, opened(cache=cache)) as (client, _):
        assert client.account.blocked == {OTHER}


async def test_a_reset_forgets_what_the_account_log_said(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """It is another server's; what it says comes anew."""
    block = wire.Event(LOG, 1, 1, ME, EntryKind.BLOCK, None, None, (OTHER,))
    async with meet(stage, opened()) as (client, peer):
        peer.say(block)
        await caught_up(client, LOG, 1)
        assert client.account.blocked == {OTHER}
        peer.abort()
        again = await stage.connection()
        await again.synced(mode=2)
        await client.synced()
        assert client.account.blocked == frozenset()


async def test_what_cannot_be_read_hides_nothing(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    """P11: a HIDE entry of another form is kept and passed over."""
    async with meet(stage, opened(), row(CONV, 1)) as (client, peer):
        asked = await peer.expect(wire.Changes)
        peer.say(wire.ChangesOk(asked.rid, 1, (record(1),), False))
        for seq, content in enumerate(
            (None, wire.Content(12, "x"), wire.Content(12, b"\xc1"), wire.Content(13, b"")), 1
        ):
            peer.say(wire.Event(LOG, seq, 1, ME, EntryKind.HIDE, content))
        await caught_up(client, LOG, 4)
        assert list(client.log(CONV).records) == [1]
        assert client.log(LOG).pos == 4


async def test_log_out_is_done_even_if_its_answer_was_lost(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """P12: the connection broke before the answer; the server says 2003 to who comes back."""
    async with meet(stage, opened(password=PASSWORD)) as (client, peer), trio.open_nursery() as nursery:

        async def server() -> None:
            asked = await peer.expect(wire.DeviceRevoke)
            assert asked.device == DEVICE
            peer.abort()
            again = await stage.connection()
            await again.greet()
            auth = await again.expect(wire.Auth)
            again.say(wire.Error(auth.rid, code=2002))
            auth = await again.expect(wire.Auth)
            assert (auth.method, auth.device) == (1, DEVICE)
            again.say(wire.Error(auth.rid, code=2003))

        nursery.start_soon(server)
        await client.account.log_out()
        assert client.failure is not None
        assert client.failure.code == 2003


def test_events_of_the_account_log_are_public() -> None:
    """What a program can be told it can also name."""
    names = {each.__name__ for each in (AccountChanged, DevicesChanged, MessagesHidden, ConversationChanged)}
    assert names <= set(re.findall(r"\w+", str(Event)))

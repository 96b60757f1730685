"""Sessions, horizons, receipts: what is pushed, what is caught up on, what an acknowledgement means."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio
import trio_websocket

from tests.server.rig import Client, serving
from wirechat import wire


async def pong(client: Client) -> wire.Pong:
    await client.send(wire.Ping(7))
    return await client.expect(wire.Pong)


async def test_nothing_is_pushed_before_sync_and_nothing_is_missed_after(tmp_path: Path) -> None:
    """R1, R5: what is committed between login and the last page is in the digest or follows it."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        back = await rig.again(bob)
        await alice.say(conv, "before sync")
        await back.silence()
        (page,) = await back.sync()
        assert page.rows[0].head == 2
        await alice.say(conv, "after sync")
        assert (await back.expect(wire.Event)).seq == 3


async def test_the_digest_is_paged_and_a_token_narrows_it(tmp_path: Path) -> None:
    """Pages by conversation id, the token on the last one only; the next digest has what changed since."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        convs = sorted([await rig.group(alice, bob) for _ in range(5)])
        back = await rig.again(bob)
        first = await back.ask(wire.Sync(0, None, 2), wire.SyncOk)
        assert (first.mode, len(first.rows), first.token) == (2, 2, None)
        second = await back.ask(wire.Sync(0, None, 2, first.cursor), wire.SyncOk)
        third = await back.ask(wire.Sync(0, None, 2, second.cursor), wire.SyncOk)
        assert [row.conv for page in (first, second, third) for row in page.rows] == convs
        assert third.token is not None
        await alice.say(convs[3], "news")
        again = await rig.again(bob)
        (page,) = await again.sync(third.token)
        assert page.mode == 1
        assert [(row.conv, row.head) for row in page.rows] == [(convs[3], 2)]


async def test_a_foreign_or_future_token_is_void(tmp_path: Path) -> None:
    """RESET: another epoch, a horizon above the store's, or no token of ours at all."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        await rig.group(alice, bob)
        epoch = rig.server.store.epoch
        for token in (b"", b"x", b"????" + bytes(8), epoch + (2**60).to_bytes(8, "big")):
            back = await rig.again(bob)
            (page,) = await back.sync(token)
            assert page.mode == 2
            assert len(page.rows) == 1


async def test_pong_hands_over_the_sessions_horizon(tmp_path: Path) -> None:
    """After the node passed over the store an idle session's token covers what was pushed: a resume is empty."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        quiet = await rig.again(alice)
        assert (await pong(quiet)).token is None
        await bob.send(wire.Ack(1))
        await quiet.sync()
        await quiet.say(conv, "hello")
        await bob.expect(wire.Event)
        with trio.fail_after(30):
            before, token = None, (await pong(bob)).token
            while token != before:  # until nothing is stamped any more, the receipts behind the ACK included
                await trio.sleep(2.5)
                before, token = token, (await pong(bob)).token
        back = await rig.again(bob)
        (page,) = await back.sync(token)
        assert (page.mode, page.rows) == (1, ())


async def test_delivered_follows_the_ack_and_read_raises_both(tmp_path: Path) -> None:
    """P7: delivered after the device acknowledged; a listed position replaces what pushes imply; read is durable."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        for text in ("one", "two", "three"):
            await alice.say(conv, text)
        await bob.send(wire.Ack(3))
        first = await alice.expect(wire.Receipt)
        assert first.marks == (wire.Watermark(bob.user, 3, 0),)
        await bob.send(wire.Ack(4, (wire.Held(conv, 0),)))
        marked = await bob.ask(wire.Mark(0, conv, 2), wire.MarkOk)
        assert marked.read == 2
        receipt = await alice.expect(wire.Receipt)
        if receipt.upto == first.upto:  # the pass may tell the same once more
            receipt = await alice.expect(wire.Receipt)
        assert receipt.marks == (wire.Watermark(bob.user, 3, 2),)
        assert (await bob.ask(wire.Mark(0, conv, 1), wire.MarkOk)).read == 2
        assert (await bob.ask(wire.Mark(0, conv, 99), wire.MarkOk)).read == 4
        who = await alice.ask(wire.WhoRead(0, conv, 4), wire.WhoReadOk)
        assert who.marks == (wire.Watermark(bob.user, 4, 4),)
        marks = await alice.ask(wire.Marks(0, conv, 0), wire.MarksOk)
        assert wire.Watermark(bob.user, 4, 4) in marks.marks
        assert await alice.refused(wire.WhoRead(0, conv, 77)) == 4000


async def test_the_users_other_device_gets_his_entries_with_their_cid(tmp_path: Path) -> None:
    """So that it can tell them from strangers' and settle its own outbox; others never see it."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        second = await rig.greeted()
        key = alice.key
        await second.send()
        other = await rig.server.store.write(_other_device, alice.user, key.public_key().public_bytes_raw())
        second.key, second.device, second.user = key, other, alice.user
        await second.login()
        await second.sync()
        cid = os.urandom(8)
        await alice.say(conv, "from my phone", cid)
        assert (await second.expect(wire.Event)).cid == cid
        assert (await bob.expect(wire.Event)).cid is None
        await alice.silence()


async def _other_device(tx: object, user: int, key: bytes) -> int:
    from wirechat.store.features import devices

    await devices.create(tx, 4711, user, key, "laptop", 0)  # type: ignore[arg-type]
    return 4711


async def test_window_zero_pauses_and_a_larger_one_catches_up(tmp_path: Path) -> None:
    """STATE: while the window is closed nothing is pushed; then one digest round brings everything."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        await bob.send(wire.Ack(1), wire.State(True, 0))
        await pong(bob)
        for number in range(20):
            await alice.say(conv, str(number))
        await bob.silence()
        await bob.send(wire.State(True, 8))
        rows = await bob.expect(wire.Rows)
        assert rows.rows[0].head == 21
        assert rows.token is not None
        await alice.say(conv, "live again")
        assert (await bob.expect(wire.Event)).seq == 22


async def test_draining_answers_what_was_read_and_asks_to_come_back(tmp_path: Path) -> None:
    """GOAWAY, then 5003 for what is new, then the end; within ten seconds."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        rig.stop.set()
        goaway = await alice.expect(wire.Goaway)
        assert (goaway.code, goaway.jitter_ms > 0) == (1, True)
        await alice.send(wire.Send(9, conv, os.urandom(8), 1, wire.Content(1, "late")))
        error = await alice.expect(wire.Error)
        assert error.code == 5003
        with trio.fail_after(10):
            await alice.closed()
            await bob.closed()


async def test_who_is_ended_for_a_reason_hears_it_although_the_server_stops(tmp_path: Path) -> None:
    """The goodbye of the drain does not come before it."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        (connection,) = rig.server.connections
        connection.close(wire.errors.DEVICE_REVOKED)
        connection.part()
        assert await alice.closed() == wire.errors.DEVICE_REVOKED


async def test_draining_says_goodbye_on_websocket_too(tmp_path: Path) -> None:
    """A close frame with 1000 for those who stay until the end, and GOAWAY also before login."""
    async with serving(tmp_path) as rig:
        url = f"ws://127.0.0.1:{rig.listeners['ws'].port}/"
        ws = await trio_websocket.connect_websocket_url(rig.nursery, url, subprotocols=["wirechat.v1"])
        await ws.send_message(wire.Hello("WC", 1, 1, (), "ws").encode()[4:])
        with trio.fail_after(10):
            assert isinstance(wire.decode(await ws.get_message(), side="server"), wire.Welcome)
            rig.stop.set()
            assert isinstance(wire.decode(await ws.get_message(), side="server"), wire.Goaway)
            with pytest.raises(trio_websocket.ConnectionClosed) as closed:
                await ws.get_message()
        assert closed.value.reason.code == 1000


async def test_who_joins_while_his_digest_is_read_is_told_of_the_receipts_before_him(tmp_path: Path) -> None:
    """13-7: neither a page that went out before nor a push has shown him one."""
    async with serving(tmp_path) as rig:
        alice, bob, carol = await rig.person("alice"), await rig.person("bob"), await rig.person("carol")
        his = sorted([await rig.group(alice, bob) for _ in range(6)])
        conv = await rig.group(alice, carol)
        while conv > his[4]:  # its place in the digest is on the first page
            conv = await rig.group(alice, carol)
        await carol.ask(wire.Mark(0, conv, 1), wire.MarkOk)
        back = await rig.again(bob)
        first = await back.ask(wire.Sync(0, None, 5), wire.SyncOk)
        await alice.ask(wire.MemberAdd(0, conv, os.urandom(8), (bob.user,)), wire.MemberAddOk)
        last = await back.ask(wire.Sync(0, None, 5, first.cursor), wire.SyncOk)
        assert [row.conv for row in last.rows] == [his[5]]
        assert (await back.expect(wire.Event)).conv == conv
        (row,) = (await back.expect(wire.Rows)).rows
        assert (row.conv, row.head, row.rrev) == (conv, 2, 1)

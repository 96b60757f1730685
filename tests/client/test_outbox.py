"""Entries on their way: once (P2), in order (P4), never lost.

The queue is tested by itself first, then over connections that break.
"""

from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from tests.client.conftest import Opened
from tests.client.stage import DEVICE, LIMITS, Peer, Stage, entry, first, meet, nothing_unsent, row
from wirechat import wire
from wirechat.client import Disconnected, LoginFailed, MessageAdded, Refused, Resynced, SendFailed, Sent
from wirechat.client.outbox import Entry, Outbox

A, B = 5, 6


def filled(depth: int, *convs: int) -> tuple[Outbox, list[Entry]]:
    outbox = Outbox(depth)
    entries = [Entry(conv, bytes([place] * 8), 1, durable=True) for place, conv in enumerate(convs)]
    for each in entries:
        outbox.add(each)
    return outbox, entries


# --- the queue


def test_p4_one_entry_of_a_conversation_is_under_way() -> None:
    outbox, (a1, a2, b1) = filled(1, A, A, B)
    assert outbox.take(0, 10) == [a1, b1]
    assert outbox.take(0, 10) == []
    outbox.answered(a1)
    assert outbox.take(0, 10) == [a2]


def test_p4_pipelining_keeps_the_order_of_sending() -> None:
    outbox, entries = filled(3, A, A, A, A)
    assert outbox.take(0, 2) == entries[:2]
    assert outbox.take(0, 10) == [entries[2]]


def test_p4_after_a_failure_the_first_goes_alone() -> None:
    """Later ones already under way are waited for; then the failed one is repeated before any other."""
    outbox, (a1, a2, a3, a4) = filled(3, A, A, A, A)
    outbox.take(0, 10)
    outbox.failed(a1, not_before=5)
    outbox.failed(a2, not_before=5)
    assert outbox.take(9, 10) == []
    outbox.answered(a3)
    assert outbox.take(4, 10) == []
    assert outbox.take(5, 10) == [a1]
    assert outbox.take(9, 10) == []
    outbox.answered(a1)
    assert outbox.take(9, 10) == [a2, a4]


def test_p4_a_failure_holds_up_its_own_conversation_only() -> None:
    outbox, (a1, b1, b2) = filled(1, A, B, B)
    outbox.take(0, 10)
    outbox.failed(a1, not_before=9)
    outbox.answered(b1)
    assert outbox.take(1, 10) == [b2]


def test_p4_a_lost_connection_is_a_failure_of_all_under_way() -> None:
    outbox, (a1, a2, a3) = filled(2, A, A, A)
    outbox.take(0, 10)
    outbox.disconnected()
    assert outbox.take(0, 10) == [a1]
    outbox.answered(a1)
    assert outbox.take(0, 10) == [a2, a3]


def test_p4_what_has_not_gone_out_yet_waits_for_what_has_failed_before_it() -> None:
    """It was taken, but other requests were before it."""
    outbox, (a1, a2, a3) = filled(3, A, A, A)
    outbox.take(0, 10)
    assert outbox.turn(a1)
    assert outbox.turn(a2)
    outbox.failed(a2, not_before=5)
    outbox.answered(a1)
    assert not outbox.turn(a3)
    assert outbox.next_time(4) == 5
    assert outbox.take(4, 10) == []
    assert outbox.take(5, 10) == [a2, a3]


def test_p4_what_an_earlier_run_left_goes_one_by_one() -> None:
    """Nobody knows what of it was sent."""
    outbox, entries = Outbox(8), [Entry(A, bytes([n] * 8), 1, durable=True) for n in range(3)]
    outbox.restore(entries)
    assert outbox.take(0, 10) == [entries[0]]


def test_an_entry_waits_until_it_is_durable_and_none_passes_it() -> None:
    """Sent before it is stored it could be sent again under another cid after a crash."""
    outbox, (a1, a2) = filled(2, A, A)
    a1.durable = False
    assert outbox.take(0, 10) == []
    a1.durable = True
    assert outbox.take(0, 10) == [a1, a2]


# --- over connections


async def online(stage: Stage) -> Peer:
    peer = await stage.connection()
    await peer.synced(row(A, 0))
    return peer


async def test_p2_the_same_cid_is_sent_until_there_is_an_answer(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """The connection breaks between SEND and SEND_OK; the entry is repeated on the next one."""
    async with trio.open_nursery() as nursery:

        async def server() -> None:
            peer = await online(stage)
            first = await peer.expect(wire.Send)
            peer.abort()
            peer = await online(stage)
            second = await peer.expect(wire.Send)
            assert (second.cid, second.content) == (first.cid, first.content)
            peer.say(wire.SendOk(second.rid, 1, 5000, True))

        nursery.start_soon(server)
        async with opened() as client:
            assert await client.messages.send(A, "hello") == Sent(1, 5000)
            assert client.messages.unsent() == ()
            assert [record.seq for record in client.log(A).records.values()] == [1]


async def test_p12_the_time_the_server_asked_for_outlives_the_connection(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """5001: not earlier by coming back on another connection, and not never."""
    async with meet(stage, opened(), row(A, 0)) as (client, peer):
        handle = await client.messages.send_soon(A, "hello")
        send = await peer.expect(wire.Send)
        start = trio.current_time()
        peer.say(wire.Error(send.rid, code=5001, retry_ms=20000))
        await trio.sleep(0.1)
        peer.abort()
        again = await online(stage)
        send = await again.expect(wire.Send)
        assert trio.current_time() - start >= 20
        again.say(wire.SendOk(send.rid, 1, 1))
        assert (await handle.wait()).seq == 1


async def test_p12_what_is_put_off_again_and_again_is_sent_until_it_is_taken(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """5xxx is no refusal, however often it comes."""
    async with meet(stage, opened(), row(A, 0)) as (client, peer):
        handle = await client.messages.send_soon(A, "hello")
        sends = 0
        while sends <= 20:
            message = await peer.next()
            if isinstance(message, wire.Ping):
                peer.say(wire.Pong(message.t))
            elif isinstance(message, wire.Send):
                sends += 1
                taken = sends > 20
                peer.say(wire.SendOk(message.rid, 1, 1) if taken else wire.Error(message.rid, code=5001, retry_ms=100))
        assert (await handle.wait()).seq == 1


@pytest.mark.parametrize("code", [6999, 17, 7000, 65535])
async def test_p11_an_unknown_class_of_error_is_an_unknown_outcome(
    autojump_clock: MockClock, stage: Stage, opened: Opened, code: int
) -> None:
    """5.2: with a rid a class that this version does not know is as 6xxx: the same cid, until another answer comes."""
    async with meet(stage, opened(), row(A, 0)) as (client, peer):
        handle = await client.messages.send_soon(A, "hello")
        send = await peer.expect(wire.Send)
        peer.say(wire.Error(send.rid, code=code, retry_ms=100))
        again = await peer.expect(wire.Send)
        assert again.cid == send.cid
        peer.say(wire.SendOk(again.rid, 1, 1))
        assert (await handle.wait()).seq == 1


async def test_p12_who_is_not_logged_in_any_more_logs_in_again(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """2000 (11.5): repeating on the same connection cannot help; a login does, and then the entry goes out again."""
    async with meet(stage, opened(), row(A, 0)) as (client, peer):
        handle = await client.messages.send_soon(A, "hello")
        send = await peer.expect(wire.Send)
        peer.say(wire.Error(send.rid, code=2000))
        other = await online(stage)
        again = await other.expect(wire.Send)
        assert again.cid == send.cid
        assert len(peer.heard(wire.Send)) == 1
        other.say(wire.SendOk(again.rid, 1, 1))
        assert (await handle.wait()).seq == 1


async def test_p12_a_device_that_was_revoked_sends_nothing_any_more(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """2003 as an answer is as final as 2003 without a rid (8-30)."""
    async with meet(stage, opened(), row(A, 0)) as (client, peer):
        handle = await client.messages.send_soon(A, "hello")
        send = await peer.expect(wire.Send)
        peer.say(wire.Error(send.rid, code=2003))
        with pytest.raises(LoginFailed):
            await handle.wait()
        assert client.failure is not None
        assert client.failure.code == 2003


@pytest.mark.parametrize("code", [5000, 5001, 6000])
async def test_p4_later_entries_wait_for_one_that_has_to_be_repeated(
    autojump_clock: MockClock, stage: Stage, opened: Opened, code: int
) -> None:
    """With five under way, the second is put off; the rest is answered, then it goes alone, then what is left."""
    async with meet(stage, opened(pipeline=3), row(A, 0)) as (client, peer):
        handles = [await client.messages.send_soon(A, f"m{n}") for n in range(5)]
        sends = [await peer.expect(wire.Send) for _ in range(3)]
        peer.say(wire.SendOk(sends[0].rid, 1, 1), wire.Error(sends[1].rid, code=code, retry_ms=100))
        fourth = await peer.expect(wire.Send)
        assert fourth.cid == handles[3].cid
        peer.say(wire.SendOk(sends[2].rid, 2, 2), wire.SendOk(fourth.rid, 3, 3))
        again = await peer.expect(wire.Send)
        assert again.cid == handles[1].cid
        await quiet(peer)
        peer.say(wire.SendOk(again.rid, 4, 4))
        last = await peer.expect(wire.Send)
        peer.say(wire.SendOk(last.rid, 5, 5))
        assert [(await handle.wait()).seq for handle in handles] == [1, 4, 2, 3, 5]


async def test_p4_what_waits_behind_other_requests_lets_pass_what_has_failed_before_it(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """Four requests may be under way, three of them ask for something else: the second message has not gone out yet
    when the first one fails.
    """
    limits = attrs.evolve(LIMITS, inflight=4)
    async with (
        meet(stage, opened(pipeline=2), row(A, 0), limits=limits) as (client, peer),
        trio.open_nursery() as nursery,
    ):
        for _ in range(3):
            nursery.start_soon(client.account.devices)
        asked = [await peer.expect(wire.Devices) for _ in range(3)]
        handles = [await client.messages.send_soon(A, f"m{n}") for n in range(2)]
        failed = await peer.expect(wire.Send)
        peer.say(wire.Error(failed.rid, code=5000, retry_ms=100))
        for seq, handle in enumerate(handles, 1):
            send = await peer.expect(wire.Send)
            assert send.cid == handle.cid
            peer.say(wire.SendOk(send.rid, seq, seq))
            await handle.wait()
        peer.say(*[wire.DevicesOk(each.rid, ()) for each in asked])


async def quiet(peer: Peer) -> None:
    """No SEND comes, whatever else may."""
    with trio.move_on_after(5):
        while True:
            assert not isinstance(await peer.next(), wire.Send)


async def test_p12_a_refusal_is_raised_to_the_sender_and_leaves_the_outbox(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    async with trio.open_nursery() as nursery:

        async def server() -> None:
            peer = await online(stage)
            send = await peer.expect(wire.Send)
            peer.say(wire.Error(send.rid, code=4001, message="you may not"))
            send = await peer.expect(wire.Send)
            peer.say(wire.SendOk(send.rid, 1, 1))

        nursery.start_soon(server)
        async with opened() as client:
            with pytest.raises(Refused) as refusal:
                await client.messages.edit(A, 1, "changed")
            assert (refusal.value.code, refusal.value.message) == (4001, "you may not")
            assert (await client.messages.send(A, "next")).seq == 1


async def test_p12_a_refusal_nobody_waits_for_is_an_event(
    autojump_clock: MockClock, stage: Stage, opened: Opened, tmp_path: Path
) -> None:
    """Refused for ever, it is not sent again by the next run either."""
    path = tmp_path / "cache"
    async with meet(stage, opened(cache=path), row(A, 0)) as (client, peer):
        feed = client.events()
        handle = await client.messages.send_soon(A, "hello")
        send = await peer.expect(wire.Send)
        peer.say(wire.Error(send.rid, code=4002))
        failed = await first(feed, SendFailed)
        assert (failed.cid, failed.error.code) == (handle.cid, 4002)
        with pytest.raises(Refused):
            await handle.wait()
    async with meet(stage, opened(cache=path), row(A, 0)) as (client, _):
        assert client.messages.unsent() == ()


async def test_p12_what_no_server_takes_is_refused_before_it_is_queued(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """Queued, a frame that is too long would cost every further connection."""
    async with meet(stage, opened(), row(A, 0)) as (client, _):
        with pytest.raises(Refused):
            await client.messages.send(A, "x" * 70000)
        with pytest.raises(Refused):
            await client.messages.send(-1, "x")
        assert client.messages.unsent() == ()


async def test_an_entry_survives_its_program(
    autojump_clock: MockClock, stage: Stage, opened: Opened, tmp_path: Path
) -> None:
    """Queued without a connection, sent by the next run with the same cid; the refusal of it is an event."""
    path = tmp_path / "cache"
    async with meet(stage, opened(cache=path), row(A, 0)) as (client, peer):
        feed = client.events()
        stage.refuse = 1000
        peer.abort()
        await first(feed, Disconnected)
        handle = await client.messages.send_soon(A, "hello")
    stage.refuse = 0
    async with meet(stage, opened(cache=path, password=None), row(A, 0)) as (client, peer):
        send = await peer.expect(wire.Send)
        assert (send.cid, send.content) == (handle.cid, wire.Content(1, "hello"))
        peer.say(wire.SendOk(send.rid, 1, 1))
        await nothing_unsent(client)
        assert [record.cid for record in client.log(A).records.values()] == [handle.cid]


# --- RESET


async def test_after_a_reset_what_refers_to_old_seqs_is_dropped_and_reported(
    autojump_clock: MockClock, stage: Stage, opened: Opened, tmp_path: Path
) -> None:
    """11-15: an EDIT of seq 1 would change another message now. What refers to nothing is sent, with its cid."""
    path = tmp_path / "cache"
    async with meet(stage, opened(cache=path), row(A, 0)) as (client, peer):
        feed = client.events()
        stage.refuse = 1000
        peer.abort()
        await first(feed, Disconnected)
        reply = await client.messages.send_soon(A, "a reply", reply_to=1)
        message = await client.messages.send_soon(A, "a message")
        stage.refuse = 0
        async with trio.open_nursery() as nursery:

            async def edit() -> None:
                with pytest.raises(Refused) as refusal:
                    await client.messages.edit(B, 1, "changed")
                assert refusal.value.code is None

            nursery.start_soon(edit)
            peer = await stage.connection()
            await peer.login()
            sync = await peer.expect(wire.Sync)
            await quiet(peer)
            peer.say(wire.SyncOk(sync.rid, 2, (row(A, 0),), None, b"H2"))
            send = await peer.next_of(wire.Send)
            assert (send.cid, send.ref) == (message.cid, None)
        failed = await first(feed, SendFailed)
        assert (failed.cid, failed.content, failed.error.code) == (reply.cid, wire.Content(1, "a reply"), None)
        assert [entry.cid for entry in client.messages.unsent()] == [message.cid]
    async with meet(stage, opened(cache=path, password=None), row(A, 0)) as (client, peer):
        assert client.device == DEVICE
        [auth] = peer.heard(wire.Auth)
        assert (auth.method, auth.proof) == (4, b"resume-1")
        send = await peer.next_of(wire.Send)
        assert send.cid == message.cid


async def test_after_a_reset_a_pending_mark_is_dropped(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    """Its seq may name an entry that nobody has read."""
    async with meet(stage, opened(), row(A, 3)) as (client, peer), trio.open_nursery() as nursery:

        async def mark() -> None:
            with pytest.raises(Refused):
                await client.receipts.mark_read(A, 3)

        nursery.start_soon(mark)
        await peer.next_of(wire.Mark)
        peer.abort()
        peer = await stage.connection()
        await peer.synced(row(A, 3), mode=2)
        await peer.next_of(wire.Changes)
        await quiet(peer)
        assert peer.heard(wire.Mark) == []


async def test_without_a_reset_edits_and_marks_are_repeated(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    async with meet(stage, opened(), row(A, 3)) as (client, peer), trio.open_nursery() as nursery:
        nursery.start_soon(client.receipts.mark_read, A, 3)
        nursery.start_soon(client.messages.react, A, 3, "+")
        await peer.next_of(wire.Mark)
        peer.abort()
        peer = await stage.connection()
        await peer.synced()
        wanted = {wire.Mark, wire.Send}
        while wanted:
            message = await peer.next()
            wanted.discard(type(message))
            if isinstance(message, wire.Mark):
                peer.say(wire.MarkOk(message.rid, 3))
            elif isinstance(message, wire.Send):
                peer.say(wire.SendOk(message.rid, 4, 1))


async def test_a_new_device_may_refer_to_what_it_knows_from_elsewhere(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """Its first digest is a RESET, too, but there is nothing that lost its meaning."""
    async with trio.open_nursery() as nursery:

        async def server() -> None:
            peer = await stage.connection()
            await peer.login()
            sync = await peer.expect(wire.Sync)
            await trio.sleep(1)
            peer.say(wire.SyncOk(sync.rid, 2, (row(A, 3),), None, b"H1"))
            send = await peer.next_of(wire.Send)
            peer.say(wire.SendOk(send.rid, 4, 1))

        nursery.start_soon(server)
        async with opened() as client:
            assert (await client.messages.react(A, 3, "+")).seq == 4


async def test_p5_a_server_that_lost_entries_is_noticed(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """12-30: its data was put back by a plain copy, so the token looks valid. Nothing goes out before the RESET."""
    async with meet(stage, opened(), row(A, 0)) as (client, peer):
        feed = client.events()
        peer.say(entry(A, 1), entry(A, 2))
        await first(feed, MessageAdded)
        peer.abort()
        peer = await stage.connection()
        handle = await client.messages.send_soon(A, "a reply", reply_to=2)
        await peer.synced(row(A, 1), token=b"H2")
        lost = [await first(feed, Disconnected), await first(feed, Disconnected)][1]
        assert "lost" in lost.error.message
        assert peer.heard(wire.Send) == []
        peer = await stage.connection()
        sync = await peer.synced(row(A, 1), mode=2, token=b"H3")
        assert sync.token is None
        await first(feed, Resynced)
        with pytest.raises(Refused):
            await handle.wait()


async def test_p5_a_row_older_than_what_came_on_this_connection_proves_nothing(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """ROWS are read before they are sent; an entry may pass them."""
    async with meet(stage, opened(), row(A, 0)) as (client, peer):
        feed = client.events()
        peer.say(entry(A, 1), wire.Rows((row(A, 0),), b"H2"))
        await first(feed, MessageAdded)
        await client.synced()
        assert client.connected
        assert client.log(A).pos == 1

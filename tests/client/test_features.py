"""What a program can do, over a scripted server."""

from itertools import pairwise
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from tests.client.conftest import Opened
from tests.client.stage import ME, OTHER, Peer, Stage, entry, first, meet, record, row, text
from wirechat import wire
from wirechat.client import Client, Disconnected, MessageAdded, ReceiptChanged, Refresh, Refused, SendFailed
from wirechat.client.events import Event, Events

CONV = 5


async def test_p2_a_new_group_keeps_its_cid_across_connections(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """The connection breaks before the answer: a second request with another cid would make a second group."""
    async with meet(stage, opened()) as (client, peer), trio.open_nursery() as nursery:

        async def server() -> None:
            asked = await peer.expect(wire.ConvNew)
            assert (asked.kind, asked.members, asked.title) == (2, (OTHER, 9), "team")
            peer.abort()
            again = await stage.connection()
            await again.synced()
            repeated = await again.expect(wire.ConvNew)
            assert repeated.cid == asked.cid
            again.say(wire.ConvNewOk(repeated.rid, CONV, 1, 1000, True))
            fetched = await again.expect(wire.Changes)
            made = wire.Record(1, 1, 1000, ME, 6, text("team"), None, (ME, OTHER, 9))
            again.say(wire.ChangesOk(fetched.rid, 1, (made,), False))

        nursery.start_soon(server)
        assert await client.conversations.create_group("team", [OTHER, 9]) == CONV
        await client.synced()
        [conversation] = client.conversations.list()
        assert conversation.info is not None
        assert (conversation.conv, conversation.info.title, conversation.head) == (CONV, "conv 5", 1)


@pytest.mark.parametrize("error", [5000, 5001, 6000])
async def test_p12_calls_repeat_what_may_succeed_later(
    autojump_clock: MockClock, stage: Stage, opened: Opened, error: int
) -> None:
    async with meet(stage, opened()) as (client, peer), trio.open_nursery() as nursery:

        async def server() -> None:
            asked = await peer.expect(wire.UserFind)
            start = trio.current_time()
            peer.say(wire.Error(asked.rid, code=error, retry_ms=3000))
            asked = await peer.expect(wire.UserFind)
            assert trio.current_time() - start >= 3
            peer.say(wire.UserFindOk(asked.rid, wire.User(OTHER, "bob", None)))

        nursery.start_soon(server)
        assert (await client.accounts.find("bob")).user == OTHER


async def test_p12_calls_raise_what_is_refused(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    async with meet(stage, opened()) as (client, peer), trio.open_nursery() as nursery:

        async def server() -> None:
            asked = await peer.expect(wire.UserFind)
            peer.say(wire.Error(asked.rid, code=4000, message="no such user"))

        nursery.start_soon(server)
        with pytest.raises(Refused) as refusal:
            await client.accounts.find("nobody")
        assert (refusal.value.code, refusal.value.message) == (4000, "no such user")
        assert refusal.value.to_do


async def test_users_are_asked_for_once(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    async with meet(stage, opened()) as (client, peer), trio.open_nursery() as nursery:

        async def server() -> None:
            asked = await peer.expect(wire.UserGet)
            assert asked.users == (OTHER, 9)
            peer.say(wire.UserGetOk(asked.rid, (wire.User(OTHER, "bob", "Bob"),)))
            asked = await peer.expect(wire.UserGet)
            assert asked.users == (9,)
            peer.say(wire.UserGetOk(asked.rid, ()))

        nursery.start_soon(server)
        expected = {OTHER: wire.User(OTHER, "bob", "Bob")}
        assert client.accounts.known([OTHER, 9]) == {}
        assert await client.accounts.get([OTHER, 9]) == expected
        assert await client.accounts.get([OTHER, 9]) == expected
        assert client.accounts.known([OTHER, 9]) == expected


async def test_members_come_in_pages(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    async with meet(stage, opened()) as (client, peer), trio.open_nursery() as nursery:

        async def server() -> None:
            for after, page, more in ((0, (1, 2), True), (2, (3,), False)):
                asked = await peer.expect(wire.Members)
                assert asked.after == after
                peer.say(wire.MembersOk(asked.rid, tuple(wire.Member(user, 1, 1) for user in page), more))

        nursery.start_soon(server)
        assert [member.user for member in await client.conversations.members(CONV)] == [1, 2, 3]


async def test_membership_changes_are_fetched(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    """The reply names the entry; it is not pushed to the connection that caused it."""
    async with meet(stage, opened(), row(CONV, 0)) as (client, peer), trio.open_nursery() as nursery:

        async def server() -> None:
            asked = await peer.expect(wire.MemberAdd)
            peer.say(wire.MemberAddOk(asked.rid, 1, 1000))
            fetched = await peer.expect(wire.Changes)
            added = wire.Record(1, 1, 1000, ME, 7, None, None, (9,))
            peer.say(wire.ChangesOk(fetched.rid, 1, (added,), False))
            left = await peer.expect(wire.MemberDel)
            assert left.user == ME
            peer.say(wire.MemberDelOk(left.rid, 2, 1001))
            fetched = await peer.expect(wire.Changes)
            peer.say(wire.ChangesOk(fetched.rid, 2, (wire.Record(2, 2, 1001, ME, 8, None, None, (ME,)),), False))

        nursery.start_soon(server)
        assert await client.conversations.add(CONV, [9]) == 1
        await client.synced()
        assert await client.conversations.leave(CONV) == 2
        await client.synced()
        assert [each.kind for each in client.log(CONV).records.values()] == [7, 8]


async def test_p2_notes_to_self_are_asked_for(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    """A conversation of kind 3, with nobody and no title."""
    async with meet(stage, opened()) as (client, peer), trio.open_nursery() as nursery:

        async def server() -> None:
            asked = await peer.expect(wire.ConvNew)
            assert (asked.kind, asked.members, asked.title) == (3, (), None)
            peer.say(wire.ConvNewOk(asked.rid, CONV, 1, 1000, True))

        nursery.start_soon(server)
        assert await client.conversations.notes() == CONV
        assert client.log(CONV).head == 1


async def test_groups_are_described_and_roles_given(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    """Each keeps its cid across connections (P2), and its entry is fetched, since the reply stands for the push."""
    async with meet(stage, opened(), row(CONV, 0)) as (client, peer), trio.open_nursery() as nursery:

        async def server() -> None:
            titled = await peer.expect(wire.ConvSet)
            assert (titled.conv, titled.title, titled.about) == (CONV, "team", None)
            peer.abort()
            again = await stage.connection()
            await again.synced(row(CONV, 0))
            repeated = await again.expect(wire.ConvSet)
            assert repeated.cid == titled.cid
            again.say(wire.ConvSetOk(repeated.rid, 1, 1000, True))
            await answer(again, 1, 9, text=wire.Content(10, "team"))
            described = await again.expect(wire.ConvSet)
            assert (described.conv, described.title, described.about) == (CONV, None, "")
            again.say(wire.ConvSetOk(described.rid, 2, 1001))
            await answer(again, 2, 9, text=wire.Content(11, ""))
            given = await again.expect(wire.MemberSet)
            assert (given.conv, given.user, given.role) == (CONV, OTHER, 2)
            again.say(wire.MemberSetOk(given.rid, 3, 1002))
            await answer(again, 3, 10, (OTHER,), 2)

        nursery.start_soon(server)
        assert await client.conversations.set_title(CONV, "team") == 1
        assert await client.conversations.set_about(CONV, "") == 2
        assert await client.conversations.set_role(CONV, OTHER, 2) == 3
        await client.synced()
        assert [(each.kind, each.role) for each in client.log(CONV).records.values()] == [(9, None), (9, None), (10, 2)]


async def answer(
    peer: Peer, seq: int, kind: int, users: tuple[int, ...] | None = None, role: int | None = None,
    text: wire.Content | None = None,
) -> None:  # fmt: skip
    """CHANGES brings one record."""
    asked = await peer.expect(wire.Changes)
    made = wire.Record(seq, seq, 1000, ME, kind, text, None, users, role=role)
    peer.say(wire.ChangesOk(asked.rid, seq, (made,), False))


@pytest.mark.parametrize(
    ("kind", "again"), [(1, False), (6, True), (7, True), (8, True), (9, True), (10, True), (77, False)]
)
async def test_10_18_what_changes_a_description_makes_it_asked_for_again(
    autojump_clock: MockClock, stage: Stage, opened: Opened, kind: int, again: bool
) -> None:
    """Pushed or paged: of every entry that CONV_GET may depend on, and of no other."""
    async with meet(stage, opened(), row(CONV, 0)) as (client, peer):
        await client.synced()
        before = len(peer.heard(wire.ConvGet))
        peer.say(entry(CONV, 1, kind=kind, users=(OTHER,)))
        await trio.sleep(1)
        assert len(peer.heard(wire.ConvGet)) == before + again
        peer.say(wire.Rows((row(CONV, 2),)))
        asked = await peer.next_of(wire.Changes)
        peer.say(wire.ChangesOk(asked.rid, 2, (wire.Record(2, 2, 1000, OTHER, kind, None, None, (OTHER,)),), False))
        await trio.sleep(1)
        assert len(peer.heard(wire.ConvGet)) == before + 2 * again


async def test_10_18_a_page_of_history_may_bring_it_first(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """What CHANGES would bring is held already when it comes, and yet the description is older than it."""
    async with meet(stage, opened(), row(CONV, 0)) as (client, peer), trio.open_nursery() as nursery:
        await client.synced()
        made = wire.Record(1, 1, 1000, OTHER, 9, wire.Content(10, "team"))

        async def server() -> None:
            asked = await peer.next_of(wire.History)
            peer.say(wire.HistoryOk(asked.rid, 1, 1, (made,), 1))

        nursery.start_soon(server)
        before = len(peer.heard(wire.ConvGet))
        await client.history.page(CONV)
        await trio.sleep(1)
        assert len(peer.heard(wire.ConvGet)) == before + 1
        peer.say(wire.Rows((row(CONV, 1),)))
        asked = await peer.next_of(wire.Changes)
        peer.say(wire.ChangesOk(asked.rid, 1, (made,), False))
        await trio.sleep(1)
        assert len(peer.heard(wire.ConvGet)) == before + 1


async def test_history_pages_back_to_the_beginning(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    async with meet(stage, opened(jump_entries=0), row(CONV, 4)) as (client, peer), trio.open_nursery() as nursery:

        async def server() -> None:
            for hi, lo, top in ((None, 3, 4), (2, 1, 2)):
                asked = await peer.next_of(wire.History)
                assert (asked.hi, asked.limit) == (hi, 2)
                peer.say(wire.HistoryOk(asked.rid, lo, top, tuple(record(seq) for seq in range(lo, top + 1)), 4))

        nursery.start_soon(server)
        page = await client.history.page(CONV, limit=2)
        assert (page.lo, page.hi, page.first, [each.seq for each in page.records]) == (3, 4, False, [3, 4])
        page = await client.history.page(CONV, before=page.lo, limit=2)
        assert page.first
        assert await client.history.page(CONV, before=1) == type(page)((), 1, 0)
        assert list(client.log(CONV).records) == [1, 2, 3, 4]
        assert list(client.log(CONV, newest=2).records) == [3, 4]


async def test_history_asked_before_a_jump_is_asked_again(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """The caller gets his page all the same."""
    async with meet(stage, opened(jump_entries=3), row(CONV, 2)) as (client, peer), trio.open_nursery() as nursery:

        async def server() -> None:
            asked = await peer.next_of(wire.History)
            peer.say(wire.Rows((row(CONV, 20),), None))
            peer.say(wire.HistoryOk(asked.rid, 1, 2, (record(1), record(2)), 2))
            asked = await peer.next_of(wire.History)
            peer.say(wire.HistoryOk(asked.rid, 20, 20, (record(20),), 20))

        nursery.start_soon(server)
        page = await client.history.page(CONV)
        assert [each.seq for each in page.records] == [20]
        assert list(client.log(CONV).records) == [20]


async def test_p7_reading_is_told_and_seen(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    async with meet(stage, opened(), row(CONV, 0)) as (client, peer), trio.open_nursery() as nursery:
        feed = client.events()

        async def server() -> None:
            peer.say(entry(CONV, 1))
            asked = await peer.expect(wire.Mark)
            peer.say(wire.MarkOk(asked.rid, asked.seq), wire.Receipt(CONV, 0, 1, (wire.Watermark(ME, 1, 1),)))
            asked_who = await peer.expect(wire.WhoRead)
            peer.say(wire.WhoReadOk(asked_who.rid, (wire.Watermark(ME, 1, 1),)))

        nursery.start_soon(server)
        await first(feed, MessageAdded)
        assert client.conversations.list()[0].unread == 1
        assert await client.receipts.mark_read(CONV, 1) == 1
        assert client.conversations.list()[0].unread == 0
        assert (await first(feed, ReceiptChanged)).marks == (wire.Watermark(ME, 1, 1),)
        assert await client.receipts.who_read(CONV, 1) == (wire.Watermark(ME, 1, 1),)
        assert client.log(CONV).marks == {ME: wire.Watermark(ME, 1, 1)}


async def test_inflight_is_what_the_server_allows(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    """More would be answered with 5002; the rest waits its turn."""
    async with meet(stage, opened()) as (client, peer), trio.open_nursery() as nursery:
        for number in range(100):
            nursery.start_soon(client.accounts.find, f"user{number}")
        await trio.sleep(1)
        asked = peer.heard(wire.UserFind)
        assert len(asked) == 64
        for count, request in enumerate(asked, 1):
            peer.say(wire.UserFindOk(request.rid, wire.User(1, request.handle)))
            await trio.sleep(1)
            assert len(peer.heard(wire.UserFind)) == min(100, 64 + count)
        for request in peer.heard(wire.UserFind)[64:]:
            peer.say(wire.UserFindOk(request.rid, wire.User(1, request.handle)))


async def test_a_fill_that_is_put_off_is_asked_again(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    """5000 on CHANGES: after the time the server asked for, not before."""
    async with meet(stage, opened(), row(CONV, 1)) as (client, peer):
        asked = await peer.expect(wire.Changes)
        start = trio.current_time()
        peer.say(wire.Error(asked.rid, code=5000, retry_ms=2000))
        asked = await peer.expect(wire.Changes)
        assert trio.current_time() - start >= 2
        peer.say(wire.ChangesOk(asked.rid, 1, (record(1),), False))
        await client.synced()
        assert client.log(CONV).pos == 1


async def test_a_server_that_knows_less_than_it_said_is_asked_again_later(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """Another node may lag behind: not at once, and not never."""
    async with meet(stage, opened(), row(CONV, 2)) as (client, peer):
        asked = await peer.expect(wire.Changes)
        times = [trio.current_time()]
        for _ in range(4):
            peer.say(wire.ChangesOk(asked.rid, 0, (), False))
            asked = await peer.next_of(wire.Changes)
            times.append(trio.current_time())
        assert all(1 <= after - before <= 6 for before, after in pairwise(times))
        peer.say(wire.ChangesOk(asked.rid, 2, (record(1), record(2)), False))
        await client.synced()
        assert client.log(CONV).pos == 2


async def test_a_slow_reader_of_events_is_told_to_look_again(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """P6 for programs: the receiving path never waits for them, and memory stays bounded."""
    async with meet(stage, opened(), row(CONV, 0)) as (client, peer):
        await client.synced()
        feed = client.events(events_max=5)
        peer.say(*(entry(CONV, seq) for seq in range(1, 41)))
        while client.log(CONV).pos < 40:
            await peer.expect(wire.Ack)
        events = await drained(feed, 5)
        assert isinstance(events[0], Refresh)
        assert len(client.log(CONV).records) == 40


async def drained(feed: object, events_max: int) -> list[Event]:
    found: list[Event] = []
    with trio.move_on_after(1):
        async for event in feed:  # type: ignore[attr-defined]
            found.append(event)
    assert len(found) <= events_max
    return found


async def test_a_slow_reader_still_learns_what_failed() -> None:
    """A refused entry stands nowhere else."""
    events = Events()
    feed = events.feed(3)
    failed = SendFailed(CONV, b"c" * 8, 1, text("lost?"), None, Refused("no", code=4001))
    events.publish(failed)
    for seq in range(10):
        events.publish(MessageAdded(CONV, record(seq + 1)))
    events.close(None)
    found = [event async for event in feed]
    assert failed in found
    assert Refresh() in found


async def test_everything_ends_with_the_client(
    autojump_clock: MockClock, stage: Stage, opened: Opened, tmp_path: Path
) -> None:
    """Feeds end, waiting calls raise, and an exception of the program comes out as it is."""
    clients: list[Client] = []
    with pytest.RaisesGroup(pytest.RaisesExc(KeyError), flatten_subgroups=True):
        async with meet(stage, opened(cache=tmp_path / "cache"), row(CONV, 0)) as (client, _):
            clients.append(client)
            feed = client.events()
            raise KeyError("mine")
    while True:
        try:
            await anext(feed)
        except StopAsyncIteration:
            break
    with pytest.raises(Exception, match="closed"):
        await clients[0].messages.send(CONV, "late")
    with pytest.raises(Exception, match="closed"):
        await clients[0].accounts.find("late")


async def test_an_error_of_the_program_is_not_wrapped(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    async with trio.open_nursery() as nursery:

        async def server() -> None:
            peer: Peer = await stage.connection()
            await peer.login()

        nursery.start_soon(server)
        with pytest.raises(KeyError):
            async with opened():
                raise KeyError("mine")


async def test_the_last_ack_is_sent_on_leaving(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    """A program that prints one message and ends has received it."""
    peers = []
    async with meet(stage, opened(), row(CONV, 0)) as (client, peer):
        peers.append(peer)
        feed = client.events()
        peer.say(entry(CONV, 1))
        await first(feed, MessageAdded)
    assert [ack.n for ack in peers[0].heard(wire.Ack)] == [1]


async def test_p12_what_fills_the_cache_is_asked_again_until_it_is_denied(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """5xxx: again after retry_ms while something is lacking. 4002: the conversation is forgotten."""
    async with meet(stage, opened(), row(CONV, 3), row(CONV + 1, 0)) as (client, peer):
        asked = await peer.next_of(wire.Changes)
        start = trio.current_time()
        peer.say(wire.Error(asked.rid, code=5000, retry_ms=3000))
        again = await peer.next_of(wire.Changes)
        assert (again.conv, again.since) == (CONV, 0)
        assert trio.current_time() - start >= 3
        peer.say(wire.Error(again.rid, code=4002))
        await client.synced()
        assert [known.conv for known in client.conversations.list()] == [CONV + 1]


async def test_a_reply_with_wrong_fields_fails_its_request_alone(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """4-20: the connection lives; a push with wrong fields ends it."""
    async with meet(stage, opened(), row(CONV, 0)) as (client, peer), trio.open_nursery() as nursery:

        async def server() -> None:
            asked = await peer.next_of(wire.UserFind)
            peer.raw(b"\0\0\0\3\x92\x4f" + bytes([asked.rid]))

        nursery.start_soon(server)
        with pytest.raises(Refused) as refusal:
            await client.accounts.find("bob")
        assert refusal.value.code == 3000
        feed = client.events()
        peer.say(entry(CONV, 1))
        await first(feed, MessageAdded)
        assert client.connected
        peer.raw(b"\0\0\0\2\x91\x10")
        await first(feed, Disconnected)

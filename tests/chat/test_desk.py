"""What the program knows, over a scripted server: the list, the window, what is read, what failed."""

import time

import trio
from trio.testing import MockClock

from tests.client.conftest import Opened
from tests.client.stage import DEVICE, ME, OTHER, Stage, edit, entry, meet, row
from wirechat import wire
from wirechat.cli.chat.desk import Desk
from wirechat.cli.chat.status import Status
from wirechat.cli.chat.timeline import Message, Tick
from wirechat.cli.chat.window import PAGE, RECORDS_MAX
from wirechat.client import Client, Connected, ConnectionFailed, Disconnected, Resynced, SendFailed

A, B = 5, 6


class Watch:
    """A desk and the events that keep it up to date."""

    def __init__(self, client: Client) -> None:
        self.desk = Desk(client, trio.current_time)
        self._feed = client.events(events_max=5000)

    async def look(self) -> Desk:
        """Takes in what has happened."""
        with trio.move_on_after(1):
            async for event in self._feed:
                self.desk.happened(event)
        self.desk.look()
        return self.desk


def texts(desk: Desk) -> list[str | None]:
    return [row.text for row in desk.rows() if isinstance(row, Message)]


async def test_the_list_orders_counts_and_previews(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    """The liveliest first; unread are messages of others that still say something, as docs/protocol.md 13 has it."""
    async with meet(stage, opened(), row(A, 0), row(B, 0)) as (client, peer):
        watch = Watch(client)
        peer.say(entry(A, 1, "one"), entry(A, 2, "two"), entry(B, 1, "later", ts=5000))
        peer.say(entry(A, 3, kind=3, ref=2, content=None), entry(A, 4, "mine", sender=ME), edit(A, 5, 1, "uno"))
        peer.say(entry(B, 2, "@ann", ts=6000, users=(ME,)))
        desk = await watch.look()
        lines = [(chat.conv, chat.title, chat.preview, chat.unread, chat.mentions) for chat in desk.chats.ordered()]
        assert lines == [(B, "conv 6", "user 0008: @ann", 2, 1), (A, "conv 5", "You: mine", 1, 0)]
        assert [chat.conv for chat in desk.chats.matching("CONV 5")] == [A]
        assert desk.people.wanted >= {OTHER}
        assert desk.chats.seen(B, 2)
        assert not desk.chats.seen(B, 1)
        assert [chat.unread for chat in desk.chats.ordered()] == [0, 1]
        assert (desk.neighbour(0), desk.neighbour(5)) == (B, B)
        desk.open(B)
        assert (desk.neighbour(1), desk.neighbour(9), desk.neighbour(-1)) == (A, A, B)


async def test_a_count_stops(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    async with meet(stage, opened(), row(A, 0)) as (client, peer):
        watch = Watch(client)
        peer.say(*(entry(A, seq) for seq in range(1, 150)))
        [chat] = (await watch.look()).chats.ordered()
        assert (chat.unread, chat.count) == (149, "99+")


async def test_a_window_moves_through_a_long_log(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    """It begins at the first unread, is bounded, whichever way one goes, and nothing is skipped on the way."""
    async with meet(stage, opened(), row(A, 0)) as (client, peer):
        watch = Watch(client)
        for start in range(1, 1501, 100):
            peer.say(*(entry(A, seq) for seq in range(start, start + 100)))
        desk = await watch.look()
        desk.open(A)
        window = desk.window
        assert window is not None
        assert (min(window.view.records), window.live, desk.newer(1)) == (1, False, "999+")
        window.newest()
        assert (min(window.view.records), max(window.view.records), window.live) == (1500 - PAGE + 1, 1500, True)
        seen = set(window.view.records)
        for _ in range(20):
            window.older()
            assert len(window.view.records) <= RECORDS_MAX
            seen |= set(window.view.records)
        assert (seen, min(window.view.records), window.live) == (set(range(1, 1501)), 1, False)
        seen = set(window.view.records)
        while not window.live:
            window.newer()
            assert len(window.view.records) <= RECORDS_MAX
            seen |= set(window.view.records)
        assert seen == set(range(1, 1501))
        window.around(700)
        assert {699, 700, 701} <= set(window.view.records)
        assert not window.live
        window.newest()
        assert (max(window.view.records), window.lacks) == (1500, None)


async def test_what_a_jump_left_out_is_wanted(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    async with meet(stage, opened(jump_entries=10), row(A, 50)) as (client, _):
        desk = await Watch(client).look()
        desk.open(A)
        assert desk.window is not None
        assert (desk.window.lacks, desk.chats.unseen()) == (51, [A])


async def test_p2_what_is_written_stands_there_once(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    """While it waits, between the reply and the record, and after."""
    async with meet(stage, opened(), row(A, 0)) as (client, peer):
        watch = Watch(client)
        watch.desk.open(A)
        await client.messages.send_soon(A, "hello")
        desk = await watch.look()
        assert (texts(desk), desk.waiting, desk.status.line(desk.waiting)) == (
            ["hello"],
            1,
            "◐ catching up · 1 waiting to be sent",
        )
        send = await peer.next_of(wire.Send)
        peer.say(wire.SendOk(send.rid, 2, 1000))
        desk = await watch.look()
        assert (texts(desk), desk.waiting) == (["hello"], 0)
        changes = await peer.next_of(wire.Changes)
        mine = wire.Record(2, 2, 1000, ME, 1, wire.Content(1, "hello"), cid=send.cid)
        peer.say(
            wire.ChangesOk(changes.rid, 2, (wire.Record(1, 1, 900, OTHER, 6, None, None, (ME, OTHER)), mine), False)
        )
        desk = await watch.look()
        ticks = [row.tick for row in desk.rows() if isinstance(row, Message)]
        assert (texts(desk), ticks) == (["hello"], [Tick.SENT])


async def test_p12_what_is_refused_is_told(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    """It leaves the conversation and comes back to the person with its text."""
    async with meet(stage, opened(), row(A, 0)) as (client, peer):
        watch = Watch(client)
        watch.desk.open(A)
        await client.messages.send_soon(A, "nope")
        send = await peer.next_of(wire.Send)
        peer.say(wire.Error(send.rid, code=4001, message="not a member"))
        desk = await watch.look()
        assert texts(desk) == []
        [failure] = desk.failures
        assert isinstance(failure, SendFailed)
        assert (failure.content, failure.error.message) == (wire.Content(1, "nope"), "not a member")


async def test_what_is_seen_is_what_is_marked(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    """At the end everything is read, changes of older messages included; further up only what was seen."""
    async with meet(stage, opened(), row(A, 0)) as (client, peer):
        watch = Watch(client)
        peer.say(entry(A, 1), entry(A, 2), edit(A, 3, 1, "x"))
        desk = await watch.look()
        desk.open(A)
        assert (desk.unread_upto(1), desk.unread_upto(2)) == (1, 3)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.receipts.mark_read, A, 3)
            mark = await peer.next_of(wire.Mark)
            peer.say(wire.MarkOk(mark.rid, 3), wire.Receipt(A, 0, 1, (wire.Watermark(ME, 3, 3),)))
        await watch.look()
        assert desk.unread_upto(2) is None


async def test_members_are_asked_for_again_when_they_changed(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """Until the server has said, whoever spoke is there to be mentioned."""
    async with meet(stage, opened(), row(A, 0)) as (client, peer):
        watch = Watch(client)
        peer.say(entry(A, 1))
        desk = await watch.look()
        assert not desk.needs_members()
        desk.open(A)
        assert desk.needs_members()
        desk.has_members(A, [wire.Member(ME, 1, 1), wire.Member(OTHER, 4, 1)])
        assert not desk.needs_members()
        peer.say(entry(A, 2, kind=7, users=(9,)))
        await watch.look()
        assert desk.needs_members()


async def test_a_draft_stays_with_its_conversation(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    async with meet(stage, opened(), row(A, 0), row(B, 0)) as (client, _):
        desk = await Watch(client).look()
        desk.open(A)
        desk.draft.text = "half a"
        desk.open(B)
        assert desk.draft.text == ""
        desk.open(A)
        assert desk.draft.text == "half a"


def test_the_state_of_the_connection_is_told() -> None:
    """Connecting, offline until when and why, catching up, connected."""
    clock = [100.0]
    status = Status(lambda: clock[0])
    assert status.line(0) == "○ offline · connecting"
    status.happened(Disconnected(ConnectionFailed("gone"), 5.0))
    assert status.line(2) == "○ offline · next attempt in 5 s · 2 waiting to be sent · gone"
    clock[0] = 104.5
    assert status.line(0) == "○ offline · connecting · gone"
    status.happened(Connected(ME, DEVICE))
    assert status.line(0) == "◐ catching up"
    status.caught_up = True
    assert status.line(1) == "● connected · 1 waiting to be sent"
    status.happened(Resynced())
    assert status.line(0) == "◐ catching up"


async def test_who_is_there_and_who_writes(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    """In words, as far as one may know; the peers of direct conversations are worth watching."""
    async with meet(stage, opened(), row(A, 0)) as (client, peer):
        watch = Watch(client)
        peer.describe = False
        peer.say(entry(A, 1, kind=6, users=(ME, OTHER)))  # it makes the client ask again
        asked = await peer.next_of(wire.ConvGet)
        peer.say(wire.ConvGetOk(asked.rid, (wire.Info(A, 1, 1, 2, None, OTHER),)))
        desk = await watch.look()
        desk.open(A)
        assert (desk.watched(), desk.title()) == ((OTHER,), ("user 0008", ""))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.presence.watch, desk.watched())
            asked_who = await peer.next_of(wire.PresenceSub)
            peer.say(wire.PresenceSubOk(asked_who.rid, (wire.Status(OTHER, True),)))
        assert (desk.title()[1], [chat.online for chat in desk.listed()]) == ("online", [True])
        peer.say(wire.Presence((wire.Status(OTHER, False, int(time.time() * 1000)),)), wire.Typing(A, True, OTHER))
        await trio.sleep(0.1)
        assert (desk.title()[1], desk.presence.writing(A)) == ("last seen just now", "user 0008 is writing …")
        assert desk.presence.writing(B) == ""

"""Pins, forwards, mentions, single records and counts, over a scripted server."""

from pathlib import Path
from random import Random

import apsw
import attrs
import pytest
import trio
from trio.testing import MockClock

from tests.client.conftest import Opened
from tests.client.stage import ME, OTHER, Peer, Stage, entry, first, meet, nothing_unsent, record, row, text
from wirechat import wire
from wirechat.client import MessageAdded, RecordChanged, Refused, Resynced, SendFailed
from wirechat.client.cache import APPLICATION_ID, Cache
from wirechat.client.outbox import Entry
from wirechat.client.unread import Unread, count
from wirechat.wire.registries import EntryKind

CONV, TO = 5, 6


def change(seq: int, kind: int, ref: int, content: wire.Content | None = None) -> wire.Event:
    """An entry of the other user about a message."""
    return wire.Event(CONV, seq, 1000 + seq, OTHER, kind, content, ref)


# writing


async def test_a_message_carries_its_mentions_and_so_does_its_record(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """[11-19]: each user once, in the request and in one's own log; an edit replaces them."""
    async with meet(stage, opened(), row(CONV, 0)) as (client, peer), trio.open_nursery() as nursery:

        async def server() -> None:
            for seq, users in ((1, (OTHER, ME)), (2, (9,)), (3, None)):
                asked = await peer.next_of(wire.Send)
                assert asked.mentions == users
                peer.say(wire.SendOk(asked.rid, seq, 1000 + seq))

        nursery.start_soon(server)
        await client.messages.send(CONV, "hi", mentions=[OTHER, ME, OTHER])
        assert client.log(CONV).records[1].users == (OTHER, ME)
        await client.messages.edit(CONV, 1, "ho", mentions=[9])
        await client.messages.edit(CONV, 1, "hm")
        assert (client.log(CONV).pos, client.log(CONV).records[1].users) == (3, None)


async def test_a_forward_is_fetched_because_only_the_server_knows_its_text(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """[11-18]: SEND_OK is evidence; the record comes with CHANGES."""
    async with meet(stage, opened(), row(CONV, 0), row(TO, 0)) as (client, peer), trio.open_nursery() as nursery:
        copied = attrs.evolve(record(1, content="copied"), sender=ME, origin=wire.Origin(OTHER, 7))

        async def server() -> None:
            asked = await peer.next_of(wire.Send)
            assert (asked.conv, asked.kind, asked.content, asked.forward) == (TO, 1, None, wire.Source(CONV, 4))
            peer.say(wire.SendOk(asked.rid, 1, 1000))
            fetched = await peer.next_of(wire.Changes)
            peer.say(wire.ChangesOk(fetched.rid, 1, (copied,), False))

        nursery.start_soon(server)
        feed = client.events()
        assert (await client.messages.forward(CONV, 4, TO)).seq == 1
        assert (await first(feed, MessageAdded)).record == copied
        await client.synced()
        assert client.log(TO).records == {1: copied}


async def test_pins_change_the_record_here_and_there(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    """P5: one's own PIN by its SEND_OK, another's UNPIN by its EVENT."""
    async with meet(stage, opened(), row(CONV, 0)) as (client, peer), trio.open_nursery() as nursery:

        async def server() -> None:
            peer.say(entry(CONV, 1))
            for seq, kind in ((2, EntryKind.PIN), (4, EntryKind.UNPIN)):
                asked = await peer.next_of(wire.Send)
                assert (asked.kind, asked.ref, asked.content) == (kind, 1, None)
                peer.say(wire.SendOk(asked.rid, seq, 1000 + seq))
                if seq == 2:
                    peer.say(change(3, EntryKind.REACT, 1, wire.Content(2, "+")))

        nursery.start_soon(server)
        feed = client.events()
        await first(feed, MessageAdded)
        await client.messages.pin(CONV, 1)
        assert (await first(feed, RecordChanged)).record.pinned == 2
        await first(feed, RecordChanged)
        await client.messages.unpin(CONV, 1)
        assert (await first(feed, RecordChanged)).record.pinned is None
        peer.say(change(5, EntryKind.PIN, 1))
        assert (await first(feed, RecordChanged)).record.pinned == 5
        assert list(client.log(CONV).records) == [1]


async def test_our_client_asks_for_pins(autojump_clock: MockClock, stage: Stage, opened: Opened) -> None:
    """[9-17]: otherwise it would be told by rows."""
    async with meet(stage, opened()) as (_, peer):
        assert wire.registries.Capability.PINS in peer.heard(wire.Hello)[0].caps


# the outbox on disk


async def test_p2_forwards_and_mentions_survive_a_crash(
    autojump_clock: MockClock, stage: Stage, opened: Opened, tmp_path: Path
) -> None:
    """What was queued goes out after the next start, the same in all its fields."""
    path = tmp_path / "cache"
    async with meet(stage, opened(cache=path), row(CONV, 0), row(TO, 0)) as (client, peer):
        with trio.move_on_after(1):
            await client.messages.forward(CONV, 4, TO)
        await client.messages.send_soon(CONV, "hi", None, (OTHER, 9))
        before = [await peer.next_of(wire.Send), await peer.next_of(wire.Send)]
    async with meet(stage, opened(cache=path), row(CONV, 0), row(TO, 0)) as (client, peer):
        again = [await peer.next_of(wire.Send), await peer.next_of(wire.Send)]
    assert {asked.conv: attrs.evolve(asked, rid=0) for asked in before} == {
        asked.conv: attrs.evolve(asked, rid=0) for asked in again
    }
    assert (before[0].forward, before[1].mentions) == (wire.Source(CONV, 4), (OTHER, 9))


async def test_a_reset_voids_forwards(autojump_clock: MockClock, stage: Stage, opened: Opened, tmp_path: Path) -> None:
    """[11-15]: the seq of its source may name another message now."""
    async with meet(stage, opened(), row(CONV, 4), row(TO, 0)) as (client, peer), trio.open_nursery() as nursery:
        feed = client.events()

        async def forward() -> None:
            with pytest.raises(Refused):
                await client.messages.forward(CONV, 4, TO)

        nursery.start_soon(forward)
        await peer.next_of(wire.Send)
        peer.abort()
        again: Peer = await stage.connection()
        await again.synced(row(CONV, 1), mode=2)
        await first(feed, Resynced)
        await nothing_unsent(client)
        assert again.heard(wire.Send) == []


async def test_a_refused_forward_that_nobody_waits_for_is_told(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """With what it was to forward."""
    async with meet(stage, opened(), row(TO, 0)) as (client, peer):
        feed = client.events()
        with trio.move_on_after(1):
            await client.messages.forward(CONV, 4, TO)
        asked = await peer.next_of(wire.Send)
        peer.say(wire.Error(asked.rid, code=4000))
        failed = await first(feed, SendFailed)
        assert (failed.content, failed.forward, failed.error.code) == (None, wire.Source(CONV, 4), 4000)


VERSION_2 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE log (
    conv INTEGER PRIMARY KEY, pos INTEGER NOT NULL, want INTEGER NOT NULL, catch INTEGER NOT NULL,
    low INTEGER NOT NULL, rpos INTEGER NOT NULL, rwant INTEGER NOT NULL, delivered INTEGER NOT NULL,
    read INTEGER NOT NULL, former INTEGER NOT NULL, former_at INTEGER NOT NULL, described INTEGER NOT NULL
);
CREATE TABLE record (
    conv INTEGER NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (conv, seq)
) WITHOUT ROWID;
CREATE TABLE mark (
    conv INTEGER NOT NULL, user INTEGER NOT NULL, delivered INTEGER NOT NULL, read INTEGER NOT NULL,
    PRIMARY KEY (conv, user)
) WITHOUT ROWID;
CREATE TABLE conversation (conv INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE user (user INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE outbox (
    place INTEGER PRIMARY KEY AUTOINCREMENT, conv INTEGER NOT NULL, cid BLOB NOT NULL, kind INTEGER NOT NULL,
    content BLOB, ref INTEGER, UNIQUE (conv, cid)
);
INSERT INTO meta VALUES ('user', 7), ('device', 70), ('token', x'4831');
INSERT INTO log VALUES (5, 1, 1, 0, 1, 0, 0, 1, 0, 0, 0, 1);
"""


def test_a_cache_of_version_2_keeps_its_outbox_and_its_logs(tmp_path: Path) -> None:
    """P2: a text that waits there exists nowhere else."""
    path = str(tmp_path / "cache")
    old = apsw.Connection(path)
    old.execute(VERSION_2)
    old.execute("INSERT INTO record VALUES (5, 1, ?)", (record(1).pack(),))
    old.execute("INSERT INTO outbox (conv, cid, kind, content) VALUES (5, ?, 1, ?)", (b"c" * 8, text("late").pack()))
    old.pragma("application_id", APPLICATION_ID)
    old.pragma("user_version", 2)
    old.close()
    for _ in range(2):
        cache = Cache(path, b"a" * 16)
        (waiting,) = cache.outbox
        assert (waiting.conv, waiting.cid, waiting.content) == (5, b"c" * 8, text("late"))
        assert (waiting.mentions, waiting.forward) == ((), None)
        assert (cache.identity.user, cache.token, cache.logs[5].pos) == (7, b"H1", 1)
        assert cache.view(5).records == {1: record(1)}
        cache.close()
    cache = Cache(path, b"a" * 16)
    cache.add_entry(Entry(5, b"d" * 8, 1, mentions=(8,), forward=wire.Source(5, 1)))
    cache.write(cache.take())
    cache.close()
    cache = Cache(path, b"a" * 16)
    assert [(each.mentions, each.forward) for each in cache.outbox] == [((), None), ((8,), wire.Source(5, 1))]
    cache.close()


# reading what is not held


async def test_single_records_come_in_order_however_the_server_cuts_them(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """[12-31]: at most 100 at a time, the rest asked again; they do not enter the log."""
    async with meet(stage, opened(jump_entries=0), row(CONV, 300)) as (client, peer), trio.open_nursery() as nursery:
        asked: list[tuple[int, ...]] = []

        async def server() -> None:
            for kept, more in (((200, 198), True), ((197,), False), ((), False)):
                request = await peer.next_of(wire.Records)
                asked.append(request.seqs)
                peer.say(wire.RecordsOk(request.rid, tuple(record(seq) for seq in kept), more))

        nursery.start_soon(server)
        wanted = [*range(200, 50, -1), 200]
        assert [each.seq for each in await client.history.records(CONV, wanted)] == [200, 198, 197]
        assert asked == [tuple(range(200, 100, -1)), tuple(range(197, 97, -1)), tuple(range(97, 50, -1))]
        assert client.log(CONV).records == {}


async def test_pins_and_mentions_are_asked_of_the_server(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """[12-32], [12-33]."""
    async with meet(stage, opened()) as (client, peer), trio.open_nursery() as nursery:
        pin = wire.Pin(4, 9, OTHER, 1000)

        async def server() -> None:
            asked = await peer.next_of(wire.Pins)
            peer.say(wire.PinsOk(asked.rid, (pin,)))
            for hi in (None, 6):
                request = await peer.next_of(wire.Mentions)
                assert (request.conv, request.hi, request.limit) == (CONV, hi, 2)
                peer.say(wire.MentionsOk(request.rid, (9, 7) if hi is None else (), hi is None))

        nursery.start_soon(server)
        assert await client.history.pins(CONV) == (pin,)
        page = await client.history.mentions(CONV, limit=2)
        assert (page.seqs, page.more) == ((9, 7), True)
        page = await client.history.mentions(CONV, before=page.seqs[-1], limit=2)
        assert (page.seqs, page.more) == ((), False)
        assert (await client.history.mentions(CONV, before=1)).more is False


# what is unread


def test_what_counts_as_unread() -> None:
    """[13-11]: the definition, record by record."""
    named = attrs.evolve(record(4), users=(9, ME))
    records = [
        record(2),
        attrs.evolve(record(3), sender=ME, users=(ME,)),
        named,
        attrs.evolve(record(5), content=None),
        attrs.evolve(record(6), kind=EntryKind.ADD, users=(ME,), content=None),
        attrs.evolve(record(7), sender=9, users=(ME,)),
    ]
    assert count(CONV, records, me=ME, read=0, head=9) == wire.Count(CONV, 9, 0, 3, 2)
    assert count(CONV, records, me=ME, read=2, head=9, blocked={9}) == wire.Count(CONV, 9, 2, 1, 1)
    assert count(CONV, records, me=ME, read=9, head=9) == wire.Count(CONV, 9, 9, 0, 0)
    head = wire.limits.UNREAD_ENTRIES + 4
    assert count(CONV, records, me=ME, read=1, head=head) == wire.Count(CONV, head, 1, 1, 1, True)


async def test_counts_come_from_the_cache_where_it_is_complete(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """[13-14]: and follow what happens; the server is asked for the others, and for what it left."""
    rows = (row(CONV, 0), row(TO, 9, read=2), row(7, 9, read=8), row(8, 3, state=1))
    async with meet(stage, opened(jump_entries=2), *rows) as (client, peer), trio.open_nursery() as nursery:
        feed = client.events()

        async def server() -> None:
            for convs, counts, left in (
                ((TO, 7, 42), (wire.Count(TO, 9, 2, 5, 1),), (7,)),
                ((7,), (wire.Count(7, 9, 8, 0, 0),), None),
            ):
                asked = await peer.next_of(wire.Unread)
                assert asked.convs == convs
                peer.say(wire.UnreadOk(asked.rid, counts, left))

        nursery.start_soon(server)
        assert client.receipts.counted() == {CONV: wire.Count(CONV, 0, 0, 0, 0)}
        assert await client.receipts.unread([CONV, TO, 7, 8, 42]) == {
            CONV: wire.Count(CONV, 0, 0, 0, 0), TO: wire.Count(TO, 9, 2, 5, 1), 7: wire.Count(7, 9, 8, 0, 0),
        }  # fmt: skip
        peer.say(entry(CONV, 1, users=(ME,)), entry(CONV, 2))
        await first(feed, MessageAdded)
        assert client.receipts.counted()[CONV] == wire.Count(CONV, 2, 0, 2, 1)
        peer.say(change(3, EntryKind.DELETE, 1))
        await first(feed, RecordChanged)
        assert client.receipts.counted()[CONV] == wire.Count(CONV, 3, 0, 1, 0)
        peer.say(wire.Rows((row(CONV, 3, read=2),), None))
        while client.receipts.counted()[CONV].unread:  # noqa: ASYNC110  a row is no event
            await trio.sleep(0.01)
        peer.say(wire.Rows((row(CONV, 4),), None))
        asked = await peer.next_of(wire.Changes)
        assert CONV not in client.receipts.counted()
        peer.say(wire.ChangesOk(asked.rid, 4, (record(4),), False))
        await client.synced()
        assert client.receipts.counted()[CONV] == wire.Count(CONV, 4, 2, 1, 0)


async def test_a_server_that_counts_nothing_does_not_hang_the_client(
    autojump_clock: MockClock, stage: Stage, opened: Opened
) -> None:
    """P12 for the other side: what it leaves without having counted anything is given up."""
    async with meet(stage, opened(jump_entries=0), row(CONV, 9)) as (client, peer), trio.open_nursery() as nursery:

        async def server() -> None:
            asked = await peer.next_of(wire.Unread)
            peer.say(wire.UnreadOk(asked.rid, (), asked.convs))

        nursery.start_soon(server)
        assert await client.receipts.unread() == {}


def test_a_count_is_made_once_for_each_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of many conversations costs what changed in it."""
    cache = Cache(None, b"a" * 16)
    unread = Unread(cache, lambda: ME)
    from wirechat.client.log import Log

    logs = [Log(conv, pos=2, want=2) for conv in range(1, 101)]
    for log in logs:
        cache.put_log(log)
        cache.put_record(log.conv, record(1))
        cache.put_record(log.conv, record(2))
    asked: list[int] = []
    above = cache.records_above
    monkeypatch.setattr(cache, "records_above", lambda conv, seq: asked.append(conv) or above(conv, seq))
    assert [unread.of(log) for log in logs] == [wire.Count(log.conv, 2, 0, 2, 0) for log in logs]
    cache.write(cache.take())
    cache.written()
    assert len(asked) == 100
    cache.put_record(7, attrs.evolve(record(2, rev=3), content=None))
    logs[8].read = 1
    assert [log.conv for log in logs if unread.of(log) != wire.Count(log.conv, 2, 0, 2, 0)] == [7, 9]
    assert asked[100:] == [7, 9]
    cache.close()


@pytest.mark.parametrize("seed", range(20))
def test_records_above_are_those_of_now(seed: int) -> None:
    """Written, being written, or not yet: as one would read them after all is written."""
    chance, cache, expected = Random(seed), Cache(None, b"a" * 16), dict[int, wire.Record]()
    for step in range(60):
        deed = chance.random()
        if deed < 0.6:
            made = record(chance.randint(1, 20), rev=100 + step)
            cache.put_record(CONV, made)
            expected[made.seq] = made
        elif deed < 0.65:
            cache.drop_records(CONV)
            expected.clear()
        elif deed < 0.7:
            cache.wipe()
            expected.clear()
        elif cache.dirty:
            statements = cache.take()
            cache.write(statements)
            if chance.random() < 0.5:
                cache.written()
        seq = chance.randint(0, 20)
        found = {each.seq: each for each in cache.records_above(CONV, seq)}
        assert found == {each: made for each, made in expected.items() if each > seq}
    cache.close()

"""Section 12 of docs/protocol.md, where no transcript and no test of a wing shows it: receiving and resuming, seen from
the server's side. Tests are named by the rule they show.
"""

import itertools
import os
import random
from pathlib import Path

import pytest
import trio

from tests.server.rig import Client, serving
from tests.transcripts.people import add, changes, delete, done, edit, history, marks, msg, pong, react, remove
from wirechat import wire
from wirechat.store.tx import Tx


async def delivered(client: Client, conv: int, whose: Client, above: int = 0) -> int:
    """The delivered watermark once it rose; raising it may take the server a second (13-2)."""
    with trio.fail_after(10):
        while True:
            found = {mark.user: mark.delivered for mark in (await marks(client, conv)).marks}
            if found.get(whose.user, 0) > above:
                return found[whose.user]
            await trio.sleep(0.1)


async def settled(client: Client, *convs: int) -> dict[int, int]:
    """The own delivered watermarks after whatever the server still had to write."""
    await trio.sleep(1.3)
    found = {}
    for conv in convs:
        known = {mark.user: mark.delivered for mark in (await marks(client, conv)).marks}
        found[conv] = known.get(client.user, 0)
    return found


async def test_12_2_the_count_starts_anew_with_each_connection(tmp_path: Path) -> None:
    """EVENT, RECEIPT and ROWS are counted, replies are not."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        await alice.say(conv, "two")
        await bob.expect(wire.Event)
        await bob.send(wire.Ack(2))
        await bob.expect(wire.Receipt)
        await bob.send(wire.Ack(3))
        await pong(bob)
        back = await rig.again(bob)
        await back.sync()
        await back.send(wire.Ack(0))
        await pong(back)
        await back.send(wire.Ack(1))
        assert await back.closed() == 1006


async def test_12_4_a_lower_number_moves_nothing_but_its_list_counts(tmp_path: Path) -> None:
    """Positions of conversations may come late."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv, other = await rig.group(alice, bob), await rig.group(alice, bob)
        await alice.say(conv, "two")
        await bob.expect(wire.Event)
        await bob.send(wire.Ack(3, (wire.Held(conv, 0), wire.Held(other, 0))))
        assert await settled(bob, conv, other) == {conv: 0, other: 0}
        await bob.send(wire.Ack(1, (wire.Held(conv, 2),)))
        assert await settled(bob, conv, other) == {conv: 2, other: 0}


async def test_12_5_a_round_keeps_to_the_window_and_loses_nothing(tmp_path: Path) -> None:
    """230 conversations changed behind a window of 1: ROWS come one at a time, the token with the last of them."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob", 1)
        convs = [await rig.group(alice)]
        await add(alice, convs[0], bob)
        for _ in range(229):
            made = await alice.ask(wire.ConvNew(0, os.urandom(8), 2, (bob.user,)), wire.ConvNewOk)
            convs.append(made.conv)
        await bob.expect(wire.Event)
        await bob.silence()
        rows: list[wire.Row] = []
        for number in itertools.count(1):
            await bob.send(wire.Ack(number))
            page = await bob.expect(wire.Rows)
            await bob.silence(0.05)
            assert len(page.rows) <= 100
            rows += page.rows
            if page.token is not None:
                break
        assert {row.conv for row in rows} >= set(convs[1:])
        await bob.send(wire.Ack(number + 1))
        await alice.say(convs[5], "live again")
        for later in itertools.count(number + 2):  # receipts take a place in the window too
            push = await bob.expect(wire.Message, lambda frame: frame.RANGE == "counted")
            if isinstance(push, wire.Event) or wire.Row(convs[5], 2, 0, 0, 0) in getattr(push, "rows", ()):
                break
            await bob.send(wire.Ack(later))
        back = await rig.again(bob)
        changed = {row.conv for each in await back.sync(page.token) for row in each.rows}
        assert changed >= {convs[5]}
        assert len(changed) < 5  # the token came with the rows: they need not come again


async def test_12_6_a_window_below_what_is_unacknowledged_stops_the_pushes(tmp_path: Path) -> None:
    """Until enough is acknowledged; replies, SYNC and PONG do not care."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        for number in range(4):
            await alice.say(conv, str(number))
            await bob.expect(wire.Event)
        await bob.send(wire.State(True, 2))
        await pong(bob)
        await alice.say(conv, "unheard")
        await bob.silence()
        assert (await changes(bob, conv)).upto == 6
        await bob.send(wire.Ack(3))
        await bob.silence()
        await bob.send(wire.Ack(5))
        assert (await bob.expect(wire.Rows)).rows[0].head == 6


async def test_12_6_who_starts_with_window_zero_is_synced_all_the_same(tmp_path: Path) -> None:
    """All pages, replies and PONG, and not one push."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob", 0)
        conv = await rig.group(alice)
        await add(alice, conv, bob)
        await bob.silence()
        back = await rig.again(bob, 0)
        (page,) = await back.sync()
        assert [(row.conv, row.head) for row in page.rows] == [(conv, 2)]
        await alice.say(conv, "three")
        await pong(back)
        assert back.seen == []
        await back.send(wire.State(True, 1))
        assert (await back.expect(wire.Rows)).rows[0].head == 3


async def test_12_8_and_12_10_pages_of_the_digest(tmp_path: Path) -> None:
    """200 rows unless asked for fewer or more, every page with the mode of the first, the token with the last."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        convs = sorted([await rig.group(alice) for _ in range(205)])
        for page_rows, lengths in ((None, [200, 5]), (500, [205]), (100, [100, 100, 5])):
            back = await rig.again(alice)
            pages = [await back.ask(wire.Sync(0, None, page_rows or 200), wire.SyncOk)]
            while pages[-1].cursor is not None:
                request = wire.Sync(0, None, page_rows or 200, pages[-1].cursor)
                pages.append(await back.ask(request, wire.SyncOk))
            assert [len(page.rows) for page in pages] == lengths
            assert [row.conv for page in pages for row in page.rows] == convs
            assert {page.mode for page in pages} == {2}
            assert [page.token is None for page in pages] == [True] * (len(pages) - 1) + [False]
        token = pages[-1].token
        changed = sorted(random.sample(convs, 3))
        for conv in changed:
            await back.say(conv, "new")
        back = await rig.again(alice)
        first = await back.ask(wire.Sync(0, token, 2), wire.SyncOk)
        last = await back.ask(wire.Sync(0, None, 2, first.cursor), wire.SyncOk)
        assert (first.mode, last.mode) == (1, 1)
        assert [row.conv for row in first.rows + last.rows] == changed
        for wrong in (0, 501):
            fresh = await rig.again(alice)
            assert await fresh.refused(wire.Sync(0, None, wrong)) == 3000


async def test_12_11_what_happens_while_pages_are_read_comes_after_the_last(tmp_path: Path) -> None:
    """Nothing is pushed between pages, and nothing is missed."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        convs = sorted([await rig.group(alice, bob) for _ in range(3)])
        back = await rig.again(bob)
        first = await back.ask(wire.Sync(0, None, 1), wire.SyncOk)
        for conv in convs:
            await alice.say(conv, "meanwhile")
        second = await back.ask(wire.Sync(0, None, 1, first.cursor), wire.SyncOk)
        assert [message for message in back.seen if not isinstance(message, wire.Pong)] == []
        await back.ask(wire.Sync(0, None, 1, second.cursor), wire.SyncOk)
        events = [await back.expect(wire.Event) for _ in convs]
        assert [(event.conv, event.seq) for event in events] == [(conv, 2) for conv in convs]


async def a_busy_log(rig_client: Client, other: Client, conv: int) -> dict[int, int]:
    """Sixty entries that change each other; seq -> rev of every record."""
    draw = random.Random(12)
    revs = {1: 1}
    texts: list[int] = []
    for _ in range(60):
        what = draw.choice(["msg", "msg", "edit", "react", "delete"]) if texts else "msg"
        if what == "msg":
            seq = await done(rig_client, msg(conv, "hello"))
            texts.append(seq)
            revs[seq] = seq
            continue
        target = draw.choice(texts)
        if what == "edit":
            revs[target] = await done(rig_client, edit(conv, target, "edited"))
        elif what == "react":
            revs[target] = await done(other, react(conv, target, "👍"))
        else:
            texts.remove(target)
            revs[target] = await done(rig_client, delete(conv, target))
            texts = texts or [await done(rig_client, msg(conv, "again"))]
            revs[texts[-1]] = max(revs.get(texts[-1], 0), texts[-1])
    return revs


@pytest.mark.parametrize("limit", [1, 7, 200])
async def test_12_19_changes_come_by_rev_each_once_from_any_position(tmp_path: Path, limit: int) -> None:
    """In their latest state; `upto` is the last rev while more follow, then the visible head."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        revs = await a_busy_log(alice, bob, conv)
        head = max(revs.values())
        for since in (0, 1, 20, head - 1, head):
            expected = sorted((rev, seq) for seq, rev in revs.items() if rev > since)
            found: list[tuple[int, int]] = []
            pos, more = since, True
            while more:
                page = await changes(bob, conv, pos, limit)
                found += [(record.rev, record.seq) for record in page.records]
                assert len(page.records) <= limit
                assert page.records or not page.more
                assert page.upto == (page.records[-1].rev if page.more else head)
                pos, more = page.upto, page.more
            assert found == expected


@pytest.mark.parametrize("limit", [1, 7, 200])
async def test_12_20_history_covers_every_seq_once(tmp_path: Path, limit: int) -> None:
    """Backwards, each page below the one before, down to 1; seqs without a record are void."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        revs = await a_busy_log(alice, bob, conv)
        head = max(revs.values())
        for start in (None, head + 50, 30, 1):
            hi = min(head, start or head)
            found: list[tuple[int, int]] = []
            page = await history(bob, conv, start, limit)
            while True:
                seqs = [record.seq for record in page.records]
                assert (page.hi, page.rev) == (hi, head)
                assert len(seqs) <= limit
                assert seqs == sorted(seqs)
                assert all(page.lo <= seq <= page.hi for seq in seqs)
                found = [(record.seq, record.rev) for record in page.records] + found
                if page.lo == 1:
                    break
                hi = page.lo - 1
                page = await history(bob, conv, hi, limit)
            assert found == sorted((seq, rev) for seq, rev in revs.items() if seq <= min(head, start or head))


async def test_12_limits_of_pages_are_checked(tmp_path: Path) -> None:
    """Below 1 and above the table's maximum: 3000."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        conv = await rig.group(alice)
        for request in (
            wire.Changes(0, conv, 0, 0),
            wire.Changes(0, conv, 0, 201),
            wire.History(0, conv, None, 0),
            wire.History(0, conv, None, 201),
            wire.History(0, conv, 0),
            wire.Marks(0, conv, 0, 0),
            wire.Marks(0, conv, 0, 501),
            wire.WhoRead(0, conv, 0),
        ):
            assert await alice.refused(request) == 3000


async def test_12_19_a_position_above_the_head_stays(tmp_path: Path) -> None:
    """`upto` is never below `since`: a client that is ahead must not ask for ever."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        left = await remove(alice, conv, bob)
        for who in (alice, bob):
            page = await changes(who, conv, left + 5)
            assert (page.upto, page.records, page.more) == (left + 5, (), False)


async def crowd(tx: Tx, conv: int, seq: int) -> None:
    rows = [(conv, seq, user, wire.Content(2, "x" * 64).pack()) for user in range(1, 1001)]
    await tx.executemany("INSERT INTO reaction (conv, seq, user_id, content) VALUES ($1, $2, $3, $4)", rows)


async def test_12_22_a_page_ends_by_size_and_fits_a_frame(tmp_path: Path) -> None:
    """The largest records there can be, in every position of a page: nothing is over 128 KiB, nothing is left out."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        conv = await rig.group(alice)
        for number in range(12):
            seq = await done(alice, msg(conv, "ä" * 8192))
            if number % 4 == 3:
                await done(alice, react(conv, seq, "👍"))
                await done(alice, react(conv, seq, None))
                await rig.server.store.write(crowd, conv, seq)
        seqs: list[int] = []
        pos, more = 0, True
        while more:
            page = await changes(alice, conv, pos, 200)
            assert len(page.encode()) - 4 <= wire.limits.SERVER_FRAME_BYTES
            assert page.records
            seqs += [record.seq for record in page.records]
            pos, more = page.upto, page.more
        backwards: list[int] = []
        lo = pos + 1
        while lo > 1:
            before = await history(alice, conv, lo - 1, 200)
            assert len(before.encode()) - 4 <= wire.limits.SERVER_FRAME_BYTES
            backwards = [record.seq for record in before.records] + backwards
            lo = before.lo
        assert sorted(seqs) == backwards
        assert len(backwards) == 13


async def test_12_23_the_highest_event_of_each_conversation_is_derived(tmp_path: Path) -> None:
    """Among the newly acknowledged pushes only; 0 in the list derives nothing, a position replaces (12-24)."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        one, two, three = [await rig.group(alice, bob) for _ in range(3)]
        for conv in (one, two, one, three, three, two, one):
            await alice.say(conv, "more")
        await bob.send(wire.Ack(5, (wire.Held(two, 0),)))
        assert await settled(bob, one, two, three) == {one: 2, two: 0, three: 1}
        await bob.send(wire.Ack(10, (wire.Held(three, 2), wire.Held(one, 0))))
        assert await settled(bob, one, two, three) == {one: 2, two: 3, three: 2}


async def test_12_24_and_12_28_positions_of_any_conversation_are_clamped_and_only_rise(tmp_path: Path) -> None:
    """Without a push, above the head, below what is known, as a former member."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv, left = await rig.group(alice, bob), await rig.group(alice, bob)
        await alice.say(conv, "two")
        await bob.expect(wire.Event)
        await remove(alice, left, bob)
        back = await rig.again(bob)
        await back.sync()
        await back.send(wire.Ack(0, (wire.Held(conv, 2**53 - 1), wire.Held(left, 2))))
        assert await delivered(alice, conv, bob) == 2
        await back.send(wire.Ack(0, (wire.Held(conv, 1),)))
        assert await settled(back, conv) == {conv: 2}
        assert (await marks(alice, left)).marks == ()


async def test_12_27_a_list_of_256_is_taken_and_a_longer_one_breaks_the_frame(tmp_path: Path) -> None:
    """The frame has no rid, so the connection ends."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        conv = await rig.group(alice)
        others = tuple(wire.Held(number, 1) for number in range(255))
        await alice.send(wire.Ack(0, (*others, wire.Held(conv, 1))))
        assert await delivered(alice, conv, alice) == 1
        await alice.send(wire.Ack(0, (*others, wire.Held(conv, 1), wire.Held(conv, 1))))
        assert await alice.closed() == 1002


async def test_12_27_who_lists_positions_without_end_is_ended(tmp_path: Path) -> None:
    """P10: each is looked up where messages are written; a client with thousands of conversations is far below."""
    async with serving(tmp_path) as rig:
        alice, eve = await rig.person("alice"), await rig.person("eve")
        conv = await rig.group(alice)
        honest = [wire.Ack(0, tuple(wire.Held(number, 1) for number in range(n, n + 250))) for n in range(0, 5000, 250)]
        await eve.send(*honest)
        await pong(eve)
        endless = wire.Ack(0, tuple(wire.Held(random.randrange(2**53), 1) for _ in range(256)))

        async def go_on() -> None:
            try:
                for _ in range(1000):
                    await eve.send(endless)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass

        async with trio.open_nursery() as nursery:
            nursery.start_soon(go_on)
            assert await eve.closed() == 1008
            nursery.cancel_scope.cancel()
        assert (await alice.say(conv, "hello")).seq == 2

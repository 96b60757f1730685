"""Section 9 of docs/protocol.md, where no transcript and no test of a wing shows it: the log, who sees what, deleting.

Tests are named by the rule they show.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.server.rig import Client, Rig, serving
from tests.transcripts.people import (
    add,
    changes,
    delete,
    done,
    edit,
    history,
    marks,
    msg,
    narrow,
    pong,
    react,
    remove,
    row_of,
    stalled,
)
from wirechat import wire
from wirechat.store.features import history as pages
from wirechat.store.tx import Tx
from wirechat.world import REAL


async def test_9_2_time_never_runs_against_seq(tmp_path: Path) -> None:
    """Also when the machine's clock is put back."""
    times = iter(range(2_000_000, 0, -1000))
    world = type(REAL)(lambda: next(times), REAL.random_bytes, REAL.uniform, REAL.run_blocking)
    async with serving(tmp_path, world=world) as rig:
        alice = await rig.person("alice")
        conv = await rig.group(alice)
        for number in range(5):
            await alice.say(conv, str(number))
        records = (await changes(alice, conv)).records
        assert len({record.ts for record in records}) == 1


async def react_as_a_thousand(tx: Tx, conv: int, seq: int) -> None:
    rows = [(conv, seq, user, wire.Content(2, "👍").pack()) for user in range(1, 1001)]
    await tx.executemany("INSERT INTO reaction (conv, seq, user_id, content) VALUES ($1, $2, $3, $4)", rows)


async def test_9_5_a_message_has_reactions_of_a_thousand_users(tmp_path: Path) -> None:
    """The next user's is 4007; who is among them may change his mind, and make room."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        seq = await done(alice, msg(conv, "like this"))
        await done(alice, react(conv, seq, "🎉"))
        await done(alice, react(conv, seq, None))
        await rig.server.store.write(react_as_a_thousand, conv, seq)
        assert await bob.refused(react(conv, seq, "👍")) == 4007
        await done(bob, react(conv, seq, None))
        page = await history(bob, conv, seq, 1)
        reactions = page.records[0].reactions or ()
        assert [reaction.user for reaction in reactions] == list(range(1, 1001))


async def test_9_6_what_was_deleted_while_it_waited_is_not_sent(tmp_path: Path) -> None:
    """P8: the EVENT of the message and of its edit come without content, and the DELETE follows."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        slow = await narrow(rig, bob)
        await stalled(rig, slow, alice, conv)
        seq = await done(alice, msg(conv, "the secret"))
        edited = await done(alice, edit(conv, seq, "the secret, edited"))
        deleted = await done(alice, delete(conv, seq))
        said = await slow.expect(wire.Event, lambda event: event.seq == seq)
        changed = await slow.expect(wire.Event, lambda event: event.seq == edited)
        gone = await slow.expect(wire.Event, lambda event: event.seq == deleted)
        assert (said.kind, said.content, changed.kind, changed.content) == (1, None, 2, None)
        assert (gone.kind, gone.ref) == (3, seq)


@pytest.mark.parametrize(
    ("ask", "feature"),
    [
        (lambda conv, seq: wire.History(7000, conv, seq, 1), pages.history),
        (lambda conv, seq: wire.Changes(7000, conv, seq - 1, 1), pages.changes),
        (lambda conv, seq: wire.Records(7000, conv, (seq,)), pages.records),
    ],
    ids=["HISTORY", "CHANGES", "RECORDS"],
)
async def test_9_6_what_was_deleted_while_its_page_waited_is_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Callable[[int, int], wire.Request], feature: object
) -> None:
    """P8: the page was read before the delete, and is read again when the client takes it."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        slow = await narrow(rig, bob)
        await stalled(rig, slow, alice, conv)
        seq = await done(alice, msg(conv, "the secret"))
        store: Any = rig.server.store
        read, was_read = store.read, trio.Event()

        async def noticed(what: object, *arguments: Any) -> Any:
            found = await read(what, *arguments)
            if what is feature:
                was_read.set()
            return found

        monkeypatch.setattr(store, "read", noticed)
        await slow.send(ask(conv, seq))
        await was_read.wait()
        deleted = await done(alice, delete(conv, seq))
        page = await slow.expect(wire.HistoryOk | wire.ChangesOk | wire.RecordsOk, lambda page: page.rid == 7000)
        assert [(record.seq, record.rev, record.content) for record in page.records] == [(seq, deleted, None)]


async def test_9_7_what_was_written_before_one_joined_stays_unseen(tmp_path: Path) -> None:
    """No record and no reference; an edit inside the period is seen as an entry, and changes no record."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice)
        before = await done(alice, msg(conv, "before"))
        joined = await add(alice, conv, bob)
        edited = await done(alice, edit(conv, before, "before, edited"))
        await bob.expect(wire.Event)
        event = await bob.expect(wire.Event)
        assert (event.seq, event.kind, event.ref) == (edited, 2, before)
        page = await changes(bob, conv)
        assert ([record.seq for record in page.records], page.upto) == ([joined], edited)
        assert [record.seq for record in (await history(bob, conv)).records] == [joined]
        for request in (msg(conv, "re", before), react(conv, before, "👍"), edit(conv, before, "x")):
            assert await bob.refused(request) == 4000
        assert await bob.refused(wire.WhoRead(0, conv, before)) == 4000


async def two_periods(rig: Rig) -> tuple[Client, Client, int, list[int]]:
    """Bob was in, out, and is in again; a message of each time, and the first was edited while he was out."""
    alice, bob = await rig.person("alice"), await rig.person("bob")
    conv = await rig.group(alice, bob)
    first = await done(alice, msg(conv, "one"))
    left = await remove(alice, conv, bob)
    unseen = await done(alice, msg(conv, "two"))
    changed = await done(alice, edit(conv, first, "one, edited while bob was out"))
    back = await add(alice, conv, bob)
    last = await done(alice, msg(conv, "three"))
    return alice, bob, conv, [first, left, unseen, changed, back, last]


async def test_9_8_a_member_sees_all_his_periods_as_they_are_now(tmp_path: Path) -> None:
    """What was changed while he was away he sees changed; what was said meanwhile is void for him."""
    async with serving(tmp_path) as rig:
        _, bob, conv, (first, left, unseen, changed, back, last) = await two_periods(rig)
        page = await history(bob, conv)
        assert [record.seq for record in page.records] == [1, first, left, back, last]
        assert page.records[1].content == wire.Content(1, "one, edited while bob was out")
        pages = await changes(bob, conv, left)
        assert [(record.seq, record.rev) for record in pages.records] == [(first, changed), (back, back), (last, last)]
        assert await bob.refused(msg(conv, "re", unseen)) == 4000
        await done(bob, msg(conv, "re", first))
        assert (await bob.ask(wire.WhoRead(0, conv, first), wire.WhoReadOk)).marks == (wire.Watermark(bob.user, 0, 0),)


async def test_9_9_and_9_11_a_former_member_sees_nothing_that_happened_later(tmp_path: Path) -> None:
    """Records changed after his time are withheld altogether; no number goes beyond his last REMOVE."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        kept, edited, gone = [await done(alice, msg(conv, said)) for said in ("kept", "edited", "deleted")]
        inside = await done(bob, react(conv, kept, "👍"))
        left = await remove(alice, conv, bob)
        await done(alice, edit(conv, edited, "later"))
        await done(alice, delete(conv, gone))
        await done(alice, react(conv, kept, None))
        await done(alice, msg(conv, "after"))
        await alice.ask(wire.Mark(0, conv, 99), wire.MarkOk)
        page = await history(bob, conv)
        assert ([record.seq for record in page.records], page.lo, page.hi, page.rev) == ([1, left], 1, left, left)
        page = await history(bob, conv, 99)
        assert (page.hi, page.rev) == (left, left)
        since = await changes(bob, conv)
        assert ([record.seq for record in since.records], since.upto, since.more) == ([1, left], left, False)
        assert await marks(bob, conv, 3) == wire.MarksOk((await marks(bob, conv, 3)).rid - 1, 3, (), False)
        info = (await bob.ask(wire.ConvGet(0, (conv,)), wire.ConvGetOk)).infos[0]
        assert (info.role, info.members) == (0, 0)
        await pong(bob)
        heard = [message for message in bob.seen if isinstance(message, wire.Event)]
        assert [event.seq for event in heard] == [kept, edited, gone, left]
        assert inside < left
        row = await row_of(rig, bob, conv)
        assert (row.head, row.rrev, row.state) == (left, 0, 1)


async def test_9_9_no_receipt_reaches_a_former_member(tmp_path: Path) -> None:
    """Watermarks that rise after his REMOVE are not his business."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        await remove(alice, conv, bob)
        await alice.ask(wire.Mark(0, conv, 2), wire.MarkOk)
        await alice.expect(wire.Receipt)
        await bob.expect(wire.Event)
        await bob.silence(1.5)


async def test_9_10_an_outsider_cannot_tell_acknowledgements_apart(tmp_path: Path) -> None:
    """A position for a conversation one was never in is ignored like one that does not exist (12-28)."""
    async with serving(tmp_path) as rig:
        alice, eve = await rig.person("alice"), await rig.person("eve")
        conv = await rig.group(alice)
        await eve.send(wire.Ack(0, (wire.Held(conv, 1), wire.Held(conv ^ 1, 1))))
        await pong(eve)
        await eve.silence(1.5)
        assert (await marks(alice, conv)).marks == ()


def everything_in(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.iterdir() if path.is_file())


async def test_9_12_nothing_yields_what_was_deleted(tmp_path: Path) -> None:
    """P8: no request of anyone, and no byte of the database once its log is recycled."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        seq = await done(alice, msg(conv, "first-secret-words"))
        await done(alice, edit(conv, seq, "second-secret-words"))
        await done(bob, msg(conv, "an answer", seq))
        await done(alice, delete(conv, seq))
        for who in (alice, bob):
            for page in (await changes(who, conv), await history(who, conv)):
                record = next(record for record in page.records if record.seq == seq)
                assert (record.content, record.edited, record.reactions) == (None, None, None)
                assert "secret" not in str(page)
    data = everything_in(tmp_path)
    assert b"an answer" in data
    assert b"secret-words" not in data


async def test_9_13_the_cid_of_a_deleted_message_stays_known(tmp_path: Path) -> None:
    """Sending it again is a repetition; sending something else with it is refused."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        conv = await rig.group(alice)
        request = msg(conv, "regret")
        seq = await done(alice, request)
        await done(alice, delete(conv, seq))
        again = await alice.say(conv, "regret", request.cid)
        assert (again.seq, again.dup) == (seq, True)
        assert await alice.refused(wire.Send(0, conv, request.cid, 1, wire.Content(1, "other"))) == 3004
        assert (await changes(alice, conv, 3)).records == ()


@pytest.mark.parametrize("reply", [True, False])
async def test_9_1_refused_entries_leave_no_hole(tmp_path: Path, reply: bool) -> None:
    """P3: in one batch with those that are accepted."""
    async with serving(tmp_path) as rig:
        alice = await rig.person("alice")
        conv = await rig.group(alice)
        flight = []
        for rid in range(1000, 1030):
            wrong = rid % 3 == 0
            request = msg(conv, str(rid), 999 if wrong else None) if reply else delete(conv, 999)
            flight.append(request if wrong else msg(conv, str(rid)))
            flight[-1].rid = rid
        await alice.send(*flight)
        seqs = []
        for rid in range(1000, 1030):
            answer = await alice.expect(wire.Message, lambda message, rid=rid: getattr(message, "rid", 0) == rid)  # type: ignore[misc]
            if isinstance(answer, wire.SendOk):
                seqs.append(answer.seq)
            else:
                assert isinstance(answer, wire.Error)
                assert answer.code == 4000
        assert seqs == list(range(2, 22))


async def test_9_17_pins_are_pushed_where_they_were_asked_for(tmp_path: Path) -> None:
    """To the sender's other connections as well; without the capability a row, also after the window was full."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob", window=1)
        conv = await rig.group(alice, bob)
        seq = await done(alice, msg(conv, "the plan"))
        pinned = await done(alice, wire.Send(0, conv, os.urandom(8), 5, None, seq))
        await bob.silence()  # CREATE is not acknowledged
        await bob.send(wire.Ack(1))
        assert {row.conv: row.head for row in (await bob.expect(wire.Rows)).rows} == {conv: pinned}
        records = (await changes(bob, conv, 1)).records
        assert [(record.seq, record.rev, record.pinned) for record in records] == [(seq, pinned, pinned)]


async def test_9_4_a_slow_reader_gets_a_forward_without_its_text_once_it_is_deleted(tmp_path: Path) -> None:
    """P8: what waited is read again; text, origin and mentions are gone with the message."""
    async with serving(tmp_path) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        conv = await rig.group(alice, bob)
        source = await done(alice, msg(conv, "text"))
        await bob.expect(wire.Event)
        slow = await narrow(rig, bob)
        await stalled(rig, slow, alice, conv)
        copied = await done(alice, wire.Send(0, conv, os.urandom(8), 1, None, forward=wire.Source(conv, source)))
        named = await done(alice, wire.Send(0, conv, os.urandom(8), 1, wire.Content(1, "bob"), mentions=(bob.user,)))
        for seq in (copied, named):
            await done(alice, delete(conv, seq))
        for seq in (copied, named):
            event = await slow.expect(wire.Event, lambda event, seq=seq: event.seq == seq)  # type: ignore[misc]
            assert (event.kind, event.content, event.origin, event.users) == (1, None, None, None)

"""Pins, mentions, forwards, single records and what is unread, beyond what the fold of random logs shows."""

from __future__ import annotations

from typing import Any

import pytest

from tests.store.talk import (
    LARGE,
    Talk,
    add,
    delete,
    direct,
    edit,
    forward,
    hide,
    msg,
    notes,
    pin,
    react,
    remove,
    unpin,
)
from wirechat.store.features import history, mentions, pins, unread
from wirechat.store.records import Count, MentionsPage, Refusal


async def run(talk: Talk, sql: str, *args: Any) -> list[Any]:
    """A statement of the test's own."""

    async def statement(tx: Any) -> list[Any]:
        return list(await tx.fetch(sql, *args))

    return await talk.store.write(statement)


async def records(talk: Talk, user: int, conv: int, *seqs: int, bytes_max: int = LARGE) -> tuple[list[int], bool]:
    """(seqs of the records given out, whether some did not fit)."""
    page = await talk.store.read(history.records, user, conv, seqs, bytes_max)
    assert not isinstance(page, Refusal)
    return [record.seq for record in page[0]], page[1]


async def counts(talk: Talk, user: int, *convs: int, entries_max: int = LARGE) -> tuple[list[Count], list[int]]:
    return await talk.store.read(unread.unread, user, convs, entries_max)


# pins


async def test_a_group_is_pinned_by_moderators_and_above(talk: Talk) -> None:
    """[9-15]: others get 4001 whatever the message is; its visibility comes first (P9)."""
    conv = await talk.group(1, 2)
    seq = await talk.say(conv, 2)
    gone = await talk.say(conv, 2)
    await talk.done(delete(conv, 2, gone))
    for item in (pin(conv, 2, seq), unpin(conv, 2, seq), pin(conv, 2, gone)):
        assert await talk.refused(item) is Refusal.FORBIDDEN
    assert await talk.refused(pin(conv, 2, 99)) is Refusal.NOT_FOUND
    await run(talk, "UPDATE member SET role = 2 WHERE conv = $1 AND user_id = 2 RETURNING 1", conv)
    await talk.done(pin(conv, 2, seq))
    await talk.done(unpin(conv, 1, seq))


async def test_both_pin_in_a_direct_conversation(talk: Talk) -> None:
    """[9-15]."""
    conv = (await talk.done(direct(1, 2))).conv
    seq = await talk.say(conv, 1)
    first = await talk.done(pin(conv, 2, seq))
    found = await talk.store.read(pins.pins, 1, conv)
    assert found == [(seq, first.seq, 2, first.ts)]
    await talk.done(unpin(conv, 1, seq))
    assert await talk.store.read(pins.pins, 1, conv) == []


async def test_pinning_again_is_a_conflict_and_repeating_is_not(talk: Talk) -> None:
    """[9-16], P2: 4005 for another cid, the first answer for the same one."""
    conv = await talk.group(1)
    seq = await talk.say(conv, 1)
    wanted = pin(conv, 1, seq)
    done = await talk.done(wanted)
    assert ((await talk.done(wanted)).seq, (await talk.done(wanted)).dup) == (done.seq, True)
    assert await talk.refused(pin(conv, 1, seq)) is Refusal.CONFLICT
    await talk.done(unpin(conv, 1, seq))
    assert await talk.refused(unpin(conv, 1, seq)) is Refusal.CONFLICT


async def test_only_messages_that_are_there_are_pinned(talk: Talk) -> None:
    """[9-14]: 4000 for what is no message or not seen, 4004 for what was deleted; a delete unpins."""
    conv = await talk.group(1, 2)
    seq = await talk.say(conv, 1)
    await talk.done(pin(conv, 1, seq))
    for ref in (1, seq + 1, 99):
        assert await talk.refused(pin(conv, 1, ref)) is Refusal.NOT_FOUND
    await talk.done(delete(conv, 1, seq))
    for item in (pin(conv, 1, seq), unpin(conv, 1, seq)):
        assert await talk.refused(item) is Refusal.DELETED
    assert await talk.store.read(pins.pins, 2, conv) == []


async def test_pins_are_bounded(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    """[9-16]: 4007 above it; taking one back makes room."""
    monkeypatch.setattr("wirechat.store.features.pins.PINS_MAX", 2)
    conv = await talk.group(1)
    seqs = [await talk.say(conv, 1) for _ in range(3)]
    results = await talk.results(*(pin(conv, 1, seq) for seq in seqs))
    assert results[2] is Refusal.LIMIT
    await talk.done(unpin(conv, 1, seqs[0]))
    await talk.done(pin(conv, 1, seqs[2]))


# forwards


async def test_a_forward_is_a_copy_of_the_latest_text(talk: Talk) -> None:
    """[11-16]: it says who wrote it and when; what happens to the source later does not touch it."""
    here, there = await talk.group(1, 2), await talk.group(2, 3)
    written = await talk.done(msg(here, 1, b"first"))
    await talk.done(edit(here, 1, written.seq, b"second"))
    done = await talk.done(forward(there, 2, (here, written.seq)))
    assert (done.content, done.origin) == (b"second", (1, written.ts))
    await talk.results(edit(here, 1, written.seq, b"third"), delete(here, 1, written.seq))
    (record,) = (await talk.records(3, there))[1:]
    assert (record.content, record.origin, record.sender) == (b"second", (1, written.ts), 2)
    (entry,) = await talk.store.read(history.entries, [(there, done.seq)])
    assert (entry.content, entry.origin) == (b"second", (1, written.ts))


async def test_a_forward_of_a_forward_keeps_its_origin(talk: Talk) -> None:
    """[11-16]: until somebody edits it; then he has written it himself."""
    conv = await talk.group(1, 2)
    written = await talk.done(msg(conv, 1, b"text"))
    once = await talk.done(forward(conv, 2, (conv, written.seq)))
    twice = await talk.done(forward(conv, 1, (conv, once.seq)))
    assert twice.origin == (1, written.ts)
    await talk.done(edit(conv, 2, once.seq, b"mine"))
    again = await talk.done(forward(conv, 1, (conv, once.seq)))
    assert (again.content, again.origin) == (b"mine", (2, once.ts))
    assert [each.origin for each in await talk.records(1, conv) if each.seq == once.seq] == [None]


async def test_forwards_within_a_batch(talk: Talk) -> None:
    """What was written before it in the same transaction is there to be forwarded, or deleted already."""
    conv = await talk.group(1, 2)
    results = await talk.results(
        msg(conv, 1, b"text"), forward(conv, 2, (conv, 2)), delete(conv, 1, 2), forward(conv, 2, (conv, 2))
    )
    assert results[1].content == b"text"
    assert results[3] is Refusal.DELETED


async def test_a_forward_is_executed_once(talk: Talk) -> None:
    """P2: a repetition is answered as the first time, even when the source is gone; another source is another cid."""
    conv = await talk.group(1, 2)
    seqs = [await talk.say(conv, 1), await talk.say(conv, 1)]
    wanted = forward(conv, 2, (conv, seqs[0]))
    done = await talk.done(wanted)
    await talk.done(delete(conv, 1, seqs[0]))
    assert ((await talk.done(wanted)).seq, (await talk.done(wanted)).dup) == (done.seq, True)
    assert await talk.refused(forward(conv, 2, (conv, seqs[1]), id=wanted.cid)) is Refusal.CID_REUSED


async def test_a_forward_may_be_a_reply(talk: Talk) -> None:
    """[11-16]: to a message that is seen; otherwise 4000."""
    conv = await talk.group(1, 2)
    seq = await talk.say(conv, 1)
    assert await talk.refused(forward(conv, 2, (conv, seq), ref=99)) is Refusal.NOT_FOUND
    await talk.done(forward(conv, 2, (conv, seq), ref=seq))
    assert (await talk.records(1, conv))[-1].ref == seq


async def test_what_is_hidden_is_not_forwarded(talk: Talk) -> None:
    """[10-28]: there is no way back to it, not even by a copy; for others it is as before."""
    conv, own = await talk.group(1, 2), (await talk.done(notes(2))).conv
    seq = await talk.say(conv, 1)
    await talk.done(hide(2, conv, seq))
    assert await talk.refused(forward(own, 2, (conv, seq))) is Refusal.NOT_FOUND
    await talk.done(forward(conv, 1, (conv, seq)))


# mentions


async def test_nobody_mentions_himself_and_outsiders_see_nothing(talk: Talk) -> None:
    """[11-19]: users stay as they were sent; who is no member has a row and no way to it."""
    conv = await talk.group(1, 2)
    seq = (await talk.done(msg(conv, 1, mentions=(1, 3, 2)))).seq
    assert (await talk.records(2, conv))[-1].users == (1, 3, 2)
    assert await talk.store.read(mentions.mentions, 1, conv, None, 9) == MentionsPage([], 0)
    assert await talk.store.read(mentions.mentions, 2, conv, None, 9) == MentionsPage([seq], 0)
    assert await talk.store.read(mentions.mentions, 3, conv, None, 9) is Refusal.NO_CONVERSATION
    await talk.done(add(conv, 1, 3))
    assert await talk.store.read(mentions.mentions, 3, conv, None, 9) == MentionsPage([], 0)


async def test_nothing_is_left_of_the_mentions_of_a_deleted_message(talk: Talk) -> None:
    """P8: neither its own nor those of its edits, in no table."""
    conv = await talk.group(1, 2, 3)
    seq = (await talk.done(msg(conv, 1, mentions=(2,)))).seq
    await talk.results(edit(conv, 1, seq, mentions=(3,)), edit(conv, 1, seq, mentions=(2, 3)), delete(conv, 1, seq))
    assert await run(talk, "SELECT * FROM mention") == []
    rows = await run(talk, "SELECT users, latest_users FROM entry WHERE conv = $1 AND seq > 1", conv)
    assert {value for row in rows for value in row} == {None}


async def test_what_one_has_hidden_is_left_out(talk: Talk) -> None:
    """[10.5]: of every way to read, for this user alone."""
    conv = await talk.group(1, 2, 3)
    for _ in range(2):
        await talk.done(msg(conv, 1, mentions=(2, 3)))
    await talk.results(pin(conv, 1, 2), pin(conv, 1, 3))
    await run(talk, "INSERT INTO hidden (user_id, conv, seq) VALUES (2, $1, 3) RETURNING 1", conv)
    for user, seqs in ((2, [2]), (3, [3, 2])):
        assert await talk.store.read(mentions.mentions, user, conv, None, 9) == MentionsPage(seqs, 0)
        found = await talk.store.read(pins.pins, user, conv)
        assert not isinstance(found, Refusal)
        assert [seq for seq, *_ in found] == seqs
        assert (await records(talk, user, conv, 3, 2))[0] == seqs
        assert (await counts(talk, user, conv))[0] == [Count(conv, 5, 0, len(seqs), len(seqs), False)]
        page = await talk.store.read(history.history, user, conv, None, 9, LARGE)
        assert not isinstance(page, Refusal)
        assert [record.seq for record in page.records] == [1, *reversed(seqs)]
        assert sorted(record.seq for record in await talk.records(user, conv)) == [1, *reversed(seqs)]


async def test_who_is_blocked_neither_counts_nor_mentions(talk: Talk) -> None:
    """[10.5]: for who blocks him alone."""
    conv = await talk.group(1, 2, 3)
    await talk.results(msg(conv, 1, mentions=(2, 3)), msg(conv, 3, mentions=(2,)))
    await run(talk, "INSERT INTO block (user_id, blocked) VALUES (2, 1) RETURNING 1")
    assert await talk.store.read(mentions.mentions, 2, conv, None, 9) == MentionsPage([3], 0)
    assert await talk.store.read(mentions.mentions, 3, conv, None, 9) == MentionsPage([2], 0)
    assert (await counts(talk, 2, conv))[0] == [Count(conv, 3, 0, 1, 1, False)]


# single records


async def test_records_come_in_the_order_asked_and_once(talk: Talk) -> None:
    """[12-31]: entries that are no records, and what is not seen, are left out without a word."""
    conv = await talk.group(1, 2)
    await talk.results(msg(conv, 1), edit(conv, 1, 2), msg(conv, 2), react(conv, 1, 4))
    assert await records(talk, 2, conv, 4, 2, 3, 1, 4, 99, 0, 5) == ([4, 2, 1], False)


async def test_records_that_do_not_fit_come_later(talk: Talk) -> None:
    """[12-31]: at least one, and the first ones asked for."""
    conv = await talk.group(1, 2)
    for _ in range(3):
        await talk.say(conv, 1, b"x" * 1000)
    assert await records(talk, 2, conv, 4, 2, 3, bytes_max=2500) == ([4, 2], True)
    assert await records(talk, 2, conv, 3, bytes_max=1) == ([3], False)


# what is unread


async def test_what_counts_as_unread(talk: Talk) -> None:
    """[13-11]: messages of others above the own watermark that are there; no edit, no reaction, no membership."""
    conv = await talk.group(1, 2)
    await talk.results(
        msg(conv, 1, mentions=(2,)),
        msg(conv, 2, mentions=(2,)),
        msg(conv, 1, mentions=(2,)),
        edit(conv, 1, 2, b"edited"),
        react(conv, 1, 3),
        delete(conv, 1, 4),
        msg(conv, 1, b"reply", 2),
        add(conv, 1, 3),
    )
    assert (await counts(talk, 2, conv))[0] == [Count(conv, 9, 0, 2, 0, False)]
    assert (await counts(talk, 3, conv))[0] == [Count(conv, 9, 0, 0, 0, False)]
    await talk.mark(conv, 2, read=2)
    assert (await counts(talk, 2, conv))[0] == [Count(conv, 9, 2, 1, 0, False)]
    await talk.mark(conv, 2, read=99)
    assert (await counts(talk, 2, conv))[0] == [Count(conv, 9, 9, 0, 0, False)]


async def test_the_work_of_one_request_is_bounded(talk: Talk) -> None:
    """[13-13]: the newest entries of each conversation; what is too much together is left for the next request."""
    convs = [await talk.group(1, 2) for _ in range(3)]
    for conv in convs:
        await talk.results(*(msg(conv, 1) for _ in range(5)))
    await talk.mark(convs[0], 2, read=1)
    found, left = await counts(talk, 2, *convs, convs[0], entries_max=4)
    assert found == [Count(convs[0], 6, 1, 4, 0, True)]
    assert left == convs[1:]
    await talk.mark(convs[2], 2, read=6)
    found, left = await counts(talk, 2, *convs, entries_max=4)
    assert (found, left) == ([Count(convs[0], 6, 1, 4, 0, True), Count(convs[2], 6, 6, 0, 0, False)], [convs[1]])


async def test_only_conversations_one_is_in_are_counted(talk: Talk) -> None:
    """[13-12], P9: the others are left out without a word."""
    conv, other = await talk.group(1, 2, 3), await talk.group(1, 3)
    await talk.say(conv, 1)
    await talk.done(remove(conv, 1, 3))
    assert await counts(talk, 2, other, 424242) == ([], [])
    assert [count.conv for count in (await counts(talk, 3, conv, other))[0]] == [other]

"""P7: watermarks never move back, never pass the head, and their counter is dense."""

from __future__ import annotations

from random import Random

import pytest

from tests.store.talk import Talk, add, remove
from wirechat.store.features import conversations, receipts, sync
from wirechat.store.records import Members, ReceiptChange, Refusal


@pytest.fixture
async def conv(talk: Talk) -> int:
    """A group of 1, 2 and 3 with a head of 11."""
    conv = await talk.group(1, 2, 3)
    for _ in range(10):
        await talk.say(conv, 1)
    return conv


async def test_marks_are_merged_and_clamped(talk: Talk, conv: int) -> None:
    """By maximum, to the head; reading raises delivered."""
    assert await talk.mark(conv, 2, delivered=5) == (5, 0)
    assert await talk.mark(conv, 2, read=3) == (5, 3)
    assert await talk.mark(conv, 2, delivered=4) == (5, 3)
    assert await talk.mark(conv, 2, read=8) == (8, 8)
    assert await talk.mark(conv, 2, read=2) == (8, 8)
    assert await talk.mark(conv, 2, delivered=1_000_000, read=9) == (11, 9)


async def test_what_changes_nothing_takes_no_number(talk: Talk, conv: int) -> None:
    """[13-6]: the counter is dense, and nothing is stamped for nothing."""
    await talk.mark(conv, 2, read=5)
    horizon = await talk.store.read(sync.horizon)
    results, changes = await talk.store.write(receipts.flush, [(conv, 2, 4, 0), (conv, 2, 0, 5), (conv, 9, 1, 1)], 64)
    assert results == [(5, 5), (5, 5), Refusal.NO_CONVERSATION]
    assert changes == []
    assert (await talk.store.read(sync.changed, horizon))[1] == []


async def test_one_flush_tells_each_user_once_and_counts_every_change(talk: Talk, conv: int) -> None:
    """Several users, one of them twice; in the order of the counter."""
    items = [(conv, 2, 3, 0), (conv, 3, 4, 0), (conv, 1, 0, 2), (conv, 2, 0, 6)]
    results, changes = await talk.store.write(receipts.flush, items, 64)
    assert results == [(3, 0), (4, 0), (2, 2), (6, 6)]
    assert changes == [ReceiptChange(conv, 0, 4, ((3, 4, 0), (1, 2, 2), (2, 6, 6)))]
    assert await talk.store.read(receipts.marks, 1, conv, 0, 10) == (4, [(3, 4, 0), (1, 2, 2), (2, 6, 6)], False)
    assert await talk.store.read(receipts.marks, 1, conv, 2, 10) == (4, [(1, 2, 2), (2, 6, 6)], False)
    assert await talk.store.read(receipts.marks, 1, conv, 0, 2) == (3, [(3, 4, 0), (1, 2, 2)], True)
    assert await talk.store.read(receipts.marks, 1, conv, 9, 2) == (9, [], False)


async def test_a_flush_tells_who_is_a_member_where_the_caller_knows_others(talk: Talk, conv: int) -> None:
    async def told(known: dict[int, int]) -> Members | None:
        _, (change,) = await talk.store.write(receipts.flush, [(conv, 2, 0, head.pop())], 64, known)
        return change.members

    head = [5, 4, 3, 2]
    before = await told({})
    assert before == await talk.store.read(conversations.member_list, conv)
    assert before is not None
    assert await told({conv: before.version}) is None
    await talk.done(remove(conv, 1, 3))
    now = await told({conv: before.version})
    assert now is not None
    assert now.since.keys() == {1, 2}


async def test_large_groups_keep_no_delivered(talk: Talk, conv: int) -> None:
    """[13-4]: above `delivered_members` only reading counts."""
    assert await talk.mark(conv, 2, delivered=5, large=2) == (0, 0)
    assert await talk.mark(conv, 2, read=5, large=2) == (5, 5)
    assert await talk.mark(conv, 2, delivered=7, large=3) == (7, 5)
    await talk.done(remove(conv, 3, 3))
    assert await talk.mark(conv, 2, delivered=8, large=2) == (8, 5)


async def test_who_may_mark(talk: Talk, conv: int) -> None:
    """Members; a bad item does not touch the others."""
    await talk.done(remove(conv, 1, 3))
    results, changes = await talk.store.write(
        receipts.flush, [(777, 1, 1, 1), (conv, 3, 2, 2), (conv, 9, 2, 2), (conv, 2, 2, 2)], 64
    )
    assert results == [Refusal.NO_CONVERSATION, Refusal.FORBIDDEN, Refusal.NO_CONVERSATION, (2, 2)]
    assert changes == [ReceiptChange(conv, 0, 1, ((2, 2, 2),))]


async def test_who_has_read(talk: Talk, conv: int) -> None:
    """[13-10]: who was a member then and still is, the sender left out."""
    late = (await talk.done(add(conv, 1, 4))).seq
    await talk.done(remove(conv, 1, 3))
    await talk.mark(conv, 2, delivered=9, read=4)
    await talk.mark(conv, 4, read=late)
    assert await talk.store.read(receipts.who_read, 1, conv, 5) == [(2, 9, 4)]
    assert await talk.store.read(receipts.who_read, 2, conv, late) == [(2, 9, 4), (4, late, late)]
    assert await talk.store.read(receipts.who_read, 4, conv, 5) is Refusal.NOT_FOUND
    assert await talk.store.read(receipts.who_read, 1, conv, 99) is Refusal.NOT_FOUND
    await talk.done(add(conv, 1, 3))
    assert await talk.store.read(receipts.who_read, 1, conv, 5) == [(2, 9, 4), (3, 0, 0)]


@pytest.mark.parametrize("seed", range(4))
async def test_random_flushes_against_a_simple_count(talk: Talk, seed: int) -> None:
    """The counter rises by one for each change, and the marks are those of a dict."""
    chance = Random(seed)
    convs = [await talk.group(1, 2, 3, 4) for _ in range(3)]
    heads = dict.fromkeys(convs, 1)
    marks: dict[tuple[int, int], tuple[int, int]] = {}
    counters = dict.fromkeys(convs, 0)
    for _ in range(25):
        for conv in chance.sample(convs, 2):
            heads[conv] = await talk.say(conv, chance.randint(1, 4))
        items = [
            (chance.choice(convs), chance.randint(1, 4), chance.randint(0, 30), chance.choice((0, 0, 5, 10, 30)))
            for _ in range(chance.randint(1, 6))
        ]
        results, changes = await talk.store.write(receipts.flush, items, 64)
        before = dict(counters)
        for (conv, user, delivered, read), result in zip(items, results, strict=True):
            had = marks.get((conv, user), (0, 0))
            read = max(had[1], min(read, heads[conv]))
            now = max(had[0], min(delivered, heads[conv]), read), read
            assert result == now
            counters[conv] += now != had
            marks[conv, user] = now
        assert {change.conv: (change.after, change.upto) for change in changes} == {
            conv: (before[conv], counters[conv]) for conv in convs if counters[conv] != before[conv]
        }
    for conv in convs:
        upto, found, more = await talk.store.read(receipts.marks, 1, conv, 0, 100)  # type: ignore[misc]
        assert (upto, more) == (counters[conv], False)
        assert {user: mark for user, *mark in found} == {
            user: list(mark) for (at, user), mark in marks.items() if at == conv and mark != (0, 0)
        }

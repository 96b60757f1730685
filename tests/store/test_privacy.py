"""Hidden messages are gone for one user alone; while one blocks the other, neither reaches him in private."""

from __future__ import annotations

import pytest

from tests.store.talk import LARGE, Talk, add, block, delete, direct, edit, group, hide, msg, react, remove
from wirechat.store.features import history, mentions, privacy
from wirechat.store.records import Refusal


async def pages(talk: Talk, user: int, conv: int) -> tuple[list[int], list[int]]:
    """The seqs a user is shown, forwards and backwards, in the smallest pages."""
    forwards: list[int] = []
    since, more = 0, True
    while more:
        changes = await talk.store.read(history.changes, user, conv, since, 1, LARGE)
        assert not isinstance(changes, Refusal)
        forwards += [record.seq for record in changes.records]
        since, more = changes.upto, changes.more
    backwards: list[int] = []
    hi: int | None = None
    while hi != 0:
        page = await talk.store.read(history.history, user, conv, hi, 1, LARGE)
        assert not isinstance(page, Refusal)
        backwards += [record.seq for record in page.records]
        hi = page.lo - 1
    return sorted(forwards), sorted(backwards)


async def test_hidden_messages_are_left_out(talk: Talk) -> None:
    """For who hid them, on every page, whatever happens to them later; others see them."""
    conv = await talk.group(1, 2)
    for _ in range(4):
        await talk.say(conv, 2)
    await talk.done(hide(1, conv, 2, 4))
    await talk.results(edit(conv, 2, 2), react(conv, 2, 4))
    assert await pages(talk, 1, conv) == ([1, 3, 5], [1, 3, 5])
    assert await pages(talk, 2, conv) == ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5])
    page = await talk.store.read(history.changes, 1, conv, 0, 100, LARGE)
    assert not isinstance(page, Refusal)
    assert page.upto == 7


async def test_p10_a_page_of_history_looks_at_so_many_entries(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many of them are hidden or void: then it is empty, says how far it looked, and the next one goes on."""
    monkeypatch.setattr(history, "WALK_MAX", 3)
    conv = await talk.group(1, 2)
    for _ in range(9):
        await talk.say(conv, 2)
    await talk.done(hide(1, conv, *range(4, 11)))
    page = await talk.store.read(history.history, 1, conv, None, 5, LARGE)
    assert not isinstance(page, Refusal)
    assert (page.lo, page.hi, page.records, page.rev) == (8, 10, [], 10)
    assert await pages(talk, 1, conv) == ([1, 2, 3], [1, 2, 3])


async def test_p10_so_does_one_of_changes_and_of_mentions(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one read found nothing in is not looked at again, and what it cost is known."""
    monkeypatch.setattr(history, "WALK_MAX", 3)
    monkeypatch.setattr(mentions, "WALK_MAX", 3)
    conv = await talk.group(1, 2)
    for _ in range(10):
        await talk.results(msg(conv, 2, mentions=(1,)))
    await talk.done(hide(1, conv, *range(3, 11)))
    read = talk.store.read
    changes = [await read(history.changes, 1, conv, since, 5, LARGE) for since in (0, 2, 5, 8)]
    assert [(page.upto, len(page.records), page.more, page.passed) for page in changes] == [
        (2, 2, True, 1), (5, 0, True, 3), (8, 0, True, 3), (11, 1, False, 2),
    ]  # fmt: skip
    named = [await read(mentions.mentions, 1, conv, hi, 5) for hi in (None, 8, 5, 2)]
    assert [(page.seqs, page.below, page.passed) for page in named] == [
        ([11], 8, 2),
        ([], 5, 3),
        ([], 2, 3),
        ([2], 0, 0),
    ]


async def test_what_can_be_hidden(talk: Talk) -> None:
    """P9: messages one sees, deleted ones too; nothing is hidden when one of them is none."""
    conv = await talk.group(1, 2)
    other = await talk.group(2, 3)
    await talk.say(conv, 2)
    await talk.say(conv, 2)
    await talk.results(edit(conv, 2, 2), delete(conv, 2, 3))
    assert await talk.refused(hide(1, other, 1)) is Refusal.NO_CONVERSATION
    assert await talk.refused(hide(1, 4_242, 1)) is Refusal.NO_CONVERSATION
    for seq in (1, 4, 5, 6, 99):
        assert await talk.refused(hide(1, conv, 2, seq)) is Refusal.NOT_FOUND
    log = (await talk.done(hide(1, conv, 2, 3))).conv
    assert await talk.refused(hide(1, log, 1)) is Refusal.NO_CONVERSATION
    assert (await talk.results(hide(1, conv, 3)))[0].seq == 0
    assert await pages(talk, 1, conv) == ([1], [1])


async def test_former_members_hide_what_they_see(talk: Talk) -> None:
    """And only that: what was written before and after is no message to them."""
    conv = await talk.group(1, 2)
    await talk.say(conv, 1)
    await talk.done(add(conv, 1, 3))
    await talk.say(conv, 1)
    await talk.done(remove(conv, 3, 3))
    await talk.say(conv, 1)
    assert await talk.refused(hide(3, conv, 2)) is Refusal.NOT_FOUND
    assert await talk.refused(hide(3, conv, 6)) is Refusal.NOT_FOUND
    await talk.done(hide(3, conv, 4))
    assert await pages(talk, 3, conv) == ([3, 5], [3, 5])


async def test_blocks(talk: Talk) -> None:
    """One way each; a list by id; not more than allowed; only people who exist."""
    await talk.results(block(1, 3), block(1, 2), block(2, 1))
    assert await talk.store.read(privacy.blocked, 1) == [2, 3]
    assert await talk.refused(block(1, 4, blocked_max=2)) is Refusal.LIMIT
    assert await talk.refused(block(1, 77)) is Refusal.NOT_FOUND
    await talk.done(block(1, 3, on=False))
    assert await talk.store.read(privacy.blocked, 1) == [2]


async def test_who_is_apart(talk: Talk) -> None:
    """Those he has blocked and those who have blocked him, among these (10-25, 13-22)."""
    await talk.results(block(1, 2), block(3, 1), block(4, 5), block(1, 6))
    assert await talk.store.read(privacy.apart, 1, [2, 3, 4, 5]) == {2, 3}
    assert await talk.store.read(privacy.apart, 7, [1, 2]) == frozenset()


@pytest.mark.parametrize("blocker", [1, 2])
async def test_a_block_silences_the_two_in_private(talk: Talk, blocker: int) -> None:
    """Both, whoever of them blocks; what was said may be deleted and read; unblocking is the end of it."""
    conv = (await talk.done(direct(1, 2))).conv
    await talk.results(msg(conv, 1), msg(conv, 2))
    silencing = block(blocker, 3 - blocker)
    results = await talk.results(silencing, msg(conv, 1))
    assert results[0].seq == 1
    for user, own in ((1, 2), (2, 3)):
        for item in (msg(conv, user), msg(conv, user, ref=2), edit(conv, user, own), react(conv, user, 2)):
            assert await talk.refused(item) is Refusal.BLOCKED
    await talk.done(delete(conv, 2, 3))
    assert await talk.mark(conv, 1, read=3) == (3, 3)
    again = await talk.done(direct(1, 2))
    assert (again.conv, again.dup) == (conv, True)
    await talk.done(block(blocker, 3 - blocker, on=False))
    await talk.say(conv, 1)


@pytest.mark.parametrize("blocker", [1, 2])
async def test_a_block_keeps_the_two_from_being_brought_together(talk: Talk, blocker: int) -> None:
    """No new direct conversation, no group by one of them; nothing is done. A third may bring them together."""
    await talk.done(block(blocker, 3 - blocker))
    assert await talk.refused(direct(1, 2)) is Refusal.BLOCKED
    assert await talk.refused(group(1, 2, 3)) is Refusal.BLOCKED
    conv = await talk.group(1, 3)
    assert await talk.refused(add(conv, 1, 2, 4)) is Refusal.BLOCKED
    assert await talk.members(conv) == {1: 1, 3: 1}
    await talk.done(add(conv, 3, 2))
    await talk.results(msg(conv, 1), msg(conv, 2))
    assert await talk.head(2, conv) == 4
    assert await talk.refused(add(conv, 1, 2)) is Refusal.CONFLICT


async def test_a_block_of_others_changes_nothing(talk: Talk) -> None:
    """Each direct conversation knows its own two."""
    conv = (await talk.done(direct(1, 2))).conv
    await talk.results(block(1, 3), block(3, 2))
    await talk.say(conv, 1)
    await talk.say(conv, 2)

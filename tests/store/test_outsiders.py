"""P9: to whom a conversation never was, it does not exist; who left learns nothing of what came after."""

from __future__ import annotations

from typing import Any

import pytest

from tests.store.talk import LARGE, Talk, add, assign, delete, edit, forward, msg, pin, react, remove, title, unpin
from wirechat.store.features import conversations, history, mentions, pins, receipts, sync, unread
from wirechat.store.records import GROUP, ChangesPage, Description, HistoryPage, MentionsPage, Refusal

NOWHERE = 4_242


@pytest.fixture
async def conv(talk: Talk) -> int:
    """A group of 1 and 2, with 3 removed at 4 and things happening after; 9 was never in."""
    conv = await talk.group(1, 2, 3)
    await talk.say(conv, 1, b"before")
    await talk.say(conv, 3, b"mine")
    await talk.done(remove(conv, 1, 3))
    await talk.say(conv, 1, b"after")
    await talk.done(edit(conv, 1, 2, b"changed after"))
    await talk.done(title(conv, 1))
    await talk.mark(conv, 1, read=5)
    return conv


async def answers(talk: Talk, user: int, conv: int) -> list[Any]:
    """Everything a user may ask of a conversation."""
    read = talk.store.read
    return [
        await read(history.changes, user, conv, 0, 100, LARGE),
        await read(history.history, user, conv, None, 100, LARGE),
        await read(receipts.marks, user, conv, 0, 100),
        await read(receipts.who_read, user, conv, 2),
        await read(conversations.members, user, conv, 0, 100),
        await read(conversations.standing, user, conv),
        await read(conversations.describe, user, [conv]),
        await talk.mark(conv, user, read=2),
        await talk.mark(conv, user, delivered=2),
        await talk.results(
            msg(conv, user), msg(conv, user, ref=2), edit(conv, user, 2), delete(conv, user, 2), react(conv, user, 2),
            add(conv, user, 4), add(conv, user, 777), remove(conv, user, user), remove(conv, user, 1),
            pin(conv, user, 2), unpin(conv, user, 2), msg(conv, user, mentions=(1,)), forward(conv, user, (conv, 2)),
            title(conv, user), assign(conv, user, 1, 1),
        ),
    ]  # fmt: skip


async def lists(talk: Talk, user: int, conv: int) -> list[Any]:
    """The same of what is read in other ways than as a log."""
    read = talk.store.read
    return [
        await read(pins.pins, user, conv),
        await read(mentions.mentions, user, conv, None, 100),
        await read(history.records, user, conv, [1, 2, 3, 4, 5, 6, 99], LARGE),
        await read(unread.unread, user, [conv], LARGE),
    ]


async def test_an_outsider_gets_the_answers_of_a_conversation_that_does_not_exist(talk: Talk, conv: int) -> None:
    """[9-10]: to the letter."""
    assert await answers(talk, 9, conv) == await answers(talk, 9, NOWHERE)
    assert await answers(talk, 9, conv) == [
        *[Refusal.NO_CONVERSATION] * 6, [], *[Refusal.NO_CONVERSATION] * 2, [Refusal.NO_CONVERSATION] * 15,
    ]  # fmt: skip
    assert await talk.store.read(sync.digest, 9, 0, 0, 100) == []
    assert await lists(talk, 9, conv) == await lists(talk, 9, NOWHERE) == [*[Refusal.NO_CONVERSATION] * 3, ([], [])]


async def test_a_former_member_keeps_what_he_could_see(talk: Talk, conv: int) -> None:
    """[9-9]: of messages changed later nothing, of later ones nothing, not even the head."""
    changes, older, marks, who, members, standing, description, read, delivered, appended = await answers(talk, 3, conv)
    assert isinstance(changes, ChangesPage)
    assert isinstance(older, HistoryPage)
    assert [record.seq for record in changes.records] == [1, 3, 4] == [record.seq for record in older.records]
    assert (changes.upto, older.hi, older.rev) == (4, 4, 4)
    assert marks == (0, [], False)
    assert (who, members, read, delivered) == (Refusal.FORBIDDEN,) * 4
    assert standing == (1, 4)
    assert description == [Description(conv, GROUP, 0, 0, None, None, None)]
    assert appended == [Refusal.FORBIDDEN] * 15
    (row,) = await talk.store.read(sync.digest, 3, 0, 0, 100)
    assert (row.head, row.rrev, row.former) == (4, 0, True)


async def test_a_former_member_reads_lists_as_they_were_when_he_left(talk: Talk) -> None:
    """[9-9]: a message that was pinned or edited after he left is withheld altogether; nothing is unread any more."""
    conv = await talk.group(1, 2, 3)
    await talk.results(msg(conv, 1, mentions=(3,)), msg(conv, 1, mentions=(3,)), pin(conv, 1, 2), pin(conv, 1, 3))
    await talk.results(remove(conv, 1, 3), unpin(conv, 1, 3), msg(conv, 1, mentions=(3,)), pin(conv, 1, 8))
    pinned, named, records, counts = await lists(talk, 3, conv)
    assert [pin[0] for pin in pinned] == [2]
    assert named == MentionsPage([2], 0)
    assert ([record.seq for record in records[0]], records[1]) == ([1, 2, 6], False)
    assert counts == ([], [])


async def test_a_forward_tells_nothing_of_what_its_sender_may_not_see(talk: Talk, conv: int) -> None:
    """P9: the source in a conversation that does not exist, in one he was never in, before his time, after it, changed
    after it, or no message at all: never told apart."""
    mine = await talk.group(3, 9)
    for user, sources in ((9, [(NOWHERE, 1), (conv, 2)]), (3, [(conv, seq) for seq in (1, 2, 4, 5, 99)])):
        for source in sources:
            assert await talk.refused(forward(mine, user, source)) is Refusal.NOT_FOUND
    assert (await talk.done(forward(mine, 3, (conv, 3)))).content == b"mine"


async def test_a_former_member_is_told_of_nothing_that_changes(talk: Talk, conv: int) -> None:
    """His row moves once, when he is removed."""
    since = await talk.store.read(sync.horizon)
    await talk.say(conv, 1)
    await talk.mark(conv, 2, read=3)
    assert await talk.store.read(sync.digest, 3, since, 0, 100) == []
    assert 3 not in (await talk.store.read(sync.rows, [conv], since))[conv]


async def test_who_joins_later_sees_nothing_from_before(talk: Talk, conv: int) -> None:
    """[9-7]: not even a message that is edited now."""
    joined = (await talk.done(add(conv, 2, 5))).seq
    await talk.done(edit(conv, 1, 5, b"edited later"))
    page = await talk.store.read(history.changes, 5, conv, 0, 100, LARGE)
    assert isinstance(page, ChangesPage)
    assert [record.seq for record in page.records] == [joined]
    assert page.upto == joined + 1
    assert await talk.store.read(receipts.who_read, 5, conv, 2) is Refusal.NOT_FOUND


async def test_descriptions_leave_out_what_is_none_of_ones_business(talk: Talk, conv: int) -> None:
    """A list with all kinds of conversations in it."""
    own = await talk.group(9)
    found = await talk.store.read(conversations.describe, 9, [conv, NOWHERE, own])
    assert [each.conv for each in found] == [own]

"""P2: the same cid makes one entry, whatever happened in between; with other content it is refused."""

from __future__ import annotations

import pytest

from tests.store.talk import Talk, add, assign, cid, delete, direct, edit, group, msg, notes, react, remove, title
from wirechat.store.records import Append, Appended, Kind, Refusal


async def test_a_repetition_in_one_batch_is_one_entry(talk: Talk) -> None:
    """A client that sends twice in one write."""
    conv = await talk.group(1, 2)
    item = msg(conv, 1)
    first, second, other = await talk.results(item, item, msg(conv, 2))
    assert (first.seq, first.dup) == (2, False)
    assert (second.seq, second.ts, second.dup) == (2, first.ts, True)
    assert other.seq == 3


async def test_a_repetition_in_a_later_batch_has_the_first_answer(talk: Talk) -> None:
    """A client that lost the reply."""
    conv = await talk.group(1, 2)
    item = msg(conv, 1)
    first = await talk.done(item)
    await talk.say(conv, 2)
    again = await talk.done(item)
    assert again == Appended(conv, first.seq, first.ts, True)
    assert await talk.head(1, conv) == 3


async def test_other_content_under_a_known_cid_is_refused_and_changes_nothing(talk: Talk) -> None:
    """In the same batch and in a later one; text, reference and kind are content."""
    conv = await talk.group(1, 2)
    used = cid()
    results = await talk.results(msg(conv, 1, b"one", id=used), msg(conv, 1, b"two", id=used))
    assert results[1] is Refusal.CID_REUSED
    others = [msg(conv, 1, b"one", 2, id=used), edit(conv, 1, 2, b"one", id=used), add(conv, 1, 3, id=used)]
    for other in others:
        assert await talk.refused(other) is Refusal.CID_REUSED
    assert await talk.texts(2, conv) == [None, b"one"]


async def test_a_cid_belongs_to_a_sender_and_a_conversation(talk: Talk) -> None:
    """The same eight bytes elsewhere are another request."""
    one, two = await talk.group(1, 2), await talk.group(1, 2)
    used = cid()
    results = await talk.results(msg(one, 1, id=used), msg(one, 2, id=used), msg(two, 1, id=used))
    assert [result.dup for result in results] == [False] * 3


@pytest.mark.parametrize(
    "kind", [Kind.MSG, Kind.EDIT, Kind.DELETE, Kind.REACT, Kind.ADD, Kind.REMOVE, Kind.META, Kind.ROLE]
)
async def test_every_kind_is_once(talk: Talk, kind: Kind) -> None:
    """Repeated at once, later, and when doing it again would be refused."""
    conv = await talk.group(1, 2)
    seq = await talk.say(conv, 1)
    item = {
        Kind.MSG: msg(conv, 1, ref=seq),
        Kind.EDIT: edit(conv, 1, seq),
        Kind.DELETE: delete(conv, 1, seq),
        Kind.REACT: react(conv, 1, seq),
        Kind.ADD: add(conv, 1, 3),
        Kind.REMOVE: remove(conv, 1, 2),
        Kind.META: title(conv, 1),
        Kind.ROLE: assign(conv, 1, 2, 4),
    }[kind]
    results = [*await talk.results(item, item), *await talk.results(item)]
    assert [result.dup for result in results] == [False, True, True]
    assert {(result.seq, result.ts, result.users) for result in results} == {(3, results[0].ts, results[0].users)}
    assert await talk.head(1, conv) == 3


async def test_leaving_twice_in_one_batch_is_one_entry(talk: Talk) -> None:
    """The second finds its sender gone already."""
    conv = await talk.group(1, 2)
    leave = remove(conv, 2, 2)
    first, second = await talk.results(leave, leave)
    assert (first.seq, first.dup, second.seq, second.dup) == (2, False, 2, True)


async def test_a_repetition_is_answered_after_its_sender_left(talk: Talk) -> None:
    """[11-8]: the cid is looked at before the right, so the answer does not depend on what happened since."""
    conv = await talk.group(1, 2)
    sent, reused = msg(conv, 2), cid()
    first = await talk.done(sent)
    await talk.done(msg(conv, 2, b"other", id=reused))
    await talk.done(remove(conv, 1, 2))
    assert (await talk.done(sent)).seq == first.seq
    assert await talk.refused(msg(conv, 2, b"else", id=reused)) is Refusal.CID_REUSED
    assert await talk.refused(msg(conv, 2)) is Refusal.FORBIDDEN


async def test_in_one_batch_with_the_removal_of_its_sender(talk: Talk) -> None:
    """Send, be removed, send again: all three at once."""
    conv = await talk.group(1, 2)
    sent = msg(conv, 2)
    first, _, again, fresh = await talk.results(sent, remove(conv, 1, 2), sent, msg(conv, 2))
    assert (again.seq, again.dup, fresh) == (first.seq, True, Refusal.FORBIDDEN)


async def test_the_cid_of_a_deleted_message_stays_known(talk: Talk) -> None:
    """[9-13]: a client that comes back after a year does not revive it."""
    conv = await talk.group(1, 2)
    sent = msg(conv, 1, b"secret")
    seq = (await talk.done(sent)).seq
    await talk.done(delete(conv, 1, seq))
    assert await talk.done(sent) == Appended(conv, seq, talk.now_ms - 2, True)
    assert await talk.refused(msg(conv, 1, b"other", id=sent.cid)) is Refusal.CID_REUSED
    assert b"secret" not in await talk.texts(2, conv)


async def test_a_refusal_does_not_use_up_the_cid(talk: Talk) -> None:
    """[11-5]: what was refused may be sent again."""
    conv = await talk.group(1, 2)
    item = msg(conv, 3)
    assert await talk.refused(item) is Refusal.NO_CONVERSATION
    await talk.done(add(conv, 1, 3))
    assert not (await talk.done(item)).dup


async def test_a_conversation_is_made_once(talk: Talk) -> None:
    """Its cid belongs to its creator, whatever id was proposed."""
    wanted = group(1, 2, 3, title=b"title")
    again = Append(wanted.conv + 1, 1, wanted.cid, Kind.CREATE, b"title", None, (2, 3), wanted.digest, wanted.conv_kind)
    first, second = await talk.results(wanted, wanted)
    third = await talk.done(again)
    assert (first.conv, first.seq, first.users, first.dup) == (wanted.conv, 1, (1, 2, 3), False)
    for result in (second, third):
        assert result == Appended(wanted.conv, 1, first.ts, True, (1, 2, 3))
    assert await talk.refused(group(1, 2, id=wanted.cid)) is Refusal.CID_REUSED
    assert not (await talk.done(group(2, 3, id=wanted.cid))).dup


async def test_two_people_have_one_direct_conversation(talk: Talk) -> None:
    """[10-1]: whoever asks, with whatever cid, also both at once."""
    mine, theirs = direct(1, 2), direct(2, 1)
    first, second = await talk.results(mine, theirs)
    assert (first.conv, first.dup, first.users) == (mine.conv, False, (1, 2))
    for item in (mine, theirs, direct(1, 2), direct(2, 1)):
        assert await talk.done(item) == Appended(mine.conv, 1, first.ts, True, (1, 2))
    assert second.dup
    assert (await talk.done(direct(1, 3))).conv != mine.conv


async def test_notes_to_self_are_one(talk: Talk) -> None:
    """[10-19]: whatever cid asks for them, also twice at once; they are nobody else's."""
    mine, also = notes(1), notes(1)
    first, second = await talk.results(mine, also)
    assert (first.conv, first.dup, first.users) == (mine.conv, False, (1,))
    assert second == Appended(mine.conv, 1, first.ts, True, (1,))
    assert await talk.done(mine) == second
    assert (await talk.done(notes(2))).conv != mine.conv
    assert await talk.refused(msg(mine.conv, 2)) is Refusal.NO_CONVERSATION
    assert await talk.refused(direct(1, 2, id=mine.cid)) is Refusal.CID_REUSED


async def test_the_cid_that_found_a_direct_conversation_is_used(talk: Talk) -> None:
    """It answers its repetition, and nothing else."""
    await talk.done(direct(1, 2))
    found = direct(2, 1)
    assert (await talk.done(found)).dup
    assert await talk.refused(group(2, 3, id=found.cid)) is Refusal.CID_REUSED
    assert (await talk.done(found)).dup

"""Roles, title and description, notes to self, as the store keeps them."""

from __future__ import annotations

import itertools
from typing import Any

import apsw
import pytest

from tests.store.talk import (
    Talk,
    about,
    add,
    assign,
    delete,
    direct,
    edit,
    group,
    notes,
    packed,
    react,
    remove,
    title,
)
from wirechat.store import migrations
from wirechat.store.features import conversations, history, roles
from wirechat.store.records import ADMIN, DIRECT, GROUP, MEMBER, MODERATOR, NONE, OWNER, SELF, Append, Kind, Refusal


def test_10_12_the_table() -> None:
    """Every right, for every pair of roles, spelled out."""
    assert [role for role in range(5) if roles.may_pin(GROUP, role)] == [MODERATOR, ADMIN, OWNER]
    assert [role for role in range(5) if roles.may_describe(GROUP, role)] == [ADMIN, OWNER]
    moderates = {pair for pair in itertools.product(range(1, 5), range(5)) if roles.may_moderate(GROUP, *pair)}
    assert moderates == {
        (MODERATOR, NONE), (MODERATOR, MEMBER),
        (ADMIN, NONE), (ADMIN, MEMBER), (ADMIN, MODERATOR),
        (OWNER, NONE), (OWNER, MEMBER), (OWNER, MODERATOR), (OWNER, ADMIN),
    }  # fmt: skip
    assigns = {triple for triple in itertools.product(range(1, 5), repeat=3) if roles.may_assign(*triple)}
    assert assigns == {
        *((ADMIN, theirs, role) for theirs in (MEMBER, MODERATOR) for role in (MEMBER, MODERATOR)),
        *((OWNER, theirs, role) for theirs in (MEMBER, MODERATOR, ADMIN) for role in range(1, 5)),
    }


@pytest.mark.parametrize("kind", [DIRECT, SELF])
def test_10_12_no_roles_outside_of_groups(kind: int) -> None:
    """Whoever is in may pin; nobody touches what another wrote, nor the conversation."""
    assert roles.may_pin(kind, MEMBER)
    assert not roles.may_moderate(kind, MEMBER, NONE)
    assert not roles.may_describe(kind, MEMBER)


async def info(talk: Talk, user: int, conv: int) -> tuple[Any, ...]:
    """(kind, role, members, title, description) as this user is told."""
    (found,) = await talk.store.read(conversations.describe, user, [conv])
    assert found.conv == conv
    return found.kind, found.role, found.members, found.title, found.about


async def test_10_13_a_role_is_given(talk: Talk) -> None:
    """The entry names him and the role; what he may do changes at once, in the same batch too."""
    conv = await talk.group(1, 2, 3)
    seq = await talk.say(conv, 3)
    before, given, after = await talk.results(delete(conv, 2, seq), assign(conv, 1, 2, MODERATOR), delete(conv, 2, seq))
    assert before is Refusal.FORBIDDEN
    assert (given.users, after.seq) == ((2,), given.seq + 1)
    (entry,) = await talk.store.read(history.entries, [(conv, given.seq)])
    assert (entry.kind, entry.users, entry.role) == (Kind.ROLE, (2,), MODERATOR)
    record = next(record for record in await talk.records(3, conv) if record.seq == given.seq)
    assert (record.users, record.role) == ((2,), MODERATOR)
    assert await talk.roles(3, conv) == {1: OWNER, 2: MODERATOR, 3: MEMBER}


async def test_10_13_what_is_refused(talk: Talk) -> None:
    """In the order of the checks; nothing changes."""
    conv = await talk.group(1, 2, 3, 4)
    await talk.results(assign(conv, 1, 2, ADMIN), assign(conv, 1, 3, MODERATOR), remove(conv, 4, 4))
    for item, refusal in (
        (assign(conv, 9, 2, MEMBER), Refusal.NO_CONVERSATION),
        (assign(conv, 4, 2, MEMBER), Refusal.FORBIDDEN),
        (assign(conv, 3, 9, MEMBER), Refusal.FORBIDDEN),
        (assign(conv, 1, 9, MEMBER), Refusal.NOT_FOUND),
        (assign(conv, 1, 4, MEMBER), Refusal.NOT_FOUND),
        (assign(conv, 2, 3, ADMIN), Refusal.FORBIDDEN),
        (assign(conv, 2, 1, MEMBER), Refusal.FORBIDDEN),
        (assign(conv, 2, 3, MODERATOR), Refusal.CONFLICT),
    ):
        assert await talk.refused(item) is refusal, item
    assert await talk.roles(1, conv) == {1: OWNER, 2: ADMIN, 3: MODERATOR}


async def test_10_14_a_group_is_handed_on(talk: Talk) -> None:
    """One entry: he is the owner, the giver an admin, who cannot take it back."""
    conv = await talk.group(1, 2)
    await talk.done(assign(conv, 1, 2, OWNER))
    assert await talk.roles(1, conv) == {1: ADMIN, 2: OWNER}
    assert await talk.refused(assign(conv, 1, 2, MEMBER)) is Refusal.FORBIDDEN
    await talk.done(remove(conv, 2, 1))


@pytest.mark.parametrize(
    ("given", "heir"),
    [({}, 3), ({5: MODERATOR}, 5), ({5: MODERATOR, 4: ADMIN}, 4), ({4: ADMIN, 5: ADMIN, 3: ADMIN}, 3)],
)
async def test_10_10_who_follows_the_owner(talk: Talk, given: dict[int, int], heir: int) -> None:
    """The highest role, of those who was there first, of those the smallest id. User 2 came back last."""
    conv = await talk.group(1, 5, 3, 2)
    await talk.results(remove(conv, 2, 2), add(conv, 1, 4), add(conv, 1, 2))
    await talk.results(*(assign(conv, 1, user, role) for user, role in given.items()))
    await talk.done(remove(conv, 1, 1))
    roles_now = await talk.roles(heir, conv)
    assert roles_now == {2: MEMBER, 3: MEMBER, 4: MEMBER, 5: MEMBER} | given | {heir: OWNER}


async def test_10_10_in_one_batch(talk: Talk) -> None:
    """Who becomes owner in the middle of a batch acts as one in the rest of it; who is back is a member."""
    conv = await talk.group(1, 2, 3)
    results = await talk.results(
        remove(conv, 1, 1), remove(conv, 3, 2), add(conv, 2, 1), remove(conv, 1, 3), remove(conv, 2, 1),
        remove(conv, 2, 2), title(conv, 3),
    )  # fmt: skip
    refused = [number for number, result in enumerate(results) if result is Refusal.FORBIDDEN]
    assert refused == [1, 3]
    assert await talk.roles(3, conv) == {3: OWNER}


async def test_10_10_the_last_one_leaves_nobody(talk: Talk) -> None:
    """The log stays; there is nobody to be its owner."""
    conv = await talk.group(1, 2)
    await talk.results(remove(conv, 1, 1), remove(conv, 2, 2))
    assert await talk.members(conv) == {}
    assert await info(talk, 2, conv) == (GROUP, NONE, 0, None, None)


async def test_10_12_moderators_delete_and_remove_who_stands_below(talk: Talk) -> None:
    """Also what a former member wrote; never an edit."""
    conv = await talk.group(1, 2, 3, 4)
    await talk.results(assign(conv, 1, 2, MODERATOR), assign(conv, 1, 3, MODERATOR))
    said = {user: await talk.say(conv, user, b"%d" % user) for user in (1, 2, 3, 4)}
    await talk.done(remove(conv, 4, 4))
    for user in (1, 3):
        assert await talk.refused(delete(conv, 2, said[user])) is Refusal.FORBIDDEN
        assert await talk.refused(remove(conv, 2, user)) is Refusal.FORBIDDEN
    assert await talk.refused(edit(conv, 2, said[4])) is Refusal.FORBIDDEN
    await talk.done(edit(conv, 3, said[3], b"edited"))
    await talk.results(delete(conv, 2, said[4]), delete(conv, 1, said[3]))
    assert {b"4", b"3", b"edited"} & set(await talk.texts(1, conv)) == set()
    assert await talk.texts(4, conv) != []


async def test_10_16_title_and_description(talk: Talk) -> None:
    """The newest counts, also an empty one, and one that changes nothing; each is an entry that all see."""
    conv = (await talk.done(group(1, 2, title=packed(1, b"first")))).conv
    await talk.results(title(conv, 1, b"second"), about(conv, 1, b"what for"), about(conv, 1, b"what for"))
    expected = (packed(10, b"second"), packed(11, b"what for"))
    assert await info(talk, 2, conv) == (GROUP, MEMBER, 2, *expected)
    assert await talk.texts(2, conv) == [packed(1, b"first"), expected[0], expected[1], expected[1]]
    await talk.results(title(conv, 1, b""), about(conv, 1, b""))
    assert (await info(talk, 1, conv))[3:] == (packed(10, b""), packed(11, b""))
    assert await talk.refused(title(conv, 2)) is Refusal.FORBIDDEN
    await talk.done(assign(conv, 1, 2, ADMIN))
    await talk.done(title(conv, 2, b"third"))


async def test_10_17_a_former_member_is_told_what_it_was_called_when_he_left(talk: Talk) -> None:
    """P9: what comes after he does not learn, neither from the log nor from the description."""
    conv = (await talk.done(group(1, 2, 3, title=packed(1, b"first")))).conv
    await talk.done(remove(conv, 3, 3))
    await talk.results(title(conv, 1, b"second"), about(conv, 1, b"what for"), about(conv, 1, b"why"))
    await talk.results(remove(conv, 2, 2), title(conv, 1, b"third"), about(conv, 1, b""))
    assert await info(talk, 3, conv) == (GROUP, NONE, 0, packed(1, b"first"), None)
    assert await info(talk, 2, conv) == (GROUP, NONE, 0, packed(10, b"second"), packed(11, b"why"))
    await talk.done(add(conv, 1, 2))
    assert await info(talk, 2, conv) == (GROUP, MEMBER, 2, packed(10, b"third"), packed(11, b""))


@pytest.mark.parametrize("make", [direct(1, 2), notes(1)])
async def test_10_12_nothing_of_this_outside_of_groups(talk: Talk, make: Append) -> None:
    """Direct conversations and notes to self stay as they are."""
    conv = (await talk.done(make)).conv
    for item in (title(conv, 1), about(conv, 1), assign(conv, 1, 2, ADMIN), add(conv, 1, 3), remove(conv, 1, 1)):
        assert await talk.refused(item) is Refusal.FORBIDDEN
    assert set((await talk.roles(1, conv)).values()) == {MEMBER}


async def test_10_19_notes_take_messages(talk: Talk) -> None:
    """Everything about messages; a member list of one."""
    conv = (await talk.done(notes(1))).conv
    seq = await talk.say(conv, 1, b"milk")
    await talk.results(react(conv, 1, seq), edit(conv, 1, seq, b"bread"))
    assert await talk.texts(1, conv) == [None, b"bread"]
    assert await info(talk, 1, conv) == (SELF, MEMBER, 1, None, None)
    assert await talk.mark(conv, 1, read=2) == (2, 2)


def test_a_store_of_before_roles_gets_them() -> None:
    """Groups whose creator left, came back or stayed, written when only the creator could be owner."""
    core, base = migrations.migrations("sqlite")[:2]
    db = apsw.Connection(":memory:")
    db.execute(core.sql)
    db.executemany("INSERT INTO conv VALUES (?, ?, NULL, 9, 0, 1, 0)", [(1, 2), (2, 2), (3, 2), (4, 1), (5, 2)])
    rows = [
        (1, 1, 4, 1, None), (1, 2, 1, 1, None),
        (2, 1, 4, 1, 5), (2, 2, 1, 3, None), (2, 3, 1, 3, None),
        (3, 1, 4, 7, None), (3, 2, 1, 4, None), (3, 4, 1, 1, 3),
        (4, 1, 1, 1, None), (4, 2, 1, 1, None),
        (5, 1, 4, 1, 5),
    ]  # fmt: skip
    db.executemany("INSERT INTO member VALUES (?, ?, ?, ?, ?, 0)", rows)
    db.execute(base.sql)
    found = db.execute("SELECT conv, user_id, role FROM member ORDER BY conv, user_id").fetchall()
    assert found == [
        (1, 1, 4), (1, 2, 1), (2, 1, 0), (2, 2, 4), (2, 3, 1), (3, 1, 1), (3, 2, 4), (3, 4, 0), (4, 1, 1), (4, 2, 1),
        (5, 1, 0),
    ]  # fmt: skip

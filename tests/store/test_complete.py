"""P5: every page of CHANGES and HISTORY is exactly what the fold of the log says, for members, for those who came back
and for those who left, whatever was written and however it is paged.
"""

from __future__ import annotations

from random import Random

import attrs
import pytest

from tests.store.oracle import Oracle
from tests.store.talk import (
    LARGE,
    Talk,
    about,
    add,
    assign,
    cid,
    delete,
    edit,
    forward,
    group,
    msg,
    pin,
    react,
    remove,
    title,
    unpin,
)
from wirechat.store.database import Store
from wirechat.store.features import history, mentions, pins, unread
from wirechat.store.records import Append, Appended, ChangesPage, HistoryPage, Refusal, StoredRecord

USERS = range(1, 7)
"""Six may be in the conversation; 7 never is."""


def something(chance: Random, oracle: Oracle) -> Append:
    """Any entry anybody might want."""
    conv, sender = oracle.conv, chance.choice(USERS)
    ref = chance.randint(1, oracle.head + 1)
    named = tuple(chance.sample((*USERS, 7), chance.choice((0, 0, 1, 3))))
    match chance.choice("mmmmrreeedddxxxyAARoottpppuff"):
        case "m":
            return msg(conv, sender, chance.randbytes(chance.randint(1, 300)), mentions=named)
        case "r":
            return msg(conv, sender, b"reply", ref, mentions=named)
        case "f":
            return forward(conv, sender, (conv, ref), chance.choice((None, None, ref)))
        case "p":
            return pin(conv, chance.choice((1, sender)), ref)
        case "u":
            return unpin(conv, 1, ref)
        case "e":
            return edit(conv, sender, ref, chance.randbytes(chance.randint(1, 300)), mentions=named)
        case "d":
            return delete(conv, sender, ref)
        case "x":
            return react(conv, sender, ref, chance.choice((b"+1", b"-1", b"heart")))
        case "y":
            return react(conv, sender, ref, None)
        case "A":
            return add(conv, sender, *sorted(chance.sample(USERS, chance.randint(1, 3))))
        case "o":
            return assign(conv, chance.choice((sender, 1)), chance.choice(USERS), chance.randint(1, 4))
        case "t":
            return chance.choice((title, about))(conv, chance.choice((sender, 1)), chance.choice((b"", b"text")))
        case _:
            return remove(conv, sender if chance.random() < 0.5 else 1, chance.choice(USERS))


async def write(talk: Talk, chance: Random, oracle: Oracle, size: int) -> None:
    """A batch of anything; what is accepted goes into the oracle."""
    batch = [something(chance, oracle) for _ in range(size)]
    batch += chance.sample(batch, size // 8)  # repetitions
    results = await talk.results(*batch)
    for item, result in zip(batch, results, strict=True):
        assert isinstance(result, Appended | Refusal), result
        if isinstance(result, Appended) and not result.dup:
            assert oracle.allows(item), item
            oracle.take(item, result)
        elif result is Refusal.FORBIDDEN:
            assert not oracle.allows(item), item


def fits(page: list[StoredRecord], limit: int, bytes_max: int) -> bool:
    size = sum(len(record.content or b"") + sum(len(what) for _, what in record.reactions) for record in page)
    return len(page) <= limit and (size <= bytes_max or len(page) == 1)


async def check_changes(store: Store, oracle: Oracle, user: int, since: int, limit: int, bytes_max: int) -> ChangesPage:
    """One page against the oracle."""
    page = await store.read(history.changes, user, oracle.conv, since, limit, bytes_max)
    assert isinstance(page, ChangesPage)
    wanted = oracle.changes(user, since)
    assert page.records == wanted[: len(page.records)]
    assert page.more == (len(page.records) < len(wanted))
    assert page.upto == (page.records[-1].rev if page.more else max(since, oracle.visible_head(user)))
    assert fits(page.records, limit, bytes_max)
    return page


async def check_history(
    store: Store, oracle: Oracle, user: int, hi: int | None, limit: int, bytes_max: int
) -> HistoryPage:
    page = await store.read(history.history, user, oracle.conv, hi, limit, bytes_max)
    assert isinstance(page, HistoryPage)
    top = oracle.visible_head(user)
    assert page.rev == top
    assert page.hi == (top if hi is None else min(hi, top))
    wanted = [record for record in oracle.visible(user) if record.seq <= page.hi]
    assert page.records == wanted[len(wanted) - len(page.records) :]
    left = len(page.records) < len(wanted)
    assert page.lo == (page.records[0].seq if left else 1)
    assert fits(page.records, limit, bytes_max)
    return page


async def check_paging(store: Store, oracle: Oracle, user: int, limit: int, bytes_max: int) -> None:
    """Page after page gives everything once, forwards and backwards."""
    forwards: list[StoredRecord] = []
    since, more = 0, True
    while more:
        page = await check_changes(store, oracle, user, since, limit, bytes_max)
        forwards += page.records
        since, more = page.upto, page.more
    assert forwards == oracle.changes(user, 0)
    backwards: list[StoredRecord] = []
    hi: int | None = None
    while hi is None or hi > 0:
        older = await check_history(store, oracle, user, hi, limit, bytes_max)
        backwards = older.records + backwards
        hi = older.lo - 1
    assert backwards == oracle.visible(user)


async def check_lists(talk: Talk, oracle: Oracle, user: int) -> None:
    """What is pinned, where one is mentioned, what is unread."""
    read, conv = talk.store.read, oracle.conv
    pinned = await read(pins.pins, user, conv)
    assert not isinstance(pinned, Refusal)
    assert [seq for seq, *_ in pinned] == oracle.pins(user)
    named, hi = [], None
    while hi is None or hi > 0:
        page = await read(mentions.mentions, user, conv, hi, 2)
        assert not isinstance(page, Refusal)
        named += page.seqs
        hi = page.below
    assert named[::-1] == oracle.mentions(user)
    counts, left = await read(unread.unread, user, [conv], LARGE)
    assert left == []
    assert bool(counts) == oracle.is_member(user)
    for count in counts:
        above = oracle.unread(user, count.read)
        assert (count.head, count.unread, count.more) == (oracle.head, len(above), False)
        assert count.mentions == len(set(above) & set(oracle.mentions(user)))


@pytest.mark.parametrize("seed", range(12))
async def test_pages_are_the_fold(talk: Talk, seed: int) -> None:
    """Random logs with edits, deletes, reactions, replies, roles, people who join, leave and come back."""
    chance = Random(seed)
    first = group(1, 2, 3, title=b"title")
    oracle = Oracle(first, await talk.done(first))
    for _ in range(8):
        await write(talk, chance, oracle, chance.choice((1, 5, 20)))
        for user in (user for user in USERS if oracle.periods(user)):
            limit, bytes_max = chance.choice((1, 2, 3, 10, LARGE)), chance.choice((1, 500, LARGE))
            await check_changes(talk.store, oracle, user, chance.randint(0, oracle.head + 2), limit, bytes_max)
            hi = chance.choice((None, 0, chance.randint(1, oracle.head + 2)))
            await check_history(talk.store, oracle, user, hi, limit, bytes_max)
            await check_lists(talk, oracle, user)
            await talk.mark(oracle.conv, user, read=chance.choice((0, 0, chance.randint(0, oracle.head))))
    for user in (user for user in USERS if oracle.periods(user)):
        await check_paging(talk.store, oracle, user, chance.choice((1, 2, 7)), chance.choice((1, 1000, LARGE)))
    assert set(await talk.members(oracle.conv)) == oracle.members()
    if oracle.members():
        assert await talk.roles(min(oracle.members()), oracle.conv) == oracle.roles()


async def test_a_device_that_pages_while_others_write_ends_with_the_fold(talk: Talk) -> None:
    """The pages of a catch-up come from different snapshots; together they still give the latest state."""
    chance = Random(7)
    first = group(1, 2)
    oracle = Oracle(first, await talk.done(first))
    held: dict[int, StoredRecord] = {}
    pos = 0
    for _ in range(30):
        await write(talk, chance, oracle, 4)
        if not oracle.is_member(1):
            continue
        page = await check_changes(talk.store, oracle, 1, pos, 3, LARGE)
        held.update({record.seq: record for record in page.records})
        pos = page.upto
    while pos < oracle.visible_head(1):
        page = await check_changes(talk.store, oracle, 1, pos, 3, LARGE)
        held.update({record.seq: record for record in page.records})
        pos = page.upto
    assert [held[record.seq] for record in oracle.visible(1)] == oracle.visible(1)


async def test_upto_of_a_former_member_is_never_below_since(talk: Talk) -> None:
    """[12-19]: his device may be ahead of what he may ask for now."""
    conv = await talk.group(1, 2)
    await talk.done(remove(conv, 1, 2))
    await talk.say(conv, 1)
    page = await talk.store.read(history.changes, 2, conv, 3, 10, LARGE)
    assert page == ChangesPage(3, [], False)


async def test_a_page_holds_at_least_one_record(talk: Talk) -> None:
    """However large it is."""
    conv = await talk.group(1, 2)
    await talk.say(conv, 1, b"x" * 16_000)
    await talk.say(conv, 1, b"y" * 16_000)
    page = await talk.store.read(history.changes, 2, conv, 1, 10, 100)
    assert isinstance(page, ChangesPage)
    assert [record.seq for record in page.records] == [2]
    assert page.more


async def test_a_reply_may_refer_to_what_one_sees_only(talk: Talk) -> None:
    """[11.2]: to a message of one's periods, deleted or not; to nothing else."""
    conv = await talk.group(1, 2)
    early = await talk.say(conv, 1)
    joined = (await talk.done(add(conv, 1, 3))).seq
    late = await talk.say(conv, 1)
    await talk.done(delete(conv, 1, late))
    assert (await talk.done(msg(conv, 3, ref=late))).seq == late + 2
    for ref in (early, joined, 1, 99, late + 1):
        for item in (msg(conv, 3, ref=ref), react(conv, 3, ref)):
            assert await talk.refused(item) is Refusal.NOT_FOUND
    await talk.done(remove(conv, 3, 3))
    await talk.done(add(conv, 1, 3))
    assert (await talk.done(msg(conv, 3, ref=late))).dup is False


async def test_deleted_messages_take_no_more_changes(talk: Talk) -> None:
    """[11.2]: 4004."""
    conv = await talk.group(1, 2)
    seq = await talk.say(conv, 1)
    await talk.done(delete(conv, 1, seq))
    for item in (edit(conv, 1, seq), delete(conv, 1, seq), react(conv, 2, seq), react(conv, 2, seq, None)):
        assert await talk.refused(item) is Refusal.DELETED


async def test_a_message_takes_a_bounded_number_of_reactions(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    """[9-5]: users above it get 4007; who is in may change his mind."""
    monkeypatch.setattr("wirechat.store.features.messages.REACTIONS_MAX", 2)
    conv = await talk.group(1, 2, 3)
    seq = await talk.say(conv, 1)
    results = await talk.results(*(react(conv, user, seq) for user in (1, 2, 3)), react(conv, 1, seq, b"other"))
    assert results[2] is Refusal.LIMIT
    assert (await talk.records(1, conv))[-1].reactions == ((1, b"other"), (2, b"+1"))


async def test_groups_are_bounded(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    """[10-4], [10-7]: nobody is added when all would be too many."""
    monkeypatch.setattr("wirechat.store.features.journal.MEMBERS_MAX", 3)
    assert await talk.refused(group(1, 2, 3, 4)) is Refusal.LIMIT
    conv = await talk.group(1, 2)
    assert await talk.refused(add(conv, 1, 3, 4)) is Refusal.LIMIT
    assert (await talk.done(add(conv, 1, 2, 3))).users == (3,)


async def test_who_comes_back_is_a_member_and_has_one_more_period(talk: Talk) -> None:
    """[10-2], [10-10]: another owns the group now."""
    first = group(1, 2)
    oracle = Oracle(first, await talk.done(first))
    conv = oracle.conv
    for item in (remove(conv, 1, 1), add(conv, 2, 1), remove(conv, 2, 1), add(conv, 2, 1), msg(conv, 1)):
        oracle.take(item, await talk.done(item))
    assert await talk.refused(remove(conv, 1, 2)) is Refusal.FORBIDDEN
    assert oracle.periods(1) == [(1, 2), (3, 4), (5, None)]
    assert await talk.members(conv) == {2: 1, 1: 5}
    assert await talk.roles(1, conv) == {1: 1, 2: 4}
    for user in (1, 2):
        await check_paging(talk.store, oracle, user, 2, LARGE)


async def test_direct_conversations_have_their_two_members_for_ever(talk: Talk) -> None:
    """[10-1]."""
    from tests.store.talk import direct

    conv = (await talk.done(direct(1, 2))).conv
    for item in (add(conv, 1, 3), remove(conv, 1, 2), remove(conv, 1, 1)):
        assert await talk.refused(item) is Refusal.FORBIDDEN


async def test_a_conversation_needs_people_who_exist(talk: Talk) -> None:
    """[10-4]: otherwise nothing is made."""
    wanted = group(1, 2, 777)
    assert await talk.refused(wanted) is Refusal.NOT_FOUND
    assert await talk.refused(group(1, 1, 2)) is Refusal.FORBIDDEN
    assert await talk.refused(msg(wanted.conv, 1)) is Refusal.NO_CONVERSATION


async def test_entries_are_read_in_the_order_asked(talk: Talk) -> None:
    """Pushes that waited are looked up together."""
    conv = await talk.group(1, 2)
    used = cid()
    seqs = [(await talk.done(msg(conv, 1, b"one", id=used))).seq, await talk.say(conv, 2, b"two", 2)]
    wanted = [(conv, seq) for seq in (seqs[1], seqs[0], 1, seqs[1])]
    entries = await talk.store.read(history.entries, wanted)
    assert [(entry.seq, entry.content, entry.ref, entry.users) for entry in entries] == [
        (3, b"two", 2, ()), (2, b"one", None, ()), (1, None, None, (1, 2)), (3, b"two", 2, ()),
    ]  # fmt: skip
    assert attrs.asdict(entries[1])["cid"] == used

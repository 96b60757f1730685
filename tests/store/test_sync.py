"""The digest: what a device with an old token is told, page by page, and what a node finds in its pass (sync rules R2,
R6, R7).
"""

from __future__ import annotations

from random import Random
from typing import Any

from tests.store.talk import Talk, add, remove
from wirechat.store.database import Store
from wirechat.store.features import sync
from wirechat.store.records import DigestRow


async def test_an_empty_store_has_a_horizon(store: Store) -> None:
    """A token can be given before anything was written."""
    horizon = await store.read(sync.horizon)
    assert horizon > 0
    assert await store.read(sync.digest, 1, 0, 0, 10) == []
    assert (await store.read(sync.changed, horizon))[1] == []


async def test_since_nothing_the_digest_is_everything(talk: Talk) -> None:
    """A new device: all conversations, by id, with the user's own watermarks."""
    one, two = sorted([await talk.group(1, 2), await talk.group(2, 1)])
    await talk.say(two, 2)
    await talk.mark(two, 1, delivered=2, read=1)
    assert await talk.store.read(sync.digest, 1, 0, 0, 10) == [
        DigestRow(one, 1, 0, 0, 0, False),
        DigestRow(two, 2, 1, 2, 1, False),
    ]


async def test_after_the_horizon_only_what_changed(talk: Talk) -> None:
    """Entries, receipts of others, being added and being removed; each exactly once."""
    convs = [await talk.group(1, 2, 3) for _ in range(6)]
    other = await talk.group(3, 2)
    since = await talk.store.read(sync.horizon)
    assert await talk.store.read(sync.digest, 1, since, 0, 10) == []
    await talk.say(convs[0], 2)
    await talk.mark(convs[1], 2, read=1)
    await talk.done(remove(convs[2], 1, 1))
    await talk.done(remove(convs[3], 1, 3))
    await talk.done(add(other, 3, 1))
    rows = {row.conv: row for row in await talk.store.read(sync.digest, 1, since, 0, 10)}
    assert rows == {
        convs[0]: DigestRow(convs[0], 2, 0, 0, 0, False),
        convs[1]: DigestRow(convs[1], 1, 1, 0, 0, False),
        convs[2]: DigestRow(convs[2], 2, 0, 0, 0, True),
        convs[3]: DigestRow(convs[3], 2, 0, 0, 0, False),
        other: DigestRow(other, 2, 0, 0, 0, False),
    }
    later = await talk.store.read(sync.horizon)
    assert await talk.store.read(sync.digest, 1, later, 0, 10) == []


async def test_pages_by_id_leave_nothing_out(talk: Talk) -> None:
    """Whatever happens between them is stamped at or after the horizon of the first (R2)."""
    chance = Random(3)
    convs = [await talk.group(1, 2) for _ in range(15)]
    horizon = await talk.store.read(sync.horizon)
    told: dict[int, int] = {}
    after, more = 0, True
    while more:
        page = await talk.store.read(sync.digest, 1, 0, after, 4)
        told.update({row.conv: row.head for row in page})
        more = len(page) == 4
        after = page[-1].conv if page else after
        await talk.say(chance.choice(convs), 2)
    told.update({row.conv: row.head for row in await talk.store.read(sync.digest, 1, horizon, 0, 100)})
    assert told == {conv: await talk.head(1, conv) for conv in convs}


async def test_the_pass_finds_what_changed_on_the_node(talk: Talk) -> None:
    """Whoever it concerns: logs, receipts and memberships."""
    quiet, one, two, three = [await talk.group(1, 2, 3) for _ in range(4)]
    since, _ = await talk.store.read_ordered(sync.changed, 0)
    await talk.say(one, 1)
    await talk.mark(two, 2, read=1)
    await talk.done(remove(three, 1, 3))
    upto, changed = await talk.store.read_ordered(sync.changed, since)
    assert upto > since
    assert sorted(changed) == sorted([(one, 2, 0, 1), (two, 1, 1, 1), (three, 2, 0, 2)])
    assert quiet not in {conv for conv, *_ in changed}
    assert (await talk.store.read_ordered(sync.changed, upto)) == (upto, [])


async def test_rows_for_the_sessions_of_a_node(talk: Talk) -> None:
    """Members as of the same snapshot (R6), and those removed since, with their last head."""
    conv = await talk.group(1, 2, 3, 4)
    await talk.done(remove(conv, 1, 4))
    since = await talk.store.read(sync.horizon)
    await talk.done(remove(conv, 1, 3))
    await talk.say(conv, 1)
    await talk.mark(conv, 2, read=2)
    rows = await talk.store.read(sync.rows, [conv, 777], since)
    assert rows == {
        conv: {
            1: DigestRow(conv, 4, 1, 0, 0, False),
            2: DigestRow(conv, 4, 1, 2, 2, False),
            3: DigestRow(conv, 3, 0, 0, 0, True),
        }
    }


async def test_a_horizon_covers_what_came_before_it(talk: Talk) -> None:
    """I2: a row whose last change a snapshot does not see is stamped at or above the snapshot's horizon."""
    chance = Random(5)
    convs = [await talk.group(1, 2) for _ in range(5)]

    async def stamped(tx: Any) -> tuple[int, list[Any]]:
        return await sync.horizon(tx), await tx.fetch("SELECT conv, head, stamp FROM conv")

    horizon, before = await talk.store.read(stamped)
    for _ in range(20):
        for conv in chance.sample(convs, 2):
            await talk.say(conv, 1)
        later, after = await talk.store.read(stamped)
        seen = {conv: head for conv, head, _ in before}
        assert all(stamp >= horizon for conv, head, stamp in after if head != seen[conv])
        assert all(stamp < later for *_, stamp in after)
        horizon, before = later, after


async def test_nothing_holds_the_horizon(talk: Talk) -> None:
    """While nobody writes."""
    await talk.group(1, 2)
    assert await talk.store.read(sync.held) == sync.Held(0.0, 0)

"""Who may see whose presence (P9), and when people were last there."""

from __future__ import annotations

from typing import Any

import pytest

from tests.store.talk import Talk, direct, notes, remove
from wirechat.store.features import presence


async def change(talk: Talk, sql: str, *args: Any) -> None:
    async def run(tx: Any) -> None:
        await tx.execute(sql, *args)

    await talk.store.write(run)


async def sees(talk: Talk, *pairs: tuple[int, int]) -> list[tuple[int, int]]:
    return sorted(await talk.store.read(presence.visible, pairs))


async def test_13_17_who_shares_a_conversation_sees_the_other(talk: Talk) -> None:
    """A direct one or a group, as current members; strangers and who does not exist are the same to everyone."""
    await talk.done(direct(1, 2))
    conv = await talk.group(1, 3)
    await talk.done(notes(4))
    pairs = [(1, 2), (2, 1), (1, 3), (3, 1), (2, 3), (3, 2), (4, 1), (1, 4), (1, 777), (777, 1)]
    assert await sees(talk, *pairs) == [(1, 2), (1, 3), (2, 1), (3, 1)]
    await talk.done(remove(conv, 3, 3))
    assert await sees(talk, *pairs) == [(1, 2), (2, 1)]


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO block (user_id, blocked) VALUES (1, 2)",
        "INSERT INTO block (user_id, blocked) VALUES (2, 1)",
        "UPDATE account SET audience = 2 WHERE user_id = 1",
        "UPDATE account SET audience = 2 WHERE user_id = 2",
        "UPDATE account SET audience = 3 WHERE user_id = 2",
    ],
)
async def test_13_17_blocks_and_audiences_hide_both_from_each_other(talk: Talk, sql: str) -> None:
    """And from nobody else; an audience of a later version counts as nobody."""
    await talk.group(1, 2)
    await talk.group(3, 4)
    await change(talk, sql)
    assert await sees(talk, (1, 2), (2, 1), (3, 4)) == [(3, 4)]


async def test_13_20_when_somebody_was_last_there(talk: Talk) -> None:
    """Written for many at once, never back in time; with the rev of the profile."""
    await talk.group(1, 2, 3)
    await talk.store.write(presence.saw, [(2, 120_000), (3, 60_000)])
    await talk.store.write(presence.saw, [(2, 60_000), (3, 180_000)])
    await change(talk, "UPDATE account SET rev = 7 WHERE user_id = 3")
    assert await talk.store.read(presence.visible, [(1, 2), (1, 3), (2, 1)]) == {
        (1, 2): (120_000, 0), (1, 3): (180_000, 7), (2, 1): (None, 0),
    }  # fmt: skip

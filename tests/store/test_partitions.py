"""PostgreSQL keeps what is found by its conversation in partitions: whoever asks looks into one, and nothing but
the place of the rows is another.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, ClassVar

import pytest

from tests.store.talk import (
    LARGE,
    Talk,
    add,
    assign,
    delete,
    edit,
    forward,
    group,
    hide,
    msg,
    pin,
    react,
    remove,
    title,
    unpin,
)  # fmt: skip
from wirechat.store import pools
from wirechat.store.features import conversations, history, mentions, news, pins, receipts, unread
from wirechat.store.pools import PostgresTx
from wirechat.store.postgres import PostgresStore, look, open_postgres
from wirechat.store.records import ADMIN
from wirechat.store.stats import stats
from wirechat.store.tx import Row

pytestmark = [pytest.mark.postgres, pytest.mark.usefixtures("bounded")]
TABLES = ("entry", "reaction", "mention")
PARTITION = re.compile(r" on (entry|reaction|mention)_(\d+)\b")


class Explaining(PostgresTx):
    """Asks for the plan of each statement that looks into such a table, with what it is asked."""

    looked: ClassVar[list[tuple[str, frozenset[tuple[str, str]]]]] = []
    """(statement, (table, partition) in its plan)."""

    async def _explain(self, sql: str, args: Sequence[Any]) -> None:
        if "INSERT" not in sql and re.search(r"\b(entry|reaction|mention)\b", sql):
            plan = await self._connection.fetch(f"EXPLAIN {sql}", *args)
            self.looked.append((sql, frozenset(PARTITION.findall("\n".join(line for (line,) in plan)))))

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        await self._explain(sql, args)
        return await super().fetch(sql, *args)

    async def fetchrow(self, sql: str, *args: Any) -> Row | None:
        await self._explain(sql, args)
        return await super().fetchrow(sql, *args)

    async def fetchmany(self, sql: str, rows: Iterable[Sequence[Any]]) -> list[Row]:
        rows = list(rows)
        for args in rows[:1]:
            await self._explain(sql, args)
        return await super().fetchmany(sql, rows)

    async def execute(self, sql: str, *args: Any) -> None:
        await self._explain(sql, args)
        await super().execute(sql, *args)

    async def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        rows = list(rows)
        for args in rows[:1]:
            await self._explain(sql, args)
        await super().executemany(sql, rows)


@pytest.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    async with open_postgres(url) as opened:
        yield opened


async def everything(talk: Talk) -> None:
    """One of each statement about a conversation."""
    made = group(1, 2, 3)
    conv = (await talk.done(made)).conv
    await talk.done(made)
    await talk.results(msg(conv, 1), msg(conv, 2, mentions=(1, 3)), msg(conv, 3, ref=2))
    await talk.results(edit(conv, 2, 3, mentions=(1,)), react(conv, 1, 3), react(conv, 2, 3), react(conv, 2, 3, None))
    await talk.results(pin(conv, 1, 2), pin(conv, 1, 3), unpin(conv, 1, 3), title(conv, 1), assign(conv, 1, 2, ADMIN))
    await talk.results(forward(conv, 1, (conv, 3)), msg(conv, 1, b"away", mentions=(2,)))
    await talk.done(delete(conv, 1, await talk.head(1, conv)))
    await talk.results(remove(conv, 1, 3), add(conv, 1, 4), hide(2, conv, 2))
    read = talk.store.read
    for user in (1, 2, 3):
        await read(history.changes, user, conv, 0, 50, LARGE)
        await read(history.history, user, conv, None, 50, LARGE)
        await read(history.records, user, conv, [1, 3], LARGE)
        await read(pins.pins, user, conv)
        await read(mentions.mentions, user, conv, None, 50)
        await read(unread.unread, user, [conv], LARGE)
        await read(receipts.who_read, user, conv, 2)
        await read(conversations.describe, user, [conv])
    await read(history.entries, [(conv, 2), (conv, 3)])
    await read(news.news, [(conv, 2, 0, 1)], 50)


async def test_each_statement_looks_into_one_partition(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked about a conversation: one partition of each table, the same number in all of them."""
    monkeypatch.setattr(pools, "PostgresTx", Explaining)
    monkeypatch.setattr(Explaining, "looked", [])
    for _ in range(3):
        await everything(talk)
    assert len({sql for sql, _ in Explaining.looked}) > 25
    for sql, found in Explaining.looked:
        named = set(re.findall(r"(?:FROM|JOIN|UPDATE) (entry|reaction|mention)\b", sql))
        assert {table for table, _ in found} == named, sql
        assert len({number for _, number in found}) == 1, sql


async def test_the_test_above_could_fail(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement that does not name its conversation looks into all of them."""
    monkeypatch.setattr(pools, "PostgresTx", Explaining)
    monkeypatch.setattr(Explaining, "looked", [])
    await talk.store.read(lambda tx: tx.fetch("SELECT 1 FROM entry WHERE cid = $1", b"x"))
    ((_, found),) = Explaining.looked
    assert len(found) == 16


async def test_the_figures_are_of_the_whole(talk: Talk, url: str) -> None:
    """`store stats` tells of tables, not of partitions."""
    for _ in range(8):
        await talk.say(await talk.group(1, 2), 1)
    found = await look(url, stats)
    sizes = {table.name: table.bytes for table in found.tables}
    assert set(TABLES) <= sizes.keys()
    assert not any(name.rpartition("_")[2].isdigit() for name in sizes)
    assert sum(sizes.values()) == found.bytes
    assert sizes["entry"] >= 16 * 6 * 8192

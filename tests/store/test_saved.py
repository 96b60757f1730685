"""Data of every earlier version opens, is migrated, and its clients are told what they were told then (P2, P5, P11)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.server.rig import Rig, serving
from tests.store import saved
from tests.store.saved import STATES, WORLD, answer, covers, login, unpack
from wirechat import wire
from wirechat.cli.verify import checking
from wirechat.store import pools
from wirechat.store.crossing import open_crossing
from wirechat.store.database import Store
from wirechat.store.migrations import migrations
from wirechat.store.postgres import open_postgres
from wirechat.store.sqlite import FILE, open_sqlite

pytestmark = pytest.mark.usefixtures("bounded")

Serving = Callable[[int], Any]
"""Serves a saved state: an open rig, and the people in it."""


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def state_served(request: pytest.FixtureRequest, tmp_path: Path) -> Serving:
    @asynccontextmanager
    async def embedded(state: int) -> AsyncIterator[tuple[Rig, list[dict[str, Any]]]]:
        people = unpack(state, tmp_path / "data")
        async with serving(tmp_path / "data", world=WORLD) as rig:
            yield rig, people

    @asynccontextmanager
    async def cluster(state: int) -> AsyncIterator[tuple[Rig, list[dict[str, Any]]]]:
        people = unpack(state, tmp_path / "data")
        place = request.getfixturevalue("cluster").place()
        await move(tmp_path / "data", state, place)
        served = partial(serving, tmp_path / "unused", world=WORLD)
        async with open_postgres(place) as store, served(store=lambda _: store) as rig:
            yield rig, people

    return embedded if request.param == "sqlite" else cluster


async def move(folder: Path, state: int, place: str) -> None:
    """The same rows in a PostgreSQL that was migrated as far: a dump would tie the test to one PostgreSQL."""
    db = apsw.Connection(str(folder / FILE), flags=apsw.SQLITE_OPEN_READONLY)
    async with open_crossing() as cross:
        await cross(_fill, place, state, db)
    db.close()


async def _fill(place: str, state: int, db: apsw.Connection) -> None:
    async with pools.connected(place) as connection:
        await connection.execute("CREATE TABLE migration (number INTEGER PRIMARY KEY, checksum TEXT NOT NULL)")
        for migration in migrations("postgres")[:state]:
            await connection.execute(migration.sql)
            await connection.execute("INSERT INTO migration VALUES ($1, $2)", migration.number, migration.checksum)
        for (table,) in db.execute(_TABLES).fetchall():
            if await connection.fetchval("SELECT to_regclass($1)", table) is not None:
                await _fill_table(connection, table, db)


_TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('migration', 'stamp')"
"""Stamps are counted otherwise there."""


async def _fill_table(connection: Any, table: str, db: apsw.Connection) -> None:
    columns = [name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")]
    places = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    insert = await connection.prepare(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places}) ON CONFLICT DO NOTHING"
    )
    types = [kind.name for kind in insert.get_parameters()]
    for row in db.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall():
        values = [bool(value) if kind == "bool" else value for kind, value in zip(types, row, strict=True)]
        await insert.fetch(*values)


@pytest.mark.parametrize("state", STATES)
async def test_everyone_is_told_what_he_was_told(state_served: Serving, state: int) -> None:
    """Logins by key, password and resume token; the digest since a token; every page; every cid once more."""
    async with state_served(state) as (rig, people):
        for person in people:
            client = await login(rig, person)
            for frame, then in person["asked"]:
                if then["frame"] == "SYNC_OK" and rig.server.store.engine == "postgres":
                    continue  # it was moved there, so its epoch is another
                now = await answer(client, bytes.fromhex(frame))
                assert covers(then, now), (person["handle"], then, now)
        assert await problems(rig.server.store) == []
        await goes_on(rig, people)


async def goes_on(rig: Rig, people: list[dict[str, Any]]) -> None:
    """P3: the next entry has the next number; what is written now is as consistent."""
    alice = await login(rig, people[0])
    (page,) = await alice.sync()
    row = page.rows[0]
    sent = await alice.say(row.conv, "after all this time")
    assert sent.seq == row.head + 1
    for kind, content in ((3, None), (1, wire.Content(1, "and again"))):
        request = wire.Send(0, row.conv, bytes([kind] * 8), kind, content, sent.seq if kind == 3 else None)
        await alice.ask(request, wire.SendOk)
    assert await problems(rig.server.store) == []


async def problems(store: Store) -> list[str]:
    found: list[str] = []
    await store.read(checking(found.append))
    return found


async def test_the_answers_are_compared(tmp_path: Path) -> None:
    """This test could fail: a changed text, a missing field and a record more are noticed."""
    then = {"frame": "X", "records": [{"seq": 1, "content": "a"}]}
    assert covers(then, {"frame": "X", "records": [{"seq": 1, "content": "a", "new": None}], "more": False})
    for now in ({"seq": 1, "content": "b"}, {"seq": 1}):
        assert not covers(then, {"frame": "X", "records": [now]})
    assert not covers(then, {"frame": "X", "records": [*then["records"], {"seq": 2, "content": "b"}]})
    people = unpack(STATES[0], tmp_path / "data")
    db = apsw.Connection(str(tmp_path / "data" / FILE))
    db.execute("UPDATE entry SET latest = CAST(x'9201a5' || 'wrong' AS BLOB) WHERE latest IS NOT NULL")
    db.close()
    async with serving(tmp_path / "data", world=WORLD) as rig:
        client = await login(rig, people[0])
        assert not all([covers(then, await answer(client, bytes.fromhex(frame))) for frame, then in people[0]["asked"]])


async def test_every_migration_was_saved_before_the_next_one() -> None:
    """Else nobody would know whether the data of that version can still be opened."""
    assert set(STATES) >= set(range(1, len(migrations("sqlite"))))


async def test_a_state_is_saved_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is saved can be opened: the script writes what the test reads."""
    monkeypatch.setattr(saved, "HERE", tmp_path)
    monkeypatch.setattr(saved, "STATES", [])
    await saved.make(tmp_path / "made")
    state = len(migrations("sqlite"))
    assert [person["handle"] for person in unpack(state, tmp_path / "again")] == ["alice", "bob", "carol", "dave"]
    async with open_sqlite(tmp_path / "again") as store:
        assert await problems(store) == []
    monkeypatch.setattr(saved, "STATES", [state])
    with pytest.raises(FileExistsError):
        await saved.make(tmp_path / "other")

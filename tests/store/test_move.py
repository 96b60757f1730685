"""A move to PostgreSQL takes everything along, beside a running server, and no device notices; until it is whole no
server opens it, and after it none opens what was moved away.
"""

from __future__ import annotations

import json
import os
import threading
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import apsw
import pytest
import trio

from tests.server.rig import serving
from tests.store.cluster import Cluster
from tests.store.saved import STATES, WORLD, answer, covers, login, unpack
from tests.store.talk import PATIENCE, Talk, block, delete, direct, edit, group, hide, msg, notes, read_hidden
from tests.store.test_backup import refused, run
from tests.store.test_complete import Oracle, write
from wirechat import wire
from wirechat.cli.verify import checking
from wirechat.store import directory, move, postgres, stats
from wirechat.store.crossing import open_crossing
from wirechat.store.database import Store, open_sqlite
from wirechat.store.errors import DataError
from wirechat.store.features import devices, meta, moving, sync
from wirechat.store.migrations import migrations
from wirechat.store.postgres import open_postgres
from wirechat.store.sqlite import FILE, SqliteTx, drive
from wirechat.store.verify import verify

pytestmark = [pytest.mark.usefixtures("bounded"), pytest.mark.postgres]


def _tables() -> moving.Tables:
    db = apsw.Connection(":memory:")
    for migration in migrations("sqlite"):
        db.execute(migration.sql)
    return drive(moving.tables(SqliteTx(db)))


TABLES = _tables()


def silently(what: str, done: int, of: int) -> None:
    """Nobody watches."""


async def everything(store: Store, seed: int = 1) -> list[Oracle]:
    """One of everything, in conversations of more than a block."""
    talk = await Talk(store).people(9)
    chance, oracles = Random(seed), []
    for _ in range(2):
        item = group(1, 2, 3)
        oracle = Oracle(item, await talk.done(item))
        for size in (20, 20):
            await write(talk, chance, oracle, size)
        oracles.append(oracle)
    one = (await talk.done(direct(1, 2))).conv
    await talk.results(*(msg(one, 1 + number % 2, b"%d" % number) for number in range(50)))
    await talk.done(notes(3))
    await talk.results(hide(1, one, 2, 3), block(2, 9))
    await talk.mark(one, 1, delivered=20, read=10)
    await talk.mark(one, 2, delivered=30)
    for device in (70, 71, 72):
        await store.write(devices.create, device, 1, b"key", "phone", 5)
        await store.write(devices.issue_resume, device, b"token%d" % device, 10**15)
    await store.write(devices.revoke, 1, 71, await store.write(sync.stamp))
    return oracles


async def rows(store: Store) -> dict[str, list[Any]]:
    """Everything there is, but what each engine has for itself."""

    async def read(tx: Any) -> dict[str, list[Any]]:
        found = {}
        known = await moving.with_flags(tx, TABLES) if tx.engine == "postgres" else TABLES
        for name, table in known.items():
            found[name] = sorted(await tx.fetch(table.select()), key=repr)
        found["meta"] = [row for row in found["meta"] if row[0] != "kept_epoch"]
        return found

    return await store.read(read)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many steps in little data."""
    monkeypatch.setattr(moving, "BLOCK", 16)
    monkeypatch.setattr(move, "GROUP", 1)
    monkeypatch.setattr(move, "BITE", 50)
    monkeypatch.setattr(move, "PIECES", 5)
    monkeypatch.setattr(move, "WAIT_SECONDS", 0.01)


def execute(folder: Path, sql: str) -> None:
    """Behind everyone's back."""
    db = apsw.Connection(str(folder / FILE))
    db.execute(sql)
    db.close()


async def problems(store: Store) -> list[str]:
    found: list[str] = []
    await store.read(verify, found.append, read_hidden)
    return found


async def test_everything_arrives(tmp_path: Path, cluster: Cluster) -> None:
    """Every row of every table; the oracle of each conversation is content; what was sent before is recognised (P2)."""
    place = cluster.place()
    async with open_sqlite(tmp_path / "data") as store:
        oracles = await everything(store)
        before = await rows(store)
    moved = await move.move(tmp_path / "data", place, silently)
    assert (moved.complete, moved.conversations) == (True, 4)
    assert moved.entries == len(before["entry"])
    async with open_postgres(place) as store:
        assert await rows(store) == before
        assert await problems(store) == []
        talk = Talk(store)
        for oracle in oracles:
            first = oracle.log[1]
            again = await talk.done(first.item)
            assert (again.dup, again.seq, again.ts) == (True, first.seq, first.ts)
            assert await store.read(moving.heads, [oracle.conv]) == {oracle.conv: oracle.head}


async def test_the_server_writes_meanwhile(tmp_path: Path, cluster: Cluster) -> None:
    """While it is copied, while it is compared, while it is waited for: edits of what was copied, new members, new
    conversations, watermarks. Only when the server is stopped is it finished.
    """
    place = cluster.place()
    waiting = trio.Event()

    def tell(what: str, done: int, of: int) -> None:
        if what == move.WAITING:
            waiting.set()

    found: list[move.Moved] = []

    async def moves() -> None:
        found.append(await move.move(tmp_path / "data", place, tell))

    async with trio.open_nursery() as nursery, open_sqlite(tmp_path / "data") as store:
        oracles = await everything(store)
        talk, chance = Talk(store), Random(2)
        talk.now_ms = 9_000
        nursery.start_soon(moves)
        for number in range(40):
            await write(talk, chance, oracles[number % 2], 5)
            await talk.done(group(2, 3, 4))
            await talk.mark(oracles[0].conv, 1, read=number)
        with trio.fail_after(PATIENCE):
            await waiting.wait()
        await write(talk, chance, oracles[0], 20)
        await trio.sleep(0.1)
        await write(talk, chance, oracles[1], 20)
        assert not found
        before = await rows(store)
    assert found[0].complete
    async with open_postgres(place) as store:
        assert await rows(store) == before
        assert await problems(store) == []


async def test_a_delete_reaches_what_was_copied_long_ago(tmp_path: Path, cluster: Cluster) -> None:
    """The message, and its edits, each in another block."""
    place = cluster.place()
    async with open_sqlite(tmp_path / "data") as store:
        talk = await Talk(store).people(2)
        conv = await talk.group(1, 2)
        for number in range(3):
            await talk.results(edit(conv, 1, 2) if number else msg(conv, 1), *(msg(conv, 2) for _ in range(30)))
        await move.move(tmp_path / "data", place, silently, wait=False)
        await talk.done(delete(conv, 1, 2))
        before = await rows(store)
    await move.move(tmp_path / "data", place, silently)
    async with open_postgres(place) as store:
        assert await rows(store) == before


async def test_a_change_that_no_stamp_tells_of_is_found(tmp_path: Path, cluster: Cluster) -> None:
    """It is not copied; but then the move is not finished either."""
    place = cluster.place()
    async with open_sqlite(tmp_path / "data") as store:
        talk = await Talk(store).people(2)
        conv = await talk.group(1, 2)
        await talk.results(*(msg(conv, 2) for _ in range(30)))
        await move.move(tmp_path / "data", place, silently, wait=False)
    execute(tmp_path / "data", "UPDATE entry SET content = x'00' WHERE seq = 20")
    with pytest.raises(move.Differs, match=f"conversation {conv}, entries 17 to 32"):
        await move.move(tmp_path / "data", place, silently)
    await target_is_refused(place)
    async with open_sqlite(tmp_path / "data"):
        pass


class Stop(Exception):
    """Somebody pulls the plug."""


async def test_interrupted_anywhere_it_goes_on(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before and after every step, and each time somebody writes before it is run again."""
    monkeypatch.setattr(move, "PIECES", 2)
    place = cluster.place()
    async with open_sqlite(tmp_path / "data") as store:
        oracles = await everything(store)
    chance = Random(3)
    left = 0

    def tell(*_: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Stop

    put = moving.put

    async def putting(*args: Any) -> None:
        tell()
        await put(*args)
        tell()

    monkeypatch.setattr(moving, "put", putting)
    for steps in range(1, 200):
        left = 1 + steps
        try:
            moved = await move.move(tmp_path / "data", place, tell)
        except Stop:
            async with open_sqlite(tmp_path / "data") as store:
                talk = Talk(store)
                talk.now_ms = 10_000 + steps
                await write(talk, chance, oracles[steps % 2], 3)
                before = await rows(store)
        else:
            break
    assert moved.complete
    assert steps > 10
    async with open_postgres(place) as store:
        assert await rows(store) == before


async def test_interrupted_at_the_end(tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the mark on the source and the end of the target no server can be started on either; run again it ends.
    Run once more it says that it is over.
    """
    place = cluster.place()
    async with open_sqlite(tmp_path / "data") as store:
        await everything(store)

    async def fails(*args: Any) -> None:
        raise Stop

    with monkeypatch.context() as patched:
        patched.setattr(move, "_complete", fails)
        with pytest.raises(Stop):
            await move.move(tmp_path / "data", place, silently)
    with pytest.raises(DataError, match="was moved to the PostgreSQL database postgres, schema test"):
        async with open_sqlite(tmp_path / "data"):
            raise AssertionError("opened")
    await target_is_refused(place)
    assert (await move.move(tmp_path / "data", place, silently)).complete
    with pytest.raises(DataError, match="already; start the servers there"):
        await move.move(tmp_path / "data", place, silently)
    async with open_postgres(place) as store:
        assert await problems(store) == []


async def target_is_refused(place: str) -> None:
    """By a server, and by whoever would look at it."""
    with pytest.raises(DataError, match="a move into this database is not finished"):
        async with open_postgres(place):
            raise AssertionError("opened")
    with pytest.raises(DataError, match="a move into this database is not finished"):
        await postgres.look(place, stats.stats)


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE {schema}.entry SET content = 'other' WHERE conv = {conv} AND seq = 20",
        "DELETE FROM {schema}.member WHERE conv = {conv} AND user_id = 1",
        "UPDATE {schema}.mark SET read = read + 1 WHERE conv = {conv}",
        "INSERT INTO {schema}.reaction VALUES ({conv}, 3, 5, 'x')",
    ],
)
async def test_what_is_not_the_same_is_found(tmp_path: Path, cluster: Cluster, harm: str) -> None:
    """Also what became so after it was copied and compared."""
    place = cluster.place()
    schema = place.rpartition("=")[2]
    async with open_sqlite(tmp_path / "data") as store:
        talk = await Talk(store).people(5)
        await talk.group(1, 2)
        conv = await talk.group(1, 2)
        await talk.results(*(msg(conv, 1, b"%d" % number) for number in range(40)))
        await talk.mark(conv, 2, read=4)
        result = await run("store", "move", f"sqlite:{tmp_path / 'data'}", place, "--no-wait")
        assert result.exit_code == 0, result.output
        assert result.output.startswith("copied 2 conversations, 42 entries; stop the server")
    await target_is_refused(place)
    cluster.sql(harm.format(schema=schema, conv=conv))
    result = await run("store", "move", f"sqlite:{tmp_path / 'data'}", place)
    assert result.exit_code == 1
    assert result.output.startswith(f"wirechat: the move failed: conversation {conv}, ")
    assert len(result.output.splitlines()) == 1
    await target_is_refused(place)
    async with open_sqlite(tmp_path / "data") as store:
        assert await problems(store) == []


async def test_other_tables_are_compared(tmp_path: Path, cluster: Cluster) -> None:
    """A database that changes what is written into it."""
    place = cluster.place()
    schema = place.rpartition("=")[2]
    async with open_sqlite(tmp_path / "data") as store:
        await everything(store)
        await move.move(tmp_path / "data", place, silently, wait=False)
    cluster.sql(
        f"CREATE FUNCTION {schema}.lie() RETURNS trigger AS"
        f" 'BEGIN NEW.name := NULL; RETURN NEW; END' LANGUAGE plpgsql;"
        f" ALTER TABLE {schema}.device ALTER COLUMN name DROP NOT NULL;"
        f" CREATE TRIGGER lie BEFORE INSERT ON {schema}.device FOR EACH ROW EXECUTE FUNCTION {schema}.lie()"
    )
    with pytest.raises(move.Differs, match="table device: not the same"):
        await move.move(tmp_path / "data", place, silently)


async def test_the_target_has_to_be_empty(tmp_path: Path, cluster: Cluster) -> None:
    """Of wirechat, of others, of another move; and one at a time."""
    for name in ("data", "other"):
        async with open_sqlite(tmp_path / name):
            pass
    used, foreign, begun = cluster.place(), cluster.place(), cluster.place()
    async with open_postgres(used):
        pass
    cluster.sql(f"CREATE TABLE {foreign.rpartition('=')[2]}.theirs (x INT)")
    async with open_sqlite(tmp_path / "other"):
        await move.move(tmp_path / "other", begun, silently, wait=False)
    source = f"sqlite:{tmp_path / 'data'}"
    assert "not empty: it has data of wirechat" in await refused("store", "move", source, used)
    assert "tables of another program" in await refused("store", "move", source, foreign)
    assert "a move of other data into this database was begun" in await refused("store", "move", source, begun)
    async with open_crossing() as cross:
        await cross(_holding, begun, lambda: refused("store", "move", f"sqlite:{tmp_path / 'other'}", begun))


async def _holding(place: str, _: Any) -> None:
    from wirechat.store import pools

    async with pools.connected(place) as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", move.ALONE)


async def test_bad_input(tmp_path: Path, cluster: Cluster) -> None:
    """One line each."""
    place = cluster.place()
    for source in ("data", "sqlite:", "postgresql://x/y"):
        result = await run("store", "move", source, place)
        assert (result.exit_code, "give sqlite:DIR" in result.output) == (2, True)
    result = await run("store", "move", f"sqlite:{tmp_path}", "mysql://x")
    assert (result.exit_code, "the target is not an address of PostgreSQL" in result.output) == (2, True)
    assert "cannot find a server's data" in await refused("store", "move", f"sqlite:{tmp_path}", place)
    async with open_sqlite(tmp_path / "data"):
        pass
    nowhere = "postgresql://127.0.0.1:1/nothing"
    assert "127.0.0.1:1: Connection refused" in await refused("store", "move", f"sqlite:{tmp_path / 'data'}", nowhere)


async def test_it_says_what_it_did(tmp_path: Path, cluster: Cluster) -> None:
    """For machines, too."""
    async with open_sqlite(tmp_path / "data") as store:
        await everything(store)
    result = await run("store", "move", f"sqlite:{tmp_path / 'data'}", cluster.place(), "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    assert (told["complete"], told["conversations"]) == (True, 4)
    assert 0 < told["stopped_seconds"] < PATIENCE


async def test_the_operator_is_told_when_to_stop_the_server(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, and by the process it is."""
    told, ended = threading.Event(), []
    holder = directory.holder

    def asked(folder: Path) -> int | None:
        process = holder(folder)
        told.set()
        return process

    async def moves() -> None:
        ended.append(await run("store", "move", f"sqlite:{tmp_path / 'data'}", cluster.place()))

    monkeypatch.setattr(directory, "holder", asked)
    async with trio.open_nursery() as nursery, open_sqlite(tmp_path / "data") as store:
        await Talk(store).people(2)
        nursery.start_soon(moves)
        assert await trio.to_thread.run_sync(told.wait, PATIENCE)
    first, second = ended[0].output.splitlines()
    assert first == f"everything is copied; stop the server now (process {os.getpid()} has {tmp_path / 'data'})"
    assert second.startswith("moved 0 conversations, 0 entries, all of it compared; start the servers")


async def test_the_old_data_can_be_served_again_with_another_epoch(tmp_path: Path, cluster: Cluster) -> None:
    """Then no token of it is believed there, nor one from there here."""
    async with open_sqlite(tmp_path / "data") as store:
        await everything(store)
        epoch = store.epoch
    place = cluster.place()
    await move.move(tmp_path / "data", place, silently)
    assert "was moved to the PostgreSQL database" in await refused("store", "vacuum", "--data", tmp_path / "data")
    result = await run("store", "renew-epoch", "--data", tmp_path / "data")
    assert result.exit_code == 0
    async with open_sqlite(tmp_path / "data") as store:
        assert store.epoch != epoch
    async with open_postgres(place) as moved:
        assert moved.epoch == epoch
        assert "stop all servers first" in await refused("store", "renew-epoch", "--store", place)
    result = await run("store", "renew-epoch", "--store", place)
    async with open_postgres(place) as moved:
        assert moved.epoch != epoch
        assert result.output == f"the new epoch of the database is {moved.epoch.hex()}\n"
    assert "no data of wirechat" in await refused("store", "renew-epoch", "--store", cluster.place())


async def test_a_device_comes_back_and_misses_nothing(tmp_path: Path, cluster: Cluster) -> None:
    """P5: its token holds, it is told what it missed before the move and after it, and nothing else. Also from a server
    that has counted further than PostgreSQL's transactions.
    """
    place = cluster.place()
    async with open_sqlite(tmp_path / "data"):
        pass
    execute(tmp_path / "data", f"UPDATE stamp SET value = {1 << 40}")
    async with serving(tmp_path / "data") as rig:
        ann, bob = await rig.person("ann"), await rig.person("bob", sync=False)
        quiet, busy = [
            (await ann.ask(wire.ConvNew(0, bytes([kind] * 8), 2, (bob.user,)), wire.ConvNewOk)).conv for kind in (1, 2)
        ]
        (page,) = await bob.sync()
        await ann.say(busy, "before the move")
    await move.move(tmp_path / "data", place, silently)
    for restored in (False, True):
        async with open_postgres(place) as store, serving(tmp_path / "any", store=lambda _: store) as rig:
            ann = await rig.again(ann)
            await ann.say(busy, "after the move")
            (told,) = await (bob := await rig.again(bob)).sync(page.token)
            heads = {row.conv: row.head for row in told.rows}
            assert (told.mode, heads) == ((2, {quiet: 1, busy: 4}) if restored else (1, {busy: 3}))
            changes = await bob.ask(wire.Changes(0, busy, 1), wire.ChangesOk)
            assert [record.content.data for record in changes.records][:2] == ["before the move", "after the move"]
            (now,) = await (await rig.again(bob)).sync(told.token)
            assert (now.mode, now.rows) == (1, ())
            await store.write(meta.renew_epoch, os.urandom)


@pytest.mark.parametrize("state", STATES)
async def test_everyone_is_told_what_he_was_told(tmp_path: Path, cluster: Cluster, state: int) -> None:
    """By data of earlier versions: logins, the digest since a token, every page, every cid once more."""
    people = unpack(state, tmp_path / "data")
    async with open_sqlite(tmp_path / "data"):
        pass
    place = cluster.place()
    await move.move(tmp_path / "data", place, silently)
    served = partial(serving, tmp_path / "any", world=WORLD)
    async with open_postgres(place) as store, served(store=lambda _: store) as rig:
        for person in people:
            client = await login(rig, person)
            for frame, then in person["asked"]:
                now = await answer(client, bytes.fromhex(frame))
                assert covers(then, now), (person["handle"], then, now)
        found: list[str] = []
        await store.read(checking(found.append))
        assert found == []


async def test_both_engines_have_the_same_columns(cluster: Cluster) -> None:
    """Else a move would lose one."""
    place = cluster.place()
    async with open_postgres(place) as store:
        for table in TABLES.values():
            columns = await store.read(_columns, table.name)
            assert columns == set(table.columns), table.name
            assert table.key, table.name


async def _columns(tx: Any, table: str) -> set[str]:
    found = await tx.fetch(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $1",
        table,
    )
    return {name for (name,) in found}

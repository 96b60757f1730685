"""`wirechat store`: numbers beside a running server; vacuum, checkpoint and a new epoch; every refusal is one line."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.store.cluster import Cluster
from tests.store.talk import Talk, delete, direct, edit, msg, react
from tests.store.test_backup import refused, run
from wirechat.server.account_log import AccountLog
from wirechat.server.hub import Hub
from wirechat.server.journal import Journal
from wirechat.store import maintenance
from wirechat.store.database import Store, open_sqlite
from wirechat.store.features import accounts, devices
from wirechat.store.postgres import open_postgres
from wirechat.store.records import DIRECT, GROUP, Refusal
from wirechat.store.sqlite import FILE
from wirechat.store.stats import Conversation, stats
from wirechat.store.tx import Tx
from wirechat.wire.registries import EntryKind
from wirechat.world import REAL

pytestmark = pytest.mark.usefixtures("bounded")
SECRET = b"a-secret-that-must-go"


async def fill(store: Store) -> int:
    """A group of three and a conversation of two; of four messages one is deleted."""
    talk = await Talk(store).people(3)
    conv = await talk.group(1, 2, 3)
    await talk.results(msg(conv, 1), msg(conv, 2, SECRET), msg(conv, 1), edit(conv, 1, 2), react(conv, 2, 2))
    await talk.results(react(conv, 3, 2), react(conv, 3, 2, None), react(conv, 1, 3), delete(conv, 2, 3))
    other = (await talk.done(direct(1, 2))).conv
    await talk.say(other, 1)
    await store.write(devices.create, 70, 1, None, "phone", 5)
    return conv


async def test_numbers(store: Store) -> None:
    """The same on both engines."""
    conv = await fill(store)
    found = await store.read(stats)
    assert (found.engine, found.accounts, found.devices) == (store.engine, 3, 1)
    assert (found.conversations, found.direct, found.groups) == (2, 1, 1)
    assert (found.entries, found.messages, found.deleted, found.edits, found.reactions) == (12, 4, 1, 1, 1)
    assert found.largest[0] == Conversation(conv, GROUP, 10, 3)
    assert (found.largest[1].kind, found.largest[1].entries, found.largest[1].members) == (DIRECT, 2, 2)
    tables = {table.name: table.bytes for table in found.tables}
    assert {"entry", "member", "conv", "account"} <= tables.keys()
    assert sum(tables.values()) + found.free_bytes == found.bytes
    assert all(size % 4096 == 0 for size in tables.values())


async def test_all_commands_count_the_same(tmp_path: Path) -> None:
    """An account log is no conversation, for `stats`, `verify` and `backup` alike; its entries are entries."""
    data, file = tmp_path / "data", tmp_path / "one.wirechat"
    assert (await run("user", "add", "--data", data, "ada", "--password", "correct horse")).exit_code == 0
    async with open_sqlite(data) as store:
        ((number, *_), _, _), *_ = await store.read(accounts.everyone, 0, 1)
        account_log = AccountLog(REAL, Journal(store, Hub(), REAL.now_ms))

        async def project(tx: Tx, stamp: int) -> bool | Refusal:
            return await devices.create(tx, 70, number, None, "phone", 5) or True

        await account_log.enter(number, EntryKind.DEVICE, project)
    told = [
        json.loads((await run(*command, "--json")).output)
        for command in (
            ("store", "stats", "--data", data),
            ("verify", "--data", data),
            ("backup", "--data", data, file),
        )
    ]
    assert [(each["conversations"], each["entries"]) for each in told] == 3 * [(0, 1)]
    assert told[0]["account_logs"] == 1
    assert "account log " in (await run("store", "stats", "--data", data)).output


async def test_numbers_of_nothing(store: Store) -> None:
    """No division by it."""
    found = await store.read(stats)
    assert (found.entries, found.deleted, found.largest) == (0, 0, ())


async def test_the_command_beside_a_running_server(tmp_path: Path) -> None:
    """For people and for machines; no names, no texts."""
    async with open_sqlite(tmp_path / "data") as store:
        conv = await fill(store)
        table = await run("store", "stats", "--data", tmp_path / "data")
        result = await run("store", "stats", "--data", tmp_path / "data", "--json")
        told = json.loads(result.output)
        assert (told["entries"], told["largest"][0]["conv"]) == (12, conv)
        assert told["wal_bytes"] == (tmp_path / "data" / (FILE + "-wal")).stat().st_size > 0
        assert told["disk_free"] > 0
    for output in (table.output, result.output):
        assert str(conv) in output
        assert not any(word in output for word in ("user1", "phone", "hello", "Traceback"))
    assert "deleted: 25.0 %" in table.output


@pytest.mark.postgres
async def test_the_command_on_postgres(cluster: Cluster) -> None:
    """By its address."""
    url = cluster.place()
    async with open_postgres(url) as store:
        await fill(store)
        told = json.loads((await run("store", "stats", "--store", url, "--json")).output)
    assert (told["engine"], told["entries"], told["wal_bytes"]) == ("postgres", 12, 0)


def everywhere(folder: Path) -> list[str]:
    """The files that hold the secret."""
    return [path.name for path in sorted(folder.iterdir()) if SECRET in path.read_bytes()]


async def test_vacuum_leaves_no_trace(tmp_path: Path) -> None:
    """P8: neither in the file nor in its log; the file is smaller and everything else is there."""
    data = tmp_path / "data"
    async with open_sqlite(data) as store:
        conv = await fill(store)
        talk = Talk(store)
        await talk.results(*(msg(conv, 1, SECRET * 100) for _ in range(100)))
        store._writer.wal_checkpoint()
        await talk.results(*(delete(conv, 1, seq) for seq in range(11, 111)))
        assert everywhere(data) == [FILE, FILE + "-wal"]  # so this test could fail
        reader = apsw.Connection(str(data / FILE))  # as after kill -9: nobody tidies up
        shutil.copytree(data, tmp_path / "left")
        reader.close()
    assert SECRET in (tmp_path / "left" / (FILE + "-wal")).read_bytes()
    result = await run("store", "vacuum", "--data", tmp_path / "left")
    assert result.exit_code == 0, result.output
    assert everywhere(tmp_path / "left") == []
    assert (tmp_path / "left" / FILE).stat().st_size < (data / FILE).stat().st_size
    async with open_sqlite(tmp_path / "left") as store:
        assert await Talk(store).head(1, conv) == 210
        assert (await store.read(stats)).free_bytes == 0
    assert (await run("verify", "--data", tmp_path / "left")).exit_code == 0


async def test_vacuum_names_the_copies_that_are_kept(tmp_path: Path) -> None:
    """They hold what was deleted since."""
    async with open_sqlite(tmp_path):
        pass
    (tmp_path / f"{FILE}.before-0002").touch()
    result = await run("store", "vacuum", "--data", tmp_path)
    assert f"{tmp_path / FILE}.before-0002 still holds what was deleted since" in result.output


async def test_vacuum_needs_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the file, and says so before it begins."""
    async with open_sqlite(tmp_path):
        pass
    usage = shutil.disk_usage(tmp_path)._replace(free=200_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert "of free space for this" in await refused("store", "vacuum", "--data", tmp_path)


@pytest.mark.parametrize("command", ["vacuum", "renew-epoch", "migrate"])
async def test_not_beside_a_running_server(tmp_path: Path, command: str) -> None:
    """It says who has the data."""
    async with open_sqlite(tmp_path):
        assert f"in use by process {os.getpid()}" in await refused("store", command, "--data", tmp_path)


@pytest.mark.parametrize("command", ["vacuum", "renew-epoch", "migrate", "checkpoint", "stats"])
async def test_not_where_there_is_nothing(tmp_path: Path, command: str) -> None:
    """And nothing is made there."""
    await refused("store", command, "--data", tmp_path / "data")
    assert os.listdir(tmp_path) == []
    await refused("store", command, "--data", tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("command", ["vacuum", "renew-epoch", "checkpoint"])
async def test_not_what_a_newer_version_wrote(tmp_path: Path, command: str) -> None:
    """It may mean something else there."""
    async with open_sqlite(tmp_path) as store:
        store._writer.execute("INSERT INTO migration VALUES (99, 'later')")
    assert "newer wirechat" in await refused("store", command, "--data", tmp_path)


async def test_checkpoint_beside_a_running_server(tmp_path: Path) -> None:
    """What was deleted is in no file any more (P8), and the server goes on."""
    data = tmp_path / "data"
    async with open_sqlite(data) as store:
        conv = await fill(store)
        assert everywhere(data) == [FILE + "-wal"]
        result = await run("store", "checkpoint", "--data", data)
        assert (result.exit_code, result.output.endswith("before, 0 B now\n")) == (0, True)
        assert everywhere(data) == []
        assert await Talk(store).say(conv, 1) == 11


async def test_checkpoint_beside_a_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits, then says why it cannot."""
    monkeypatch.setattr("wirechat.store.sqlite.BUSY_MS", 50)
    async with open_sqlite(tmp_path) as store:
        reader = apsw.Connection(str(tmp_path / FILE), flags=apsw.SQLITE_OPEN_READONLY)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM meta").fetchall()
        await fill(store)
        assert "is being read" in await refused("store", "checkpoint", "--data", tmp_path)
        reader.close()


async def test_a_new_epoch(tmp_path: Path) -> None:
    """Another one each time; everything else stays."""
    async with open_sqlite(tmp_path) as store:
        before, key = store.epoch, store.digest_key
    result = await run("store", "renew-epoch", "--data", tmp_path)
    async with open_sqlite(tmp_path) as store:
        assert store.epoch != before
        assert result.output == f"{tmp_path}: its new epoch is {store.epoch.hex()}\n"
        assert store.digest_key == key


async def test_a_new_epoch_is_never_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even by chance."""
    async with open_sqlite(tmp_path) as store:
        drawn: list[Any] = [store.epoch, store.epoch, b"else"]
    monkeypatch.setattr("secrets.token_bytes", lambda size: drawn.pop(0))
    assert maintenance.renew_epoch(tmp_path) == b"else".hex()

"""Forward and back: data is migrated when it is opened, a copy of what it was is kept, and an older version goes on
with that.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import Result

from tests.store.saved import STATES, unpack
from tests.store.talk import Talk
from tests.store.test_backup import refused, run
from wirechat.store import backup, migrations, snapshot
from wirechat.store.database import open_sqlite
from wirechat.store.errors import DataError
from wirechat.store.features import accounts
from wirechat.store.sqlite import FILE

pytestmark = pytest.mark.usefixtures("bounded")
NEXT = len(migrations.migrations("sqlite")) + 1
COPY = f"{FILE}.before-{NEXT:04}"
SQL = "CREATE TABLE later (x INTEGER) STRICT; INSERT INTO later SELECT user_id FROM account"


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """`with newer():` this is the next version, which has one migration more."""

    @contextmanager
    def version(sql: str = SQL) -> Iterator[None]:
        ours = migrations.migrations("sqlite")
        with monkeypatch.context() as patch:
            more = [*ours, migrations.Migration(NEXT, "later", sql)]
            for module in ("migrations", "backup"):
                patch.setattr(f"wirechat.store.{module}.migrations", lambda engine: more)
            patch.setattr("wirechat.cli.verify.migrations", lambda engine: more)
            yield

    return version


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """What this version wrote."""
    async with open_sqlite(tmp_path / "data") as store:
        talk = await Talk(store).people(2)
        await talk.say(await talk.group(1, 2), 1, b"before the upgrade")
    return tmp_path / "data"


async def test_there_and_back(data: Path, tmp_path: Path, newer: Callable[..., object]) -> None:
    """The whole way of docs/operations/upgrade.md: upgrade, go on, regret, restore the copy with the old version.

    What was written before the upgrade is there again, and clients are told to start anew (P5).
    """
    told: list[str] = []
    with newer():
        async with open_sqlite(data, tell=told.append) as store:
            assert store._reader.execute("SELECT x FROM later").fetchall() == [(1,), (2,)]
            assert await store.write(accounts.create, 3, "eve", None, None, 5) is None
            epoch = store.epoch
        assert told == [f"the data comes from an older wirechat; it is copied to {data / COPY}, then migrated"]
        async with open_sqlite(data, tell=told.append):
            assert len(told) == 1
    assert sorted(name for name in os.listdir(data) if "-" in name) == [COPY]
    with pytest.raises(DataError, match="newer wirechat"):
        async with open_sqlite(data):
            pass
    assert (await run("verify", "--backup", data / COPY)).exit_code == 0
    result = await run("restore", data / COPY, "--data", tmp_path / "back")
    assert result.exit_code == 0, result.output
    async with open_sqlite(tmp_path / "back") as store:
        assert await store.read(accounts.find, "user2") is not None
        assert await store.read(accounts.find, "eve") is None
        assert store.epoch != epoch
    assert (await run("verify", "--data", tmp_path / "back")).exit_code == 0


async def test_new_data_needs_no_copy(tmp_path: Path) -> None:
    """There is nothing to go back to."""
    async with open_sqlite(tmp_path / "data"):
        pass
    assert sorted(os.listdir(tmp_path / "data")) == ["lock", FILE]


async def test_a_migration_that_fails(data: Path, newer: Callable[..., object]) -> None:
    """Everything is as it was, so the old version goes on; the next attempt makes the copy anew."""
    with newer("CREATE TABLE later (x); CREATE TABLE account (x)"), pytest.raises(DataError, match="cannot use"):
        async with open_sqlite(data):
            pass
    first = snapshot.check(data / COPY)
    async with open_sqlite(data) as store:
        await store.write(accounts.create, 3, "eve", None, None, 5)
    with newer():
        async with open_sqlite(data):
            pass
    assert (first.accounts, snapshot.check(data / COPY).accounts) == (2, 3)


async def test_no_room_for_the_copy(
    data: Path, newer: Callable[..., object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without it there would be no way back, so nothing is migrated unless the operator says so."""
    usage = shutil.disk_usage(data)._replace(free=50_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with newer():
        line = await refused("store", "migrate", "--data", data)
        assert f"no room for {data / COPY}" in line
        assert "wirechat store migrate --help" in line
    async with open_sqlite(data):
        pass
    with newer():
        result = await run("store", "migrate", "--data", data, "--no-copy")
        assert (result.exit_code, result.output) == (0, f"{data} is up to date\n")
        async with open_sqlite(data) as store:
            assert store._reader.execute("SELECT count(*) FROM later").get == 2
    assert not (data / COPY).exists()


async def test_a_copy_that_fails(data: Path, newer: Callable[..., object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the reason: no copy, no migration."""

    def full(source: object, part: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshot, "copy", full)
    with newer(), pytest.raises(DataError, match="No space left"):
        async with open_sqlite(data):
            pass
    async with open_sqlite(data) as store:
        assert await store.read(accounts.find, "user1") is not None
    assert sorted(os.listdir(data)) == ["lock", FILE]


async def test_migrating_by_hand(data: Path, newer: Callable[..., object], tmp_path: Path) -> None:
    """It says where the copy is; it makes nothing where there is nothing."""
    with newer():
        result = await run("store", "migrate", "--data", data)
    assert (result.exit_code, str(data / COPY) in result.output) == (0, True)
    assert "cannot find a server's data" in await refused("store", "migrate", "--data", tmp_path / "typo")
    assert not (tmp_path / "typo").exists()


async def test_a_backup_of_an_older_version(data: Path, newer: Callable[..., object], tmp_path: Path) -> None:
    """It can be taken before the upgrade, checked by the newer version, and restored: it is migrated at the start."""
    assert (await run("backup", "--data", data, tmp_path / "copy")).exit_code == 0
    with newer():
        assert (await run("backup", "--data", data, tmp_path / "copy by the newer")).exit_code == 0
        result = await run("verify", "--backup", tmp_path / "copy")
        assert (result.exit_code, result.output) == (0, "1 conversation, 2 entries: everything is consistent\n")
        backup.restore(tmp_path / "copy", tmp_path / "new")
        async with open_sqlite(tmp_path / "new") as store:
            assert store._reader.execute("SELECT count(*) FROM later").get == 2
    backup.restore(tmp_path / "copy by the newer", tmp_path / "old")
    async with open_sqlite(tmp_path / "old") as store:
        assert await store.read(accounts.find, "user1") is not None


@pytest.mark.parametrize("state", STATES)
async def test_backups_of_saved_states(tmp_path: Path, state: int) -> None:
    """Of every version there was: taken, checked, restored, started."""
    people = unpack(state, tmp_path / "data")
    manifest = backup.backup(tmp_path / "data", tmp_path / "copy")
    assert (manifest.schema, manifest.accounts) == (state, len(people))
    result: Result = await run("verify", "--backup", tmp_path / "copy")
    assert (result.exit_code, "everything is consistent" in result.output) == (0, True)
    backup.restore(tmp_path / "copy", tmp_path / "new")
    async with open_sqlite(tmp_path / "new") as store:
        assert await store.read(accounts.find, "alice") is not None

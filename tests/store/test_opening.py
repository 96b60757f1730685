"""Opening the embedded store: what is wrong with the directory is one line for the operator, and nothing is touched."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import apsw
import pytest
import trio

from wirechat.store import migrations, sqlite
from wirechat.store.backup import backup
from wirechat.store.errors import DataError, NoData
from wirechat.store.features import accounts
from wirechat.store.sqlite import FILE, look, open_sqlite
from wirechat.store.tx import Tx

ROOT = Path(__file__).parents[2]


async def refused(directory: Path) -> str:
    """The line for the operator."""
    with pytest.raises(DataError) as caught:
        async with open_sqlite(directory):
            raise AssertionError("opened")
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.fixture
async def made(tmp_path: Path, bounded: None) -> Path:
    """A directory with a store in it."""
    async with open_sqlite(tmp_path / "data") as store:
        await store.write(accounts.create, 1, "ann", None, None, 5)
    return tmp_path / "data"


def change(directory: Path, sql: str) -> None:
    db = apsw.Connection(str(directory / FILE))
    db.execute(sql)
    db.close()


async def test_one_process_at_a_time(made: Path) -> None:
    """The second is told who has it."""
    async with open_sqlite(made):
        assert f"in use by process {os.getpid()}" in await refused(made)
    async with open_sqlite(made) as store:
        assert await store.read(accounts.find, "ann") is not None


async def test_the_lock_is_given_back_when_opening_fails(made: Path) -> None:
    """So that the operator may repair and try again."""
    (made / FILE).rename(made / "aside")
    (made / FILE).write_bytes(b"this is a text and no database" * 100)
    assert "is not a database" in await refused(made)
    (made / "aside").replace(made / FILE)
    async with open_sqlite(made) as store:
        assert await store.read(accounts.find, "ann") is not None


async def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    """Not even its journal mode is changed."""
    db = apsw.Connection(str(tmp_path / FILE))
    db.execute("CREATE TABLE theirs (x)")
    db.close()
    before = (tmp_path / FILE).read_bytes()
    assert "belongs to another program" in await refused(tmp_path)
    change(tmp_path, "PRAGMA application_id = 77")
    assert "belongs to another program" in await refused(tmp_path)
    change(tmp_path, "PRAGMA application_id = 0")
    assert [name for name in os.listdir(tmp_path) if "-" in name] == []
    assert len((tmp_path / FILE).read_bytes()) == len(before)


async def test_a_newer_database_is_refused(made: Path) -> None:
    """A wirechat that was set back would not know what to do with it."""
    change(made, "INSERT INTO migration VALUES (99, 'later')")
    assert "newer wirechat" in await refused(made)


async def test_a_migration_that_is_not_ours_is_refused(made: Path) -> None:
    """The schema was made by another text than this program's."""
    change(made, "UPDATE migration SET checksum = 'other' WHERE number = 1")
    assert "migration 1 of this data is not ours" in await refused(made)


async def test_migrations_are_applied_once_and_in_order(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later one finds the data of the earlier ones; a failing one leaves nothing of itself."""
    ours = migrations.migrations("sqlite")
    broken = migrations.Migration(len(ours) + 1, "broken", "CREATE TABLE later (x); CREATE TABLE account (x);")
    later = "CREATE TABLE later (x); INSERT INTO later SELECT user_id FROM account;"
    better = migrations.Migration(len(ours) + 1, "better", later)
    monkeypatch.setattr(migrations, "migrations", lambda engine: [*ours, broken])
    assert "cannot use" in await refused(made)
    monkeypatch.setattr(migrations, "migrations", lambda engine: [*ours, better])
    for _ in range(2):
        async with open_sqlite(made) as store:
            assert store._reader.execute("SELECT x FROM later").fetchall() == [(1,)]
    monkeypatch.undo()
    assert "newer wirechat" in await refused(made)


def test_the_migrations_of_both_engines_have_the_same_numbers() -> None:
    """What one engine can, the other can too."""
    found = {engine: [(each.number, each.name) for each in migrations.migrations(engine)] for engine in ENGINES}
    assert found["sqlite"] == found["postgres"]
    assert [number for number, _ in found["sqlite"]] == list(range(1, len(found["sqlite"]) + 1))


ENGINES = ("sqlite", "postgres")


@pytest.mark.parametrize("done", [0, 1, 2, None])
async def test_a_first_start_that_was_interrupted_is_begun_again(
    tmp_path: Path, done: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some of the migrations, or after all of them: nobody has used it, so there is nothing to keep a copy of."""
    real = sqlite._migrate

    def interrupted(db: apsw.Connection, missing: Sequence[migrations.Migration]) -> None:
        real(db, missing[:done])
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(sqlite, "_migrate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            async with open_sqlite(tmp_path):
                pass
    with pytest.raises(DataError, match="there is no data"):
        backup(tmp_path, tmp_path / "copy")
    async with open_sqlite(tmp_path) as store:
        await store.write(accounts.create, 1, "ann", None, None, 5)
    assert sorted(os.listdir(tmp_path)) == ["lock", FILE]


async def test_a_directory_that_cannot_be(tmp_path: Path) -> None:
    """A file where it should be."""
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "data"):
        assert await refused(path) == f"cannot use {path}: a file is in its place; give a directory"


UNPRIVILEGED = """
import os, sys, trio
from wirechat.store.sqlite import open_sqlite
from wirechat.store.errors import DataError

async def main():
    if os.geteuid() == 0:
        os.setuid(65534)
    try:
        async with open_sqlite(sys.argv[1]):
            print("opened")
    except DataError as error:
        print("DataError", error)

trio.run(main)
"""


@pytest.mark.parametrize("path", [".", FILE])
async def test_a_place_where_one_may_not_write(path: str, bounded: None) -> None:
    """The directory, or only the file in it. Root may write everywhere, so it is tried as nobody."""
    data = Path(tempfile.gettempdir()) / f"wirechat-{os.getpid()}-{path.strip('.')}"
    data.mkdir()
    try:
        async with open_sqlite(data):
            pass
        os.chmod(data / "lock", 0o666)
        os.chmod(data / FILE, 0o444)
        os.chmod(data, 0o555 if path == "." else 0o777)
        answer = await trio.run_process([sys.executable, "-c", UNPRIVILEGED, str(data)], cwd=ROOT, capture_stdout=True)
        assert answer.stdout.startswith(b"DataError cannot use"), answer
        assert b"; run this as the user whose" in answer.stdout
    finally:
        os.chmod(data, 0o755)
        for file in data.iterdir():
            file.unlink()
        data.rmdir()


async def count(tx: Tx) -> int:
    rows = await tx.fetch("SELECT user_id FROM account")
    return len(rows)


async def spoil(tx: Tx) -> None:
    await tx.execute("DELETE FROM account")


async def test_reading_beside_a_running_server(made: Path) -> None:
    """Without its lock, seeing what it commits, changing nothing."""
    async with open_sqlite(made) as store:
        await store.write(accounts.create, 2, "bob", None, None, 5)
        assert look(made, count) == 2
        with pytest.raises(DataError, match="readonly"):
            look(made, spoil)
        await store.write(accounts.create, 3, "eve", None, None, 5)
    assert look(made, count) == 3


def test_reading_what_is_not_there(tmp_path: Path) -> None:
    """Nothing is made by looking."""
    with pytest.raises(NoData, match=r"cannot find a server's data in .*; give the directory of"):
        look(tmp_path / "data", count)
    assert not (tmp_path / "data").exists()
    (tmp_path / FILE).touch()
    with pytest.raises(DataError, match="is empty; correct the directory, or start a server on it"):
        look(tmp_path, count)


async def test_reading_what_was_not_migrated(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking does not migrate."""
    ours = migrations.migrations("sqlite")
    monkeypatch.setattr(migrations, "migrations", lambda engine: [*ours, migrations.Migration(2, "new", "")])
    with pytest.raises(DataError, match="older wirechat"):
        look(made, count)


async def test_a_file_system_without_wal_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a commit would not be what we promise (P1)."""

    class NoWal(apsw.Connection):
        def pragma(self, name: str, *args: object) -> object:  # type: ignore[override]
            return "delete" if name == "journal_mode" else super().pragma(name, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(apsw, "Connection", NoWal)
    assert "use a local disk" in await refused(tmp_path)


async def test_the_pragmas_that_the_promises_need(made: Path) -> None:
    """P1: WAL with synchronous=FULL, read back from the open connection. P8: what is deleted is overwritten."""
    async with open_sqlite(made) as store:
        assert store._writer.pragma("journal_mode") == "wal"
        assert store._writer.pragma("synchronous") == 2
        assert store._writer.pragma("secure_delete") == 1

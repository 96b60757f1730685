"""P12 on SQLite: a full disk, a failing disk and a busy file are told apart by what may be concluded, and the store
works again once they are over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.store.talk import Talk, append, delete, group, msg
from wirechat.store import sqlite
from wirechat.store.errors import OutcomeUnknown, StorageFull, Unavailable
from wirechat.store.features import accounts, sync
from wirechat.store.records import Appended
from wirechat.store.sqlite import SqliteStore, open_sqlite


@pytest.fixture
async def store(tmp_path: Path, bounded: None) -> AsyncIterator[SqliteStore]:
    async with open_sqlite(tmp_path) as opened:
        yield opened


def room(store: SqliteStore, pages: int) -> None:
    """Let the file grow by so many pages from now on."""
    store._writer.pragma("max_page_count", store._writer.pragma("page_count") + pages)


async def test_a_full_disk_is_told_and_forgotten(talk: Talk, store: SqliteStore) -> None:
    """Surely not executed; with room again it goes on in the open store, and no number was lost."""
    conv = await talk.group(1, 2)
    room(store, 3)
    kept = 1
    full: Any = None
    while full is None:
        for result in await talk.results(*(msg(conv, 1, b"x" * 900) for _ in range(3))):
            if isinstance(result, Appended):
                kept = result.seq
            else:
                full = result
    assert type(full) is StorageFull
    for _ in range(3):
        results = await talk.results(*(msg(conv, 2, b"y" * 9_000) for _ in range(2)))
        assert [type(result) for result in results] == [StorageFull] * 2
    with pytest.raises(StorageFull):
        await store.write(accounts.create, 100, "h" * 30, "n" * 10_000, None, 5)
    assert await talk.head(1, conv) == kept
    room(store, 1_000_000)
    assert await talk.say(conv, 1) == kept + 1
    assert await store.write(accounts.create, 100, "h" * 30, "n" * 10_000, None, 5) is None


async def test_a_full_disk_is_not_a_bad_entry(talk: Talk, store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is not split for it: it would be tried twice for each entry while everyone waits."""
    conv = await talk.group(1, 2)
    tried: list[int] = []
    whole = sqlite.write

    def counted(*args: Any) -> Any:
        tried.append(1)
        return whole(*args)

    monkeypatch.setattr(sqlite, "write", counted)
    room(store, 0)
    results = await talk.results(*(msg(conv, 2, b"y" * 9_000) for _ in range(16)))
    assert [type(result) for result in results] == [StorageFull] * 16
    assert len(tried) == 1


class Disk:
    """A connection whose commits fail as long as they shall."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self.failing: tuple[str, Exception] | None = None

    def execute(self, sql: str, *args: Any) -> Any:
        if self.failing is not None and sql.startswith(self.failing[0]):
            raise self.failing[1]
        return self._db.execute(sql, *args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


@pytest.mark.parametrize(
    ("at", "error", "told"),
    [
        ("COMMIT", apsw.IOError("disk I/O error"), OutcomeUnknown),
        ("COMMIT", apsw.FullError("full"), StorageFull),
        ("COMMIT", apsw.BusyError("busy"), Unavailable),
        ("BEGIN", apsw.BusyError("busy"), Unavailable),
        ("UPDATE stamp", apsw.IOError("disk I/O error"), Unavailable),
        ("UPDATE stamp", apsw.CorruptError("malformed"), Unavailable),
        ("UPDATE stamp", apsw.FullError("full"), StorageFull),
    ],
)
async def test_a_failing_disk(talk: Talk, store: SqliteStore, at: str, error: Exception, told: type[Exception]) -> None:
    """At the commit nobody knows; before it nothing happened. Repeating with the same cid is right in both cases."""
    conv = await talk.group(1, 2)
    disk: Any = Disk(store._writer)
    store._writer = disk
    disk.failing = (at, error)
    batch = [msg(conv, 1), msg(conv, 2)]
    commit = await append(store, batch, 5, {})
    assert [type(result) for result in commit.results] == [told] * 2
    if not at.startswith("UPDATE"):
        with pytest.raises(told):
            await store.write(accounts.create, 100, "new", None, None, 5)
    disk.failing = None
    assert [result.seq for result in await talk.results(*batch)] == [2, 3]


async def test_a_file_that_another_process_holds(talk: Talk, store: SqliteStore, tmp_path: Path) -> None:
    """Waiting has an end; surely not executed."""
    conv = await talk.group(1, 2)
    store._writer.set_busy_timeout(10)
    other = apsw.Connection(str(tmp_path / sqlite.FILE))
    other.execute("BEGIN IMMEDIATE")
    (result,) = await talk.results(msg(conv, 1))
    assert type(result) is Unavailable
    assert await talk.head(1, conv) == 1
    other.execute("ROLLBACK")
    other.close()
    assert await talk.say(conv, 1) == 2


async def test_a_read_that_fails_is_unavailable(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is concluded from it, and the next one works."""
    disk: Any = Disk(store._reader)
    disk.failing = ("SELECT", apsw.IOError("disk I/O error"))
    monkeypatch.setattr(store, "_reader", disk)
    with pytest.raises(Unavailable):
        await store.read(sync.horizon)
    disk.failing = None
    assert await store.read(sync.horizon) > 0


async def test_a_feature_that_fails_leaves_nothing_behind(store: SqliteStore) -> None:
    """Whatever it wrote before; what it raised comes through, and the next transaction is a new one."""

    async def half(tx: Any) -> None:
        await accounts.create(tx, 1, "ann", None, None, 5)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await store.write(half)
    assert await store.read(accounts.find, "ann") is None
    assert await store.write(accounts.create, 1, "ann", None, None, 5) is None


async def test_a_reader_cannot_write(store: SqliteStore) -> None:
    """Its connection is for reading only."""
    with pytest.raises(Unavailable):
        await store.read(accounts.create, 1, "ann", None, None, 5)


async def test_a_feature_must_not_suspend(store: SqliteStore) -> None:
    """It would hold the lane; the mistake is told, and undone."""
    import trio

    async def sleeps(tx: Any) -> None:
        await accounts.create(tx, 1, "ann", None, None, 5)
        await trio.lowlevel.checkpoint()

    with pytest.raises(RuntimeError):
        await store.write(sleeps)
    assert await store.read(accounts.find, "ann") is None


async def test_deleted_content_is_not_in_the_file(talk: Talk, store: SqliteStore, tmp_path: Path) -> None:
    """P8: once the log of the database was recycled, nobody finds it on the disk either."""
    conv = (await talk.done(group(1, 2))).conv
    for number in range(50):
        await talk.say(conv, 1, b"a-secret-that-must-go-%d" % number)
    store._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    assert b"a-secret-that-must-go" in (tmp_path / sqlite.FILE).read_bytes()
    await talk.results(*(delete(conv, 1, seq) for seq in range(2, 52)))
    store._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    assert b"a-secret-that-must-go" not in (tmp_path / sqlite.FILE).read_bytes()

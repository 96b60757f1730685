"""A backup is whole or not there, holds one moment, and comes back under another epoch; what is wrong is one line."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import apsw
import pytest
import trio
from click.testing import CliRunner, Result

from tests.store.talk import PATIENCE, Talk, msg
from wirechat.cli.main import wirechat as main
from wirechat.store import backup, snapshot
from wirechat.store.database import Store, open_sqlite
from wirechat.store.errors import Damaged, DataError
from wirechat.store.features import accounts, devices, sync
from wirechat.store.records import Appended, Login
from wirechat.store.sqlite import FILE

pytestmark = pytest.mark.usefixtures("bounded")
ROOT = Path(__file__).parents[2]


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Store]:
    """An open store in `data` with two accounts, a device with a token, a group and 100 messages, most in its log."""
    async with open_sqlite(tmp_path / "data") as store:
        talk = await Talk(store).people(2)
        conv = await talk.group(1, 2)
        await talk.results(*(msg(conv, 1, b"x" * 300) for _ in range(100)))
        await store.write(devices.create, 70, 1, None, "phone", 5)
        await store.write(devices.issue_resume, 70, b"token", 10**15)
        yield store


@pytest.fixture
async def taken(served: Store, tmp_path: Path) -> Path:
    """A backup of it."""
    await trio.to_thread.run_sync(backup.backup, tmp_path / "data", tmp_path / "copy")
    return tmp_path / "copy"


async def run(*args: object) -> Result:
    return await trio.to_thread.run_sync(CliRunner().invoke, main, [str(arg) for arg in args])


async def refused(*args: object) -> str:
    """The line of a command that is refused with status 2."""
    result = await run(*args)
    assert result.exit_code == 2, result.output
    assert len(result.output.splitlines()) == 1
    assert result.output.startswith("wirechat: ")
    return result.output


def content(path: Path) -> bytes:
    return path.read_bytes()


def put(path: Path, some: bytes) -> None:
    path.write_bytes(some)


def parts_in(folder: Path) -> list[Path]:
    """What is left of a backup that was not finished."""
    return sorted(folder.glob(".copy.*.part"))


# taking one


async def test_beside_a_running_server(served: Store, tmp_path: Path) -> None:
    """What is acknowledged is in it, also what is only in the log of the database; it is one file that anyone may
    open, and only its owner may read.
    """
    assert (tmp_path / "data" / (FILE + "-wal")).stat().st_size > 0
    result = await run("backup", "--data", tmp_path / "data", tmp_path / "copy")
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"{tmp_path / 'copy'}: 2 accounts, 1 conversation, 101 entries, ")
    assert sorted(os.listdir(tmp_path)) == ["copy", "data"]
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(f"file:{tmp_path / 'copy'}?mode=ro", uri=True) as db:
        assert db.execute("SELECT count(*) FROM entry").fetchone() == (101,)
    assert sorted(os.listdir(tmp_path)) == ["copy", "data"]


async def test_what_it_says_to_machines(served: Store, tmp_path: Path) -> None:
    """The same facts stand in the last line of the file."""
    result = await run("backup", "--data", tmp_path / "data", tmp_path / "copy", "--json")
    told = json.loads(result.output)
    line = (tmp_path / "copy").read_bytes().splitlines()[-1]
    assert told == {"file": str(tmp_path / "copy"), **json.loads(line.removeprefix(snapshot.MARK.strip()))}
    assert (told["accounts"], told["devices"], told["conversations"], told["entries"]) == (2, 1, 1, 101)
    assert (told["epoch"], told["schema"] >= 1) == (served.epoch.hex(), True)
    assert told["size"] == (tmp_path / "copy").stat().st_size - len(line) - 2


async def test_without_a_server_after_a_crash(tmp_path: Path) -> None:
    """The log that the dead server left is in it."""
    script = "import sys, os, trio\nfrom tests.store.test_backup import die\ntrio.run(die, sys.argv[1])"
    died = await trio.run_process(
        [sys.executable, "-c", script, str(tmp_path / "data")], cwd=ROOT, check=False, capture_stderr=True
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert (tmp_path / "data" / (FILE + "-wal")).stat().st_size > 0
    assert backup.backup(tmp_path / "data", tmp_path / "copy").accounts == 2


async def die(folder: str) -> None:
    """In a process of its own: write, then be killed."""
    async with open_sqlite(folder) as store:
        await Talk(store).people(2)
        os.kill(os.getpid(), signal.SIGKILL)


async def test_one_moment_while_others_write(served: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is committed between two steps is not in it, does not make it begin anew, and does not wait for it."""
    monkeypatch.setattr(snapshot, "STEP_PAGES", 1)
    other = apsw.Connection(str(tmp_path / "data" / FILE))
    steps: list[tuple[int, int]] = []

    def meanwhile(done: int, pages: int) -> None:
        steps.append((done, pages))
        other.execute("UPDATE stamp SET value = value + 1")
        other.execute(
            "INSERT INTO account (user_id, handle, made) VALUES (?, CAST(? AS BLOB), 0)", (100 + done, f"new{done}")
        )

    manifest = backup.backup(tmp_path / "data", tmp_path / "copy", meanwhile)
    other.close()
    assert [done for done, _ in steps] == list(range(1, steps[0][1] + 1))
    assert manifest.accounts == 2
    assert (await run("verify", "--backup", tmp_path / "copy")).exit_code == 0
    assert await served.read(accounts.find, "new1") is not None


async def test_a_log_that_grows_too_long_ends_it(
    served: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's disk is worth more than the backup."""
    monkeypatch.setattr(snapshot, "STEP_PAGES", 1)
    other = apsw.Connection(str(tmp_path / "data" / FILE))

    def meanwhile(done: int, pages: int) -> None:
        for number in range(50):
            other.execute("INSERT INTO meta VALUES (?, zeroblob(100000))", (f"{done} {number}",))

    with pytest.raises(DataError, match=r"the server wrote \d+ MiB while \d+ % were copied: .* --max-wal"):
        backup.backup(tmp_path / "data", tmp_path / "copy", meanwhile, wal_growth_max=1 << 20)
    other.close()
    assert os.listdir(tmp_path) == ["data"]


async def test_the_log_shrinks_again(served: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a long backup the server does not keep the room it needed for ever."""
    wal = tmp_path / "data" / (FILE + "-wal")
    writer = served._writer  # type: ignore[attr-defined]
    assert writer.pragma("journal_size_limit") == 64 << 20
    writer.pragma("journal_size_limit", 1 << 20)
    reader = apsw.Connection(str(tmp_path / "data" / FILE), flags=apsw.SQLITE_OPEN_READONLY)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM meta").fetchall()
    talk = Talk(served)
    conv = await talk.group(1, 2)
    for _ in range(20):
        await talk.results(*(msg(conv, 1, b"x" * 9_000) for _ in range(40)))
    assert wal.stat().st_size > 4 << 20
    reader.close()
    writer.pragma("wal_checkpoint")
    await talk.say(conv, 1)
    assert wal.stat().st_size <= 1 << 20


SLOWLY = """
import sys, time
from wirechat.store import snapshot
from wirechat.cli.main import main
snapshot.STEP_PAGES = 1
snapshot.silently = lambda done, pages: time.sleep(0.05)
sys.argv[0] = "wirechat"
main()
"""


@pytest.mark.parametrize(("number", "status", "left"), [(signal.SIGINT, 130, 0), (signal.SIGKILL, -signal.SIGKILL, 1)])
async def test_interrupted_there_is_nothing(
    served: Store, tmp_path: Path, number: signal.Signals, status: int, left: int
) -> None:
    """Ctrl-C cleans up; after kill -9 what is left is no backup and does not stand in the way of the next one."""
    command = [sys.executable, "-c", SLOWLY, "backup", "--data", str(tmp_path / "data"), str(tmp_path / "copy")]
    process = await trio.lowlevel.open_process(command, cwd=ROOT, stderr=subprocess.PIPE)
    with trio.fail_after(PATIENCE):
        while not parts_in(tmp_path):  # noqa: ASYNC110  another process makes it
            await trio.sleep(0.02)
        process.send_signal(number)
        assert await process.wait() == status
        assert process.stderr is not None
        assert (await process.stderr.receive_some()).strip() == b""
    parts = parts_in(tmp_path)
    assert (len(parts), (tmp_path / "copy").exists()) == (left, False)
    for part in parts:
        assert "no backup" in await refused("verify", "--backup", part)
    assert (await run("backup", "--data", tmp_path / "data", tmp_path / "copy")).exit_code == 0


async def test_a_bar_on_a_terminal(served: Store, tmp_path: Path) -> None:
    """Standard output stays for the result, standard error is the terminal here."""
    terminal, end = os.openpty()
    command = [sys.executable, "-m", "wirechat.cli.main", "backup", "--data", tmp_path / "data", tmp_path / "copy"]
    done = await trio.run_process(command, cwd=ROOT, stderr=end, capture_stdout=True)
    assert b"copying" in os.read(terminal, 4096)
    assert done.stdout.startswith(bytes(tmp_path / "copy"))
    os.close(end)
    os.close(terminal)


async def test_a_disk_that_is_full(served: Store, tmp_path: Path) -> None:
    """A limit on the size of files stands for it, which needs no root."""
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))" + SLOWLY
    command = [sys.executable, "-c", limited, "backup", "--data", str(tmp_path / "data"), str(tmp_path / "copy")]
    done = await trio.run_process(command, cwd=ROOT, check=False, capture_stderr=True)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert done.stderr.startswith(f"wirechat: cannot write {tmp_path / 'copy'}: ".encode())
    assert os.listdir(tmp_path) == ["data"]


async def test_no_space_left(served: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What SQLite says then, and what the system says."""

    def full(source: object, part: object, tell: object) -> None:
        raise errors.pop()

    monkeypatch.setattr(snapshot, "copy", full)
    errors = [apsw.FullError("database or disk is full"), OSError(28, "No space left on device")]
    while errors:
        assert "No space left on device" in await refused("backup", "--data", tmp_path / "data", tmp_path / "copy")
        assert os.listdir(tmp_path) == ["data"]


async def test_what_cannot_be_backed_up(served: Store, tmp_path: Path) -> None:
    """Each is one line, and leaves nothing."""
    (tmp_path / "old").write_text("precious")
    data = tmp_path / "data"
    assert "exists already" in await refused("backup", "--data", data, tmp_path / "old")
    assert (tmp_path / "old").read_text() == "precious"
    assert "No such file or directory" in await refused("backup", "--data", data, tmp_path / "nowhere" / "copy")
    assert "Not a directory" in await refused("backup", "--data", data, tmp_path / "old" / "copy")
    assert "exists already" in await refused("backup", "--data", data, tmp_path)
    assert "cannot find a server's data" in await refused("backup", "--data", tmp_path / "nothing", tmp_path / "copy")
    (tmp_path / "foreign").mkdir()
    sqlite3.connect(tmp_path / "foreign" / FILE).execute("CREATE TABLE theirs (x)")
    assert "belongs to another program" in await refused("backup", "--data", tmp_path / "foreign", tmp_path / "copy")
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / FILE).write_bytes(b"this is a text and no database" * 100)
    assert "is not a database" in await refused("backup", "--data", tmp_path / "text", tmp_path / "copy")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / FILE).touch()
    assert "there is no data" in await refused("backup", "--data", tmp_path / "empty", tmp_path / "copy")
    served._writer.execute("INSERT INTO migration VALUES (99, 'later')")  # type: ignore[attr-defined]
    assert "newer wirechat" in await refused("backup", "--data", data, tmp_path / "copy")
    assert not parts_in(tmp_path)
    assert not (tmp_path / "copy").exists()
    usage = await run("backup", "--data", data)
    assert usage.exit_code == 2


async def test_damaged_data_makes_no_backup(tmp_path: Path) -> None:
    """Better no backup than one that cannot be restored; the old ones are kept then."""
    async with open_sqlite(tmp_path / "data") as store:
        talk = await Talk(store).people(2)
        conv = await talk.group(1, 2)
        await talk.results(*(msg(conv, 1, b"x" * 500) for _ in range(200)))
    content = bytearray((tmp_path / "data" / FILE).read_bytes())
    content[-8192:-4096] = b"\xff" * 4096
    (tmp_path / "data" / FILE).write_bytes(content)
    assert "damaged" in await refused("backup", "--data", tmp_path / "data", tmp_path / "copy")
    assert os.listdir(tmp_path) == ["data"]


# checking one


async def test_a_backup_can_be_verified(taken: Path, tmp_path: Path) -> None:
    """Its checksum, and everything in it; nothing is made beside it."""
    before = content(taken)
    result = await run("verify", "--backup", taken)
    assert (result.exit_code, result.output) == (0, "1 conversation, 101 entries: everything is consistent\n")
    assert (sorted(os.listdir(tmp_path)), content(taken)) == (["copy", "data"], before)
    with taken.open("r+b") as file:  # one bit of one text
        file.seek(before.rindex(b"x" * 300))
        file.write(b"y")
    for command in ("verify --backup", "verify --json --backup"):
        result = await run(*command.split(), taken)
        assert (result.exit_code, "its checksum is not" in result.output) == (1, True)


async def test_a_backup_of_what_is_not_consistent(served: Store, tmp_path: Path) -> None:
    """The file is what was written, but that was wrong already."""
    served._writer.execute("UPDATE conv SET head = 9")  # type: ignore[attr-defined]
    backup.backup(tmp_path / "data", tmp_path / "copy")
    result = await run("verify", "--backup", tmp_path / "copy")
    assert (result.exit_code, "head is 9, should be 101" in result.output) == (1, True)


async def test_what_is_no_backup(taken: Path, tmp_path: Path) -> None:
    """Also a part of one, and one that was written into."""
    whole = content(taken)
    for some in (b"", b"text", whole[:-1000], whole[:5000], whole[:-20], snapshot.MARK + b"[]\n"):
        put(taken, some)
        assert "is no backup of wirechat, or not a whole one" in await refused("verify", "--backup", taken)
        assert "is no backup" in await refused("restore", taken, "--data", tmp_path / "new")
    put(taken, whole[:4096] + whole)
    assert (await run("verify", "--backup", taken)).exit_code == 1
    assert "is damaged: it should have" in await refused("restore", taken, "--data", tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert "cannot read" in await refused("verify", "--backup", tmp_path / "nothing")
    assert "cannot read" in await refused("restore", tmp_path / "nothing", "--data", tmp_path / "new")


# restoring one


async def test_a_restored_store(served: Store, taken: Path, tmp_path: Path) -> None:
    """Everything as it was, the key of digests too (P2), under another epoch (P5)."""
    result = await run("restore", taken, "--data", tmp_path / "new")
    assert result.exit_code == 0, result.output
    assert "1 conversation, 101 entries, as of 2" in result.output
    assert "revoke, change and remove them again" in result.output
    assert sorted(os.listdir(tmp_path / "new")) == ["lock", FILE]
    async with open_sqlite(tmp_path / "new") as store:
        assert store.digest_key == served.digest_key
        assert store.epoch != served.epoch
        assert store.epoch.hex() in result.output
        assert await store.read(sync.horizon) == await served.read(sync.horizon)
        talk = Talk(store)
        (row,) = await store.read(sync.digest, 1, 0, 0, 10)
        assert await talk.texts(2, row.conv) == [None, *[b"x" * 300] * 100]
        assert await store.write(devices.use_resume, b"token", b"next", 5, 10**15) == Login(1, 70, 2)
        assert (await talk.say(row.conv, 1)) == 102
    assert (await run("verify", "--data", tmp_path / "new")).exit_code == 0


async def test_entries_of_before_are_known_again(served: Store, tmp_path: Path) -> None:
    """P2: what was acknowledged before the backup and is sent once more is not doubled."""
    talk = Talk(served)
    conv = await talk.group(1, 2)
    item = msg(conv, 1, b"once")
    first = await talk.done(item)
    backup.backup(tmp_path / "data", tmp_path / "copy")
    backup.restore(tmp_path / "copy", tmp_path / "new")
    async with open_sqlite(tmp_path / "new") as store:
        again = await Talk(store).done(item)
    assert again == Appended(conv, first.seq, first.ts, dup=True)


async def test_logins_can_be_forgotten(taken: Path, tmp_path: Path) -> None:
    """No resume token is valid then; keys and passwords are."""
    result = await run("restore", taken, "--data", tmp_path / "new", "--forget-logins", "--json")
    assert json.loads(result.output)["data"] == str(tmp_path / "new")
    async with open_sqlite(tmp_path / "new") as store:
        assert json.loads(result.output)["epoch"] == store.epoch.hex()
        assert await store.write(devices.use_resume, b"token", b"next", 5, 10**15) is None
        assert await store.read(devices.get, 70) is not None


async def test_where_nothing_is_restored_to(taken: Path, tmp_path: Path) -> None:
    """A directory in use, one with anything in it, a file; nothing is touched."""
    assert f"in use by process {os.getpid()}" in await refused("restore", taken, "--data", tmp_path / "data")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes").write_text("mine")
    assert "is not empty" in await refused("restore", taken, "--data", tmp_path / "full")
    assert os.listdir(tmp_path / "full") == ["notes"]
    (tmp_path / "file").touch()
    assert (await run("restore", taken, "--data", tmp_path / "file")).exit_code == 2
    assert "cannot use" in await refused("restore", taken, "--data", tmp_path / "file" / "data")
    (tmp_path / "empty").mkdir()
    assert (await run("restore", taken, "--data", tmp_path / "empty")).exit_code == 0


async def test_a_damaged_backup_is_not_restored(taken: Path, tmp_path: Path) -> None:
    """It is read before anything is made."""
    whole = content(taken)
    put(taken, whole.replace(b"x" * 300, b"x" * 299 + b"y", 1))
    assert "its checksum is not" in await refused("restore", taken, "--data", tmp_path / "new")
    assert not (tmp_path / "new").exists()


async def test_a_backup_of_a_newer_wirechat(taken: Path, tmp_path: Path) -> None:
    """It says which one to install."""
    whole = content(taken)
    at = whole.rindex(b'"schema": ')
    put(taken, whole[:at] + whole[at:].replace(b'"schema": ', b'"schema": 99', 1))
    assert "written by a newer wirechat (" in await refused("restore", taken, "--data", tmp_path / "new")
    assert not (tmp_path / "new").exists()


async def test_a_restore_that_fails_leaves_nothing(
    taken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server started by mistake would otherwise begin an empty store, or find half of one."""

    def fail(*args: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("wirechat.store.features.meta.renew_epoch", fail)
    (tmp_path / "empty").mkdir()
    for folder in ("new", "empty"):
        with pytest.raises(KeyboardInterrupt):
            backup.restore(taken, tmp_path / folder)
    assert not (tmp_path / "new").exists()
    assert os.listdir(tmp_path / "empty") == ["lock"]


async def test_a_restore_that_was_killed(taken: Path, tmp_path: Path) -> None:
    """The server does not begin an empty store where half of one lies; nor is anything restored over it."""
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / (FILE + ".part")).touch()
    with pytest.raises(DataError, match="was interrupted; empty it"):
        async with open_sqlite(tmp_path / "new"):
            pass
    assert "was interrupted; empty it" in await refused("restore", taken, "--data", tmp_path / "new")
    assert sorted(os.listdir(tmp_path / "new")) == ["lock", FILE + ".part"]


async def test_only_the_owner_may_look(served: Store, tmp_path: Path) -> None:
    """A directory that we make."""
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


async def test_damage_while_restoring(tmp_path: Path, taken: Path) -> None:
    """What is copied is compared once more."""
    whole = content(taken)
    put(taken, whole.replace(b"x" * 300, b"x" * 299 + b"y", 1))
    with pytest.raises(Damaged):
        snapshot.extract(taken, tmp_path / "out")

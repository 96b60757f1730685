"""A copy of a SQLite database in one file: the pages of one moment, and behind them one line that says what they are.

Rules: the copy is made beside its place and put there whole and durable, or not at all. SQLite does not mind what
follows its last page, so the file is a database as it stands; the checksum in the line covers the pages.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO

import apsw
import attrs

from wirechat.store.errors import Damaged, DataError
from wirechat.store.records import ACCOUNT

STEP_PAGES = 1024
"""Pages copied at a time, 4 MiB; between two steps it can be told how far it is, and interrupted."""

FLUSH_STEPS = 16
"""Steps between flushes: a mountain of unwritten pages would make the server's next fsync wait for it."""

MARK = b"\nwirechat-backup "
LINE_MAX = 4096
CHUNK = 1 << 20

Progress = Callable[[int, int], None]
"""Is told (pages copied, pages in all)."""


def silently(_: int, __: int) -> None:
    """Tell nobody."""


@attrs.frozen
class Manifest:
    """What a copy says of itself."""

    wirechat: str = attrs.field(converter=str)
    """The version that made it."""
    schema: int = attrs.field(converter=int)
    """The number of its last migration."""
    epoch: str = attrs.field(converter=str)
    """In hexadecimal; a restore draws another."""
    taken_ms: int = attrs.field(converter=int)
    """When it was begun, in milliseconds since 1970: what was acknowledged before is in it."""
    accounts: int = attrs.field(converter=int)
    devices: int = attrs.field(converter=int)
    conversations: int = attrs.field(converter=int)
    entries: int = attrs.field(converter=int)
    size: int = attrs.field(converter=int)
    """Bytes of the database: all that precedes the line."""
    sha256: str = attrs.field(converter=str)
    """Of these bytes, in hexadecimal."""


# making one


@contextmanager
def part_of(target: Path) -> Iterator[Path]:
    """A new empty file beside `target`, gone at the end unless `seal` has put it in its place. Raises DataError."""
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with writing(target):
            os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        yield part
    finally:
        for suffix in ("", "-wal", "-shm"):
            with suppress(OSError):
                part.with_name(part.name + suffix).unlink()


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """What goes wrong while a copy is written is one line about it. Raises DataError."""
    try:
        yield
    except apsw.FullError:
        raise DataError(f"cannot write {target}: {os.strerror(errno.ENOSPC)}") from None
    except apsw.Error as error:
        raise DataError(f"cannot write {target}: {error}") from None
    except OSError as error:
        raise DataError(f"cannot write {target}: {error.strerror}") from None


def copy(source: apsw.Connection, part: Path, tell: Progress = silently) -> int:
    """Copy what is committed now; returns when that was, in milliseconds since 1970. Raises apsw.Error, OSError."""
    now_ms = time.time_ns() // 1_000_000
    with source:  # one snapshot for all steps: begun anew after each commit of others, it would never end
        source.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        _copy_pages(source, part, tell)
    return now_ms


def _copy_pages(source: apsw.Connection, part: Path, tell: Progress) -> None:
    with closing(apsw.Connection(str(part))) as copied, open(part, "rb") as file:
        copied.pragma("journal_mode", "off")
        copied.pragma("synchronous", "off")  # it is flushed by ourselves
        with copied.backup("main", source, "main") as backup:
            steps = 0
            while not backup.done:
                backup.step(STEP_PAGES)
                steps += 1
                if steps % FLUSH_STEPS == 0:
                    os.fdatasync(file.fileno())
                tell(backup.page_count - backup.remaining, backup.page_count)


def seal(part: Path, target: Path, taken_ms: int, *, replace: bool = False) -> Manifest:
    """Check the copy, write its last line, make it durable, put it in its place. Raises DataError."""
    with writing(target):
        facts = _facts(part)
        with open(part, "r+b") as file:
            size, sha256 = _digest(file, os.path.getsize(part))
            manifest = Manifest(**facts, taken_ms=taken_ms, size=size, sha256=sha256)
            file.seek(0, os.SEEK_END)
            file.write(MARK + json.dumps(attrs.asdict(manifest)).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if replace:
            os.replace(part, target)
        else:
            place(part, target)
        flush_directory(target.parent)
    return manifest


def _facts(part: Path) -> dict[str, Any]:
    with closing(apsw.Connection(str(part))) as db:
        interruptible(db)
        db.pragma("journal_mode", "delete")  # so that it is one file for whoever opens it
        if (problem := db.execute("PRAGMA quick_check(1)").get) != "ok":
            raise Damaged(f"the data is damaged: {' '.join(str(problem).split())}; see wirechat verify")
        conversations = f"conv WHERE kind <> {ACCOUNT}"  # as `verify` and `store stats` count
        tables = {"accounts": "account", "devices": "device", "conversations": conversations, "entries": "entry"}
        return {
            "wirechat": metadata.version("wirechat"),
            "schema": db.execute("SELECT max(number) FROM migration").get,
            "epoch": db.execute("SELECT hex(value) FROM meta WHERE name = 'epoch'").get.lower(),
            **{name: db.execute(f"SELECT count(*) FROM {table}").get for name, table in tables.items()},
        }


def interruptible(db: apsw.Connection) -> None:
    """Let Python handle its signals during long statements, so that Ctrl-C ends them."""
    db.set_progress_handler(lambda: False, 100_000)


def _digest(file: BinaryIO, size: int, to: BinaryIO | None = None) -> tuple[int, str]:
    """(bytes that there were, SHA-256) of the first `size` bytes, copied to `to`."""
    digest, left = hashlib.sha256(), size
    file.seek(0)
    while left and (chunk := file.read(min(CHUNK, left))):
        digest.update(chunk)
        left -= len(chunk)
        if to is not None:
            to.write(chunk)
    return size - left, digest.hexdigest()


def place(part: Path, target: Path) -> None:
    """Give a file its name; one that exists is never overwritten. Raises DataError, OSError."""
    try:
        os.link(part, target)  # unlike a rename it fails then
        os.unlink(part)
    except FileExistsError:
        refuse_existing(target)
        raise
    except OSError:  # a file system without links
        refuse_existing(target)
        os.rename(part, target)


def refuse_existing(target: Path) -> None:
    """Raises DataError when there is something already."""
    if os.path.lexists(target):
        raise DataError(f"{target} exists already; give another name, or remove it first")


def flush_directory(folder: Path) -> None:
    """Make names in it durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# reading one


@contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    try:
        with open(path, "rb") as file:
            yield file
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None


def manifest(path: Path) -> Manifest:
    """What a copy says of itself. Raises DataError when it is none, or not a whole one."""
    with _reading(path) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - LINE_MAX))
        _, mark, line = file.read().rpartition(MARK)
        try:
            if not mark:
                raise ValueError
            said = json.loads(line)
            found = Manifest(**{field.name: said[field.name] for field in attrs.fields(Manifest)})
        except (ValueError, TypeError, KeyError):
            raise DataError(f"{path} is no backup of wirechat, or not a whole one") from None
    if found.size != size - len(mark) - len(line):
        raise Damaged(f"{path} is damaged: it should have {found.size} bytes of data")
    return found


def check(path: Path) -> Manifest:
    """Read it all and compare its checksum. Raises DataError; Damaged when it is not what was written."""
    found = manifest(path)
    with _reading(path) as file:
        _compare(path, found, _digest(file, found.size))
    return found


def extract(path: Path, target: Path) -> None:
    """Write the database in a copy to a new file, durably. Raises DataError."""
    found = manifest(path)
    with _reading(path) as file, writing(target), open(target, "xb") as to:
        os.fchmod(to.fileno(), 0o600)
        read = _digest(file, found.size, to)
        to.flush()
        os.fsync(to.fileno())
    _compare(path, found, read)


def _compare(path: Path, expected: Manifest, read: tuple[int, str]) -> None:
    if read != (expected.size, expected.sha256):
        raise Damaged(f"{path} is damaged: its checksum is not that of what was written")

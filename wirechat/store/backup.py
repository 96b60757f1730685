"""Backup and restore of the embedded store.

A backup is one snapshot, taken beside a running server, without its lock. A restore goes into a directory of its own
and draws another epoch, so that every client starts anew (P5); the key of digests stays, so that what was sent before
is recognised (P2).
"""

from __future__ import annotations

import os
import secrets
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import apsw
import attrs

from wirechat.store import directory, snapshot
from wirechat.store.errors import DataError
from wirechat.store.features import devices, meta
from wirechat.store.migrations import migrations
from wirechat.store.snapshot import Manifest
from wirechat.store.sqlite import FILE, SqliteTx, connect, known, read, refuse_missing, refusing, write
from wirechat.store.tx import Feature

T = TypeVar("T")

WAL_GROWTH_MAX = 4 << 30
"""Bytes by which the server's log may grow while a backup holds its snapshot."""


def backup(
    folder: Path, target: Path, tell: snapshot.Progress = snapshot.silently, wal_growth_max: int = WAL_GROWTH_MAX
) -> Manifest:
    """Write everything in a directory, as of one moment, to a new file. Raises DataError; then there is no file."""
    refuse_missing(folder)
    snapshot.refuse_existing(target)
    with snapshot.part_of(target) as part:
        path = str(folder / FILE)
        with refusing(path), closing(connect(path, write=False)) as db:
            known(db, folder)
            grown = _Growth(Path(path + "-wal"), wal_growth_max, tell)
            with snapshot.writing(target):
                taken_ms = snapshot.copy(db, part, grown)
        return snapshot.seal(part, target, taken_ms)


@attrs.define
class _Growth:
    """Ends a backup that is so slow that the server's log, which must be kept for it, grows too long."""

    wal: Path
    growth_max: int
    tell: snapshot.Progress
    start: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.start = self._size()

    def __call__(self, done: int, pages: int) -> None:
        grown = self._size() - self.start
        if grown > self.growth_max:
            raise DataError(
                f"the server wrote {grown >> 20} MiB while {done * 100 // pages} % were copied: the backup is too slow;"
                " write it to a faster disk, or allow more with --max-wal"
            )
        self.tell(done, pages)

    def _size(self) -> int:
        try:
            return self.wal.stat().st_size
        except FileNotFoundError:
            return 0


def restore(path: Path, folder: Path, *, forget_logins: bool = False) -> Manifest:
    """Put a backup into an empty or missing directory, durably, with another epoch. `forget_logins`: no resume token
    of it is valid any more. Raises DataError; then there is no data in the directory. Returns what was restored, with
    its new epoch.
    """
    found = snapshot.check(path)
    if found.schema > len(migrations("sqlite")):
        raise DataError(f"{path} was written by a newer wirechat ({found.wirechat}); install that one")
    _refuse_used(folder)
    made = not folder.exists()
    try:
        with directory.locked(folder):
            epoch = _restore(path, folder, forget_logins)
    except BaseException:
        if made:
            _forget(folder)
        raise
    return attrs.evolve(found, epoch=epoch.hex())


def _restore(path: Path, folder: Path, forget_logins: bool) -> bytes:
    part = folder / directory.UNFINISHED
    try:
        snapshot.extract(path, part)
        with refusing(str(part)), closing(apsw.Connection(str(part), flags=apsw.SQLITE_OPEN_READWRITE)) as db:
            known(db, path)
            tx = SqliteTx(db)
            epoch = write(db, meta.renew_epoch(tx, secrets.token_bytes))
            if forget_logins:
                write(db, devices.forget_resume(tx))
        with snapshot.writing(folder / FILE):
            snapshot.place(part, folder / FILE)
            snapshot.flush_directory(folder)
            snapshot.flush_directory(folder.parent)
    finally:
        part.unlink(missing_ok=True)
    return epoch


def _refuse_used(folder: Path) -> None:
    try:
        names = set(os.listdir(folder)) if folder.exists() else set()
        if "lock" in names or directory.UNFINISHED in names:
            with directory.locked(folder):  # says who has it, or what has happened
                pass
    except OSError as error:
        raise directory.unusable(folder, error) from None
    if names - {"lock"}:
        raise DataError(f"{folder} is not empty; restore into a new directory, or move this one away first")


def _forget(folder: Path) -> None:
    with suppress(OSError):
        (folder / "lock").unlink()
        folder.rmdir()


def look(path: Path, feature: Feature[[], T]) -> T:
    """Run a feature on a backup that has the newest schema, changing nothing. Raises DataError."""
    address = f"file:{quote(str(path.absolute()))}?immutable=1"  # nothing is made beside it
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    with refusing(str(path)), closing(apsw.Connection(address, flags=flags)) as db:
        known(db, path)
        return read(db, feature(SqliteTx(db)))

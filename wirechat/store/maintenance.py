"""What an operator does to an embedded store by hand. All but `checkpoint` need it for themselves."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw

from wirechat.store import directory
from wirechat.store.errors import DataError
from wirechat.store.features import meta
from wirechat.store.snapshot import interruptible
from wirechat.store.sqlite import FILE, SqliteTx, connect, known, refuse_missing, refusing, write


@contextmanager
def _opened(folder: Path) -> Iterator[apsw.Connection]:
    """Its database, as it is: not migrated, never made."""
    refuse_missing(folder)
    path = str(folder / FILE)
    with refusing(path), closing(connect(path, write=True)) as db:
        known(db, folder)
        interruptible(db)
        yield db


@contextmanager
def _alone(folder: Path, *, moved: bool = False) -> Iterator[apsw.Connection]:
    """The same while no server runs on it, even if it was `moved` away. Raises DataError."""
    refuse_missing(folder)
    with directory.locked(folder, moved=moved), _opened(folder) as db:
        yield db


def renew_epoch(folder: Path) -> str:
    """Draw another epoch, so that every client starts anew; returned in hexadecimal. Data that was moved away may be
    served again after that. Raises DataError.
    """
    with _alone(folder, moved=True) as db:
        epoch = write(db, meta.renew_epoch(SqliteTx(db), secrets.token_bytes))
        (folder / directory.MOVED).unlink(missing_ok=True)
        return epoch.hex()


def vacuum(folder: Path) -> tuple[int, int]:
    """Write the file anew, without its free pages and without what was deleted. (bytes before, bytes after). Raises
    DataError when a server runs on it or there is no room for two more of it.
    """
    with _alone(folder) as db:
        before = _size(folder)
        _need_room(folder, 2 * before)
        db.pragma("temp_store_directory", str(folder.absolute()))
        db.execute("VACUUM")
        _truncate(db, folder)
    return before, _size(folder)


def checkpoint(folder: Path) -> tuple[int, int]:
    """Bring the log into the file and empty it, also beside a running server; (bytes before, bytes after). Raises
    DataError.
    """
    before = _size(folder, "-wal")
    with _opened(folder) as db:
        _truncate(db, folder)
        return before, _size(folder, "-wal")


def _truncate(db: apsw.Connection, folder: Path) -> None:
    busy, *_ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() or (1,)
    if busy:
        raise DataError(f"the log of {folder} is being read, by a backup perhaps; try again when that is over")


def _need_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size:
        raise DataError(f"{folder} needs {size >> 20} MiB of free space for this, and has {free >> 20}")


def _size(folder: Path, suffix: str = "") -> int:
    try:
        return os.path.getsize(folder / (FILE + suffix))
    except FileNotFoundError:
        return 0

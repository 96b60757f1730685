"""The data directory of the embedded store: one process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wirechat.store.errors import DataError, InUse

UNFINISHED = "wirechat.db.part"
"""What a restore is writing. A server that found only this would begin an empty store."""

MOVED = "moved"
"""Says where the data was moved to. Clients go on there with what they know from here, so a server that went on here
would give them other entries under the same numbers.
"""


@contextmanager
def locked(directory: Path, *, moved: bool = False) -> Iterator[None]:
    """Make the directory if it is missing, for its owner only, and hold its lock. Raises DataError when another process
    has it, when a restore into it was interrupted, and, unless `moved`, when its data was moved away.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise unusable(directory, error) from None
    try:
        _take(descriptor, directory)
        if (directory / UNFINISHED).exists():
            raise DataError(f"a restore into {directory} was interrupted; empty it, then restore again")
        if not moved and (where := moved_to(directory)):
            raise DataError(
                f"the data of {directory} was moved to {where}; start the servers there (to go back to what it was"
                f" before, see wirechat store renew-epoch --help)"
            )
        yield
    finally:
        os.close(descriptor)


def unusable(directory: Path, error: OSError) -> DataError:
    """Why a directory cannot be had, and what to do."""
    match error:
        case FileExistsError() | NotADirectoryError():
            reason = "a file is in its place; give a directory"
        case PermissionError():
            reason = f"{error.strerror}; run this as the user whose directory it is, or give another one"
        case _:
            reason = str(error.strerror)
    return DataError(f"cannot use {directory}: {reason}")


def holder(directory: Path) -> int | None:
    """The process that holds the lock now, if any."""
    try:
        descriptor = os.open(directory / "lock", os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        text = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        return int(text) if text.isdigit() else None
    finally:
        os.close(descriptor)
    return None


def moved_to(directory: Path) -> str | None:
    """Where the data was moved to, if it was. Raises DataError."""
    try:
        return (directory / MOVED).read_text().strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"cannot read {directory / MOVED}: {error.strerror}") from None


def _take(descriptor: int, directory: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        raise InUse(f"{directory} is in use by process {holder}; stop it first") from None
    except OSError as error:
        raise DataError(f"cannot lock {directory}: {error.strerror}") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)

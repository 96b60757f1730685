"""The data directory of the embedded store: one process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wirechat.store.errors import DataError


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Make the directory if it is missing and hold its lock. Raises DataError when another process has it."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise DataError(f"cannot use {directory}: {error.strerror}") from None
    try:
        _take(descriptor, directory)
        yield
    finally:
        os.close(descriptor)


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


def _take(descriptor: int, directory: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        raise DataError(f"{directory} is in use by process {holder}; stop it first") from None
    except OSError as error:
        raise DataError(f"cannot lock {directory}: {error.strerror}") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)

"""The data directory: its disk, its permissions, its version."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from wirechat.doctor.finding import OK, PROBLEM, WARNING, Finding
from wirechat.settings.checks import place, unwritable
from wirechat.store import sqlite
from wirechat.store.errors import Damaged, DataError, NoData
from wirechat.store.features import meta

LITTLE_BYTES = 2**30
"""A busy server writes this in a day."""

NOTHING_BYTES = 100 * 2**20
"""Checkpoints and a vacuum want room."""

NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "glusterfs", "ceph", "lustre")
"""File systems whose locks and shared memory SQLite cannot rely on, even where they seem to work."""


def disk(directory: Path) -> Iterator[Finding]:
    """Free space, and a file system on which a commit is what we promise."""
    where = place(directory)
    if (reason := unwritable(directory)) is not None:
        yield Finding(
            "disk", PROBLEM, f"cannot be written: {reason}", "choose another data.directory, or correct its owner"
        )
        return
    free = shutil.disk_usage(where).free
    shown = f"{free / 2**30:.1f} GiB free at {where}"
    if free < LITTLE_BYTES:
        yield Finding(
            "disk", PROBLEM if free < NOTHING_BYTES else WARNING, shown, "make room: a full disk stops all sending"
        )
    else:
        yield Finding("disk", OK, shown)
    if free >= NOTHING_BYTES:
        yield _file_system(where)


def _file_system(where: Path) -> Finding:
    kind = _kind(where)
    if not sqlite.has_wal(where):
        return Finding("file system", PROBLEM, f"{kind} has no write-ahead log", "put data.directory on a local disk")
    if kind in NETWORK:
        return Finding(
            "file system", WARNING, f"{kind} is not local", "SQLite needs a local disk to keep what it promises"
        )
    return Finding("file system", OK, kind)


def _kind(where: Path) -> str:
    """Its type as the kernel names it, by the longest mount point above it."""
    resolved, best, kind = where.resolve(), "", "unknown"
    try:
        mounts = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return kind
    for _, point, this, *_ in map(str.split, mounts):
        if resolved.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, this
    return kind


def permissions(directory: Path) -> Iterator[Finding]:
    """Everything anyone ever wrote is in there."""
    try:
        mode = directory.stat().st_mode
    except FileNotFoundError:
        yield Finding("permissions", OK, "not made yet")
    except OSError as error:
        yield Finding("permissions", PROBLEM, f"{directory}: {error.strerror}", "see the finding about the disk")
    else:
        if mode & stat.S_IRWXO:
            text = f"{directory} is open to everyone on this machine"
            yield Finding("permissions", WARNING, text, f"chmod o= {directory}")
        else:
            yield Finding("permissions", OK, "closed to others")


def version(directory: Path) -> tuple[Finding, datetime | None]:
    """Whether this program can use the data, and the time of its newest entry."""
    if not sqlite.exists(directory):
        return Finding("data", OK, "none yet"), None
    try:
        newest = sqlite.look(directory, meta.newest)
    except Damaged as error:
        return Finding("data", PROBLEM, str(error), "stop the server and restore a backup"), None
    except NoData:
        return Finding("data", OK, "none yet"), None
    except DataError as error:
        older = "older" in str(error)
        todo = "" if older else "point data.directory at the data of this server, or install the version that wrote it"
        return Finding("data", WARNING if older else PROBLEM, str(error), todo), None
    shown = datetime.fromtimestamp(newest / 1000, UTC) if newest else None
    return Finding("data", OK, "of this version"), shown

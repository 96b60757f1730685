"""SQLite's file system over a disk that loses power: it counts every call, fails some, and at one the power goes.

Rules: contents and names are the disk's. Locks and the shared memory of the write-ahead log are SQLite's own, on empty
files in a real directory: they are no part of what survives. What the real file system tells SQLite of its sectors
it tells here too, and it syncs the directory where the real one does: at the first sync of a new log or journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any

import apsw

from tools.powercuts.disk import Disk, File, Truncate, Write
from tools.powercuts.plan import Life
from tools.simulate.trace import Trace

NAME = "powercuts"
NOW = 211_846_000_000_000
"""What SQLite takes for the time, in its milliseconds."""

FLAW = {
    "read": apsw.IOError,
    "write": apsw.IOError,
    "extend": apsw.FullError,
    "sync": apsw.IOError,
    "truncate": apsw.IOError,
    "delete": apsw.IOError,
    "open": apsw.CantOpenError,
}
"""What a call may fail with. A disk is full when a file is to grow."""


class PowerCut(apsw.IOError):
    """There is no power any more."""


class Machine:
    """One life of a computer with a disk: what it does with it, and when it ends.

    life        when the power goes, and how often a call fails
    lying       a sync does nothing and says that it is done
    quiet       nothing happens now: neither counted nor cut
    """

    def __init__(
        self, disk: Disk, life: Life, lying: bool, chance: Random, trace: Trace, watch: Callable[[str], None] | None
    ) -> None:
        self.disk = disk
        self.died: Callable[[], None] = lambda: None
        self.dead = False
        self.lying = lying
        self.quiet = False
        self.flaws = 0
        self.phase: list[str] = ["open"]
        self.chance = chance
        self.opened = 0
        self._cut_at = life.opening_calls
        self._flaw_rate = life.flaw_rate
        self._log_synced = True
        self._calls: list[tuple[str, str, int, int]] = []
        self._trace = trace
        self._watch = watch

    def call(self, kind: str, name: str, offset: int = 0, size: int = 0) -> None:
        """Every call of SQLite comes here first. Raises PowerCut, or a flaw of this disk."""
        if self.dead:
            raise PowerCut("no power")
        if self.quiet:
            return
        self._calls.append((kind, name, offset, size))
        if self._watch is not None:
            self._watch(f"           {kind} {name} {offset} {size}")
        if len(self._calls) == self._cut_at:
            self.cut(kind, self._phase(kind, name))
            raise PowerCut(f"the power went at {kind} {name}")
        if self._flaw_rate and kind in FLAW and self.chance.random() < self._flaw_rate and not self._is_committed():
            self.flaws += 1
            self._trace.event("flaw", kind, name)
            self._trace.count(f"flaw in {kind}")
            raise FLAW[kind](f"simulated: {kind} {name}")
        if name.endswith("-wal") and kind in ("write", "extend", "sync"):
            self._log_synced = kind == "sync"

    def _is_committed(self) -> bool:
        """Whether a commit is durable and only the checkpoint that may follow it goes on. SQLite would ignore an error
        there, but this binding raises it as if the commit had failed.
        """
        return self.phase[-1] == "commit" and self._log_synced

    def cut_after(self, calls: int | None) -> None:
        """So many calls from now on the power goes."""
        self._cut_at = None if calls is None else len(self._calls) + calls

    def cut(self, kind: str, phase: str) -> None:
        """From now on nothing reaches the disk."""
        self.dead = True
        self.died()
        self._trace.event("power cut", kind, phase)
        self._trace.count(f"cut at {kind}")
        self._trace.count(f"cut during {phase}")

    def _phase(self, kind: str, name: str) -> str:
        """What the store was doing, or what SQLite was doing for it."""
        if (
            kind in ("write", "extend", "sync", "truncate")
            and name.endswith(".db")
            and f"{name}-journal" not in self.disk.files
        ):
            return "checkpoint"
        return "recovery" if name.endswith("-wal") and self.phase[-1] == "open" else self.phase[-1]

    def end(self) -> Disk:
        """What the next life finds."""
        assert not self.opened, f"{self.opened} files are open after the end"
        self._trace.traffic("calls", repr(self._calls).encode(), lambda: str(len(self._calls)))
        return self.disk.lose_power(self.chance, self._trace.counts)


class Handle:
    """An open file; a mixin of the two kinds of them."""

    machine: Machine
    file: File
    name: str
    fresh: bool
    """Whether its first sync is to sync the directory."""

    def begin(self, machine: Machine, file: File, name: str, fresh: bool) -> None:
        """It is open."""
        self.machine, self.file, self.name, self.fresh = machine, file, name, fresh
        machine.opened += 1

    def xRead(self, amount: int, offset: int) -> bytes:
        """See SQLite."""
        self.machine.call("read", self.name, offset, amount)
        return bytes(self.file.seen[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        """The power may go in the middle of it; an error may come after a part of it."""
        whole = Write(offset, bytes(data))
        alive = not self.machine.dead
        kind = "extend" if offset + len(whole.data) > len(self.file.seen) else "write"
        try:
            self.machine.call(kind, self.name, offset, len(whole.data))
        except apsw.Error:
            if alive:
                part = whole.data[: self.machine.chance.randrange(len(whole.data))]
                self.file.change(whole if self.machine.dead else Write(offset, part))
            raise
        self.file.change(whole)

    def xTruncate(self, size: int) -> None:
        """See SQLite."""
        self.machine.call("truncate", self.name, size)
        self.file.change(Truncate(size))

    def xSync(self, flags: int) -> None:
        """See SQLite."""
        alive = not self.machine.dead
        try:
            self.machine.call("sync", self.name)
        except apsw.Error:
            if alive and not self.machine.dead:
                self.file.fail_to_sync(self.machine.chance)
            raise
        if self.machine.lying:
            return
        self.file.sync()
        if self.fresh:
            self.machine.disk.sync_directory()
            self.fresh = False

    def xFileSize(self) -> int:
        """See SQLite."""
        self.machine.call("size", self.name)
        return len(self.file.seen)

    def excepthook(
        self, etype: type[BaseException] | None, evalue: BaseException | None, etraceback: TracebackType | None
    ) -> bool:
        """SQLite ignores some errors, and so do we."""
        return True


class DatabaseHandle(Handle, apsw.VFSFile):
    """The database itself: its locks and the log's shared memory are those of an empty real file."""

    def __init__(self, real: str | apsw.URIFilename, flags: list[int]) -> None:
        apsw.VFSFile.__init__(self, "unix", real, flags)

    def xClose(self) -> None:
        """See SQLite."""
        self.machine.opened -= 1
        apsw.VFSFile.xClose(self)


class OtherHandle(Handle):
    """A log, a journal, a temporary file: nobody else opens it, or the database's lock is held."""

    def xClose(self) -> None:
        """See SQLite."""
        self.machine.opened -= 1

    def xLock(self, level: int) -> None:
        """See SQLite."""

    def xUnlock(self, level: int) -> None:
        """See SQLite."""

    def xCheckReservedLock(self) -> bool:
        """See SQLite."""
        return False

    def xFileControl(self, operation: int, pointer: int) -> bool:
        """See SQLite."""
        return False

    def xSectorSize(self) -> int:
        """As SQLite's file system for Unix has it."""
        return 4096

    def xDeviceCharacteristics(self) -> int:
        """As SQLite's file system for Unix has it: bytes beside those that are written stay as they are."""
        return apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE


class FileSystem(apsw.VFS):
    """The default file system of SQLite while it is mounted. `entropy`: what SQLite's own randomness begins with."""

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        super().__init__(NAME, base="unix", makedefault=True)
        self.machine: Machine | None = None
        self._entropy = entropy

    def _now(self) -> Machine:
        assert self.machine is not None
        return self.machine

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> Any:
        """See SQLite."""
        machine, wanted = self._now(), flags[0]
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        known = Path(path).name if path else "temporary"
        machine.call("open", known)
        file = machine.disk.files.get(known) if path else File()
        fresh = file is None
        if file is None:
            if not wanted & apsw.SQLITE_OPEN_CREATE:
                raise apsw.CantOpenError(f"there is no {known}")
            file = machine.disk.create(known)
        is_database = bool(wanted & apsw.SQLITE_OPEN_MAIN_DB)
        handle = DatabaseHandle(name or "", flags) if is_database else OtherHandle()
        handle.begin(machine, file, known, fresh and not is_database)
        flags[1] = wanted
        return handle

    def xAccess(self, path: str, flags: int) -> bool:
        """See SQLite."""
        self._now().call("access", Path(path).name)
        return Path(path).name in self._now().disk.files

    def xDelete(self, path: str, sync_directory: bool) -> None:
        """See SQLite."""
        machine, name = self._now(), Path(path).name
        machine.call("delete", name)
        if name not in machine.disk.files:
            raise apsw.IOError(f"there is no {name}")
        machine.disk.delete(name)
        if sync_directory and not machine.lying:
            machine.disk.sync_directory()

    def xRandomness(self, size: int) -> bytes:
        """From the seed."""
        return self._entropy(size)

    def xCurrentTimeInt64(self) -> int:
        """Time stands still."""
        return NOW

    def xSleep(self, microseconds: int) -> int:
        """Waiting for a lock takes no time."""
        return microseconds

    def excepthook(
        self, etype: type[BaseException] | None, evalue: BaseException | None, etraceback: TracebackType | None
    ) -> bool:
        """SQLite ignores some errors, and so do we."""
        return True


@contextmanager
def mounted(entropy: Callable[[int], bytes]) -> Iterator[FileSystem]:
    """Within, every database of this process that names no other file system is on ours."""
    system = FileSystem(entropy)
    apsw.randomness(0)  # so that it begins anew, with our entropy
    try:
        yield system
    finally:
        system.unregister()
        apsw.randomness(0)

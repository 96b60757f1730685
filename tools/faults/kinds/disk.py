"""No room left on the disk."""

from __future__ import annotations

import errno
import os
import subprocess
import tempfile
from pathlib import Path

import trio

from tools.faults.fault import Fault, untold
from tools.faults.notebook import received
from tools.faults.stage import Stage
from tools.history.checker import Violation
from wirechat import wire

ROOM_BYTES = 64 << 20
FILLING_BYTES = 1 << 20


class Disk(Fault):
    """The data is on a small file system of its own, which another file fills to the last byte."""

    name = "disk"
    about = "a full disk, with room again later"

    def lacks(self) -> str | None:
        if os.geteuid():
            return "a small file system can be mounted by root alone"
        with tempfile.TemporaryDirectory() as folder:
            done = _mount(Path(folder))
            if done.returncode:
                return f"no small file system could be mounted: {done.stderr.strip()}"
            _unmount(Path(folder))
        return None

    def arrange(self, folder: Path) -> None:
        self._disk = folder / "data"
        self._disk.mkdir()
        _mount(self._disk)

    def tidy(self) -> None:
        _unmount(self._disk)

    async def strike(self, stage: Stage) -> None:
        filler = self._disk / "filler"
        _fill(filler)
        await trio.sleep(stage.options.seconds)
        filler.unlink()

    async def after(self, stage: Stage) -> list[Violation]:
        """Senders were told what it is, and that nothing was stored."""
        refusals = [error for _, error in received(stage.case.notebooks, wire.Error)]
        stage.told["refused with 5004"] = sum(error.code == wire.errors.STORAGE for error in refusals)
        found = untold(stage, "entries cannot be stored", "entries are stored again")
        if not stage.told["refused with 5004"]:
            found.append(Violation("P12", "not said", "nobody was told that the disk is full"))
        return found


def _mount(folder: Path) -> subprocess.CompletedProcess[str]:
    command = ["mount", "-t", "tmpfs", "-o", f"size={ROOM_BYTES}", "wirechat-faults", str(folder)]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, 127, "", "mount is not installed")


def _unmount(folder: Path) -> None:
    subprocess.run(["umount", str(folder)], check=False)


def _fill(path: Path) -> None:
    size = FILLING_BYTES
    with path.open("wb", buffering=0) as file:
        while size:
            try:
                file.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                size //= 2

"""fsync fails: the disk is broken, and says so."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import trio

from tools.faults.fault import Fault, untold
from tools.faults.notebook import received
from tools.faults.stage import Stage
from tools.history.checker import Violation
from wirechat import wire

ATTACH_SECONDS = 5.0
GRACE_SECONDS = 0.3
"""What was synced just before may still be on its way to a client."""


class Sync(Fault):
    """strace makes fsync and fdatasync of the running server fail with EIO, for a while."""

    name = "fsync"
    about = "fsync and fdatasync fail with EIO"

    def lacks(self) -> str | None:
        if shutil.which("strace") is None:
            return "strace is not installed"
        sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        try:
            tracer = _trace(sleeper.pid, Path("/dev/null"))
            if not _attached(tracer):
                return "strace may not attach to processes here"
            _detach(tracer)
        finally:
            sleeper.kill()
            sleeper.wait()
        return None

    async def strike(self, stage: Stage) -> None:
        calls = stage.folder / "strace"
        tracer = _trace(stage.server.pid, calls)
        if not await trio.to_thread.run_sync(_attached, tracer):
            raise RuntimeError("strace could not attach to the server")
        since = time.monotonic() + GRACE_SECONDS
        await trio.sleep(stage.options.seconds)
        self._window = since, time.monotonic()
        await trio.to_thread.run_sync(_detach, tracer)
        stage.told["syncs that failed"] = calls.read_text().count("INJECTED")

    async def after(self, stage: Stage) -> list[Violation]:
        """Nothing new was acknowledged while nothing could be synced."""
        since, until = self._window
        early = [
            note for note, ok in received(stage.case.notebooks, wire.SendOk) if since < note.at < until and not ok.dup
        ]
        found = untold(stage, "entries cannot be stored", "entries are stored again")
        if early:
            found.append(Violation("P1", "acknowledged without a sync", f"{len(early)} entries, the first {early[0]}"))
        if not stage.told["syncs that failed"]:
            found.append(Violation("P1", "the fault did not bite", "no sync was tried"))
        return found


def _trace(pid: int, output: Path) -> subprocess.Popen[str]:
    what = ["-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:error=EIO"]
    return subprocess.Popen(
        ["strace", "-f", "-o", str(output), *what, "-p", str(pid)], stderr=subprocess.PIPE, text=True
    )


def _attached(tracer: subprocess.Popen[str]) -> bool:
    assert tracer.stderr is not None
    return any("attached" in line for line in iter(tracer.stderr.readline, ""))


def _detach(tracer: subprocess.Popen[str]) -> None:
    tracer.send_signal(signal.SIGINT)
    tracer.communicate(timeout=ATTACH_SECONDS)

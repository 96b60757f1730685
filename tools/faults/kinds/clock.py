"""The server's wall clock is wrong, and jumps."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import trio

from tools.faults.fault import Fault
from tools.faults.stage import Stage

STEPS = ("+5h", "-3h", "+20m", "-2d", "+0")
"""From the real time, one after the other."""
LIBRARY = "libfaketimeMT.so.1"
TRIAL = """
import sys, threading, time
real, mono = time.time(), time.monotonic()
open(sys.argv[1], "w").write("+5h")
threading.Event().wait(0.01)
sys.exit(not (time.time() - real > 17000 and 0.01 <= time.monotonic() - mono < 100))
"""
"""time.sleep fails under libfaketime when the monotonic clock is left alone. Trio and SQLite wait by other calls."""


class Clock(Fault):
    """libfaketime shows the server another wall clock; the monotonic one stays right, as it does in life."""

    name = "clock"
    about = "the server's wall clock jumps, hours forth and days back"

    def lacks(self) -> str | None:
        library = _library()
        if library is None:
            return "libfaketime is not installed"
        clock = Path("/tmp") / f"wirechat-faults-{os.getpid()}.clock"
        clock.write_text("+0")
        environment = {**os.environ, **_environment(library, clock)}
        done = subprocess.run(
            [sys.executable, "-c", TRIAL, str(clock)], env=environment, capture_output=True, check=False
        )
        clock.unlink()
        return "libfaketime does not move the wall clock alone here" if done.returncode else None

    def environment(self, folder: Path) -> Mapping[str, str]:
        library = _library()
        assert library is not None
        self._clock = folder / "clock"
        self._clock.write_text("+0")
        return _environment(library, self._clock)

    async def strike(self, stage: Stage) -> None:
        for step in STEPS:
            self._clock.write_text(step)
            await trio.sleep(stage.options.seconds / len(STEPS))
        stage.told["steps"] = " ".join(STEPS)


def _library() -> Path | None:
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    folders = [Path(each) / more for each in ("/usr/lib", "/usr/local/lib") for more in (multiarch, "")]
    return next((found for each in folders if (found := each / "faketime" / LIBRARY).exists()), None)


def _environment(library: Path, clock: Path) -> dict[str, str]:
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }

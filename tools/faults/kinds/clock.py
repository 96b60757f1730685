"""The server's wall clock is wrong, and jumps."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping
from pathlib import Path

import trio

from tools.faults.fault import Fault
from tools.faults.notebook import received
from tools.faults.stage import Stage
from tools.history.checker import Violation
from wirechat import wire

STEPS = ("+5h", "-3h", "+20m", "-2d", "+0")
"""From the real time, one after the other."""
STEP_SECONDS = 3.0
"""libfaketime looks at its file once a second; more often it would cost the server more than its work."""
LEAD_SECONDS_MIN = 4 * 3600
LIBRARY = "libfaketimeMT.so.1"
TRIAL = """
import sys, threading, time
real, mono = time.time(), time.monotonic()
open(sys.argv[1], "w").write("+5h")
threading.Event().wait(2.5)
sys.exit(not (time.time() - real > 17000 and 2 <= time.monotonic() - mono < 100))
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
            await trio.sleep(STEP_SECONDS)
        stage.told["steps"] = " ".join(STEPS)

    async def after(self, stage: Stage) -> list[Violation]:
        """Entries really have the times of a clock that is wrong."""
        offset = time.time() - time.monotonic()
        leads = [ok.ts / 1000 - note.at - offset for note, ok in received(stage.case.notebooks, wire.SendOk)]
        stage.told["hours ahead at most"] = round(max(leads) / 3600, 1)
        if max(leads) < LEAD_SECONDS_MIN:
            return [Violation("P4", "the fault did not bite", "no entry has the time of a clock that is hours ahead")]
        return []


def _library() -> Path | None:
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    folders = [Path(each) / more for each in ("/usr/lib", "/usr/local/lib") for more in (multiarch, "")]
    return next((found for each in folders if (found := each / "faketime" / LIBRARY).exists()), None)


def _environment(library: Path, clock: Path) -> dict[str, str]:
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }

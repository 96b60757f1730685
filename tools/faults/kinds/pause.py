"""SIGSTOP: a server that hangs. The kernel still takes connections and bytes for it."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from pathlib import Path

import trio

from tools.faults.fault import Fault, unaware
from tools.faults.notebook import What
from tools.faults.stage import Stage
from tools.history.checker import Violation

HEARTBEAT_SECONDS = 2
STOPPED_SECONDS = 3 * HEARTBEAT_SECONDS


class Pause(Fault):
    """Longer than two heartbeats, so that every client must notice by the PING that nobody answers."""

    name = "stop"
    about = "SIGSTOP, longer than the clients are patient, then SIGCONT"

    def environment(self, folder: Path) -> Mapping[str, str]:
        return {"WIRECHAT_LIMITS__HEARTBEAT_MS": str(1000 * HEARTBEAT_SECONDS)}

    async def strike(self, stage: Stage) -> None:
        self._from = time.monotonic()
        stage.server.signal(signal.SIGSTOP)
        await trio.sleep(STOPPED_SECONDS)
        stage.server.signal(signal.SIGCONT)
        self._until = time.monotonic()

    async def after(self, stage: Stage) -> list[Violation]:
        """Everybody has noticed meanwhile."""
        return unaware(stage, What.LOST, self._from, self._until)

"""Half-open connections: one side is gone and the other has not heard of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import trio

from tools.faults.fault import unaware
from tools.faults.kinds.chaos import Proxied
from tools.faults.kinds.pause import HEARTBEAT_SECONDS
from tools.faults.notebook import What
from tools.faults.proxy import Way
from tools.faults.stage import Stage
from tools.history.checker import Violation


class HalfOpen(Proxied):
    """First nothing comes from the server any more, then nothing goes to it; new connections work."""

    name = "half-open"
    about = "connections that swallow what goes in one direction, then those that swallow the other"

    def environment(self, folder: Path) -> Mapping[str, str]:
        return {"WIRECHAT_LIMITS__HEARTBEAT_MS": str(1000 * HEARTBEAT_SECONDS)}

    async def strike(self, stage: Stage) -> None:
        self._times = [time.monotonic()]
        for way in (Way.DOWN, Way.UP):
            for proxy in self.proxies:
                proxy.swallow(way)
            await trio.sleep(3 * HEARTBEAT_SECONDS)
            self._times.append(time.monotonic())
        self.tell_counts(stage)

    async def after(self, stage: Stage) -> list[Violation]:
        """Everybody has noticed, both times."""
        first, second, last = self._times
        return [*unaware(stage, What.LOST, first, second), *unaware(stage, What.LOST, second, last)]

"""Clients that never read."""

from __future__ import annotations

import time

from tools.faults.kinds.lights import Lights
from tools.faults.stage import Stage
from tools.history.checker import Violation

TEXT_BYTES = 8000
MESSAGES = 60
"""Half a megabyte for each: more than the kernel takes."""
BYTES_EACH_MAX = 256 * 1024


class Deaf(Lights):
    """They stay connected and take nothing, while others write to them; then they read again. Slow is not dead (P6)."""

    name = "deaf"
    about = "200 clients that do not read for a while"

    def count(self, stage: Stage) -> int:
        return stage.options.readers

    async def strike(self, stage: Stage) -> None:
        before, self._connections = stage.server.resident_bytes, await self.connections()
        await self.lights.tell(do="deafen")
        began, most = time.monotonic(), before
        for _ in range(MESSAGES):
            for conv in self.convs:
                await stage.talk(conv, "x" * TEXT_BYTES)
            most = max(most, stage.server.resident_bytes)
        self._each = (most - before) / stage.options.readers
        stage.told["seconds without reading"] = round(time.monotonic() - began, 1)
        stage.told["KiB more for each"] = round(self._each / 1024, 1)
        await self.lights.tell(do="listen")

    async def after(self, stage: Stage) -> list[Violation]:
        """They cost little, and nobody was thrown out."""
        found, again = [], await self.connections() - self._connections
        if self._each > BYTES_EACH_MAX:
            found.append(Violation("P6", "memory", f"{self._each / 1024:.0f} KiB for each client that does not read"))
        if again:
            found.append(Violation("P6", "slow is not dead", f"{again} connections of slow readers ended"))
        return found

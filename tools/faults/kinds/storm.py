"""A reconnect storm: all connections are cut at once, and all clients come back at once."""

from __future__ import annotations

import time

from tools.faults.kinds.lights import Lights, lacking
from tools.faults.stage import Options, Stage
from tools.history.checker import Violation


class Storm(Lights):
    """Without any jitter, which real clients have; meanwhile somebody talks to each group."""

    name = "storm"
    about = f"{Options().crowd:,} connections are cut at once, and come back at once"

    def lacks(self) -> str | None:
        return lacking(Options().crowd)

    def count(self, stage: Stage) -> int:
        return stage.options.crowd

    async def strike(self, stage: Stage) -> None:
        self._connections = await self.connections()
        await self.lights.tell(do="cut")
        began = time.monotonic()
        for conv in self.convs:
            await stage.talk(conv, "who is back?")
        stage.told["seconds until somebody had told each group"] = round(time.monotonic() - began, 1)

    async def after(self, stage: Stage) -> list[Violation]:
        """They had really left."""
        again = await self.connections() - self._connections
        stage.told["connections made again"] = again
        if again < stage.options.crowd:
            return [Violation("P5", "the fault did not bite", f"only {again} connections were made again")]
        return []

"""A reconnect storm: all connections are cut at once, and all clients come back at once."""

from __future__ import annotations

from tools.faults.kinds.lights import Lights, lacking
from tools.faults.stage import Options, Stage
from tools.history.checker import Violation


class Storm(Lights):
    """Without any jitter, which real clients have; meanwhile somebody talks to each group."""

    name = "storm"
    about = f"{Options().crowd:,} connections are cut at once, and come back at once"

    _cpu: float | None = None
    """What the server had used before the storm, until everybody is back."""

    def lacks(self) -> str | None:
        return lacking(Options().crowd)

    def count(self, stage: Stage) -> int:
        return stage.options.crowd

    async def strike(self, stage: Stage) -> None:
        self._connections = await self.connections()
        self._cpu = stage.server.cpu_seconds
        await self.lights.tell(do="cut")

    async def reach(self, stage: Stage) -> None:
        """Also something that is said to each group during the storm."""
        for conv in self.convs:
            await stage.talk(conv, "who is back?")
        await super().reach(stage)
        if self._cpu is not None:
            stage.told["CPU seconds of the server"] = round(stage.server.cpu_seconds - self._cpu, 1)
            self._cpu = None

    async def after(self, stage: Stage) -> list[Violation]:
        """They had really left."""
        again = await self.connections() - self._connections
        stage.told["connections made again"] = again
        if again < stage.options.crowd:
            return [Violation("P5", "the fault did not bite", f"only {again} connections were made again")]
        return []

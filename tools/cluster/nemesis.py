"""Kills the parts of a cluster in turn, one after the other, and starts each again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import trio

from tools.cluster.site import Site

PAUSE_SECONDS = 3.0
"""Between the return of one and the end of the next."""

DOWN_SECONDS = 0.5


class Nemesis:
    """kill -9 and start again, a node after each engine, until cancelled."""

    def __init__(self, site: Site) -> None:
        self.counts: Counter[str] = Counter()
        """Kills, by what was killed."""
        self._site = site

    async def run(self) -> None:
        """Raises EngineError or ServerFailed when something does not come back."""
        for number in self._turns():
            await trio.sleep(PAUSE_SECONDS)
            with trio.CancelScope(shield=True):  # what was killed comes back before others look
                await self._strike(number)

    def _turns(self) -> Iterator[int | None]:
        """Numbers of nodes; None: the next engine."""
        while True:
            for number in range(len(self._site.nodes)):
                yield number
                yield None

    async def _strike(self, number: int | None) -> None:
        if number is not None:
            node = self._site.nodes[number]
            self.counts["nodes"] += 1
            await node.kill()
            await trio.sleep(DOWN_SECONDS)
            await node.start()
            return
        names = ("postgres", "nats")
        turn = (self.counts["postgres"] + self.counts["nats"]) % len(names)
        engine = self._site.engines[turn]
        self.counts[names[turn]] += 1
        await trio.to_thread.run_sync(engine.kill)
        await trio.sleep(DOWN_SECONDS)
        await trio.to_thread.run_sync(engine.start)

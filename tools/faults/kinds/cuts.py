"""One node of a cluster does not reach the store, or the bus, and the others do."""

from __future__ import annotations

import trio

from tools.faults.cluster import ClusterFault, ClusterStage, unheard
from tools.faults.proxy import Proxy
from tools.history.checker import Violation
from wirechat.bus.nats import AWAY
from wirechat.server import tending

CUT_SECONDS = 8.0


class CutFromStore(ClusterFault):
    """Who is connected to it waits; the others talk."""

    name = "node-cut-from-store"
    about = f"one of three nodes does not reach PostgreSQL for {CUT_SECONDS:g} s: bytes vanish"

    async def hurt(self, stage: ClusterStage) -> None:
        await _cut(stage.store_way)

    def bitten(self, stage: ClusterStage) -> list[Violation]:
        return [*unheard(stage.site.nodes[-1:], tending.AWAY), *self.went_on(stage)]


class CutFromBus(ClusterFault):
    """Its people hear of the others, and the others of them, by the store alone."""

    name = "node-cut-from-bus"
    about = f"one of three nodes does not reach NATS for {CUT_SECONDS:g} s: bytes vanish"

    async def hurt(self, stage: ClusterStage) -> None:
        await _cut(stage.bus_way)

    def bitten(self, stage: ClusterStage) -> list[Violation]:
        return [*unheard(stage.site.nodes[-1:], AWAY), *self.went_on(stage)]


async def _cut(way: Proxy) -> None:
    way.sever()
    await trio.sleep(CUT_SECONDS)
    way.mend()

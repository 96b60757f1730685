"""A node of a cluster dies, or hangs."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path

import trio

from tools.faults.cluster import ClusterFault, ClusterStage
from tools.faults.fault import unaware
from tools.faults.kinds.pause import HEARTBEAT_SECONDS
from tools.faults.notebook import What, read
from tools.history.checker import Violation

AWAY_SECONDS = 0.5
PAUSED_SECONDS = 8.0


class NodeKill(ClusterFault):
    """Everybody loses his connection once or more, and comes back to another node with what he knows from the last."""

    name = "node-kill"
    about = "kill -9 of each of three nodes in turn, under load"

    async def hurt(self, stage: ClusterStage) -> None:
        for node in stage.site.nodes:
            await node.kill()
            await trio.sleep(AWAY_SECONDS)
            await node.start()

    def bitten(self, stage: ClusterStage) -> list[Violation]:
        return [*unaware(stage, What.LOST, self.began), *self.went_on(stage)]


class NodeRestart(ClusterFault):
    """As in an upgrade: each node answers what it has read, sends its people away, and comes back."""

    name = "node-restart"
    about = "SIGTERM to each of three nodes in turn, started again once it has drained, under load"

    async def hurt(self, stage: ClusterStage) -> None:
        for node in stage.site.nodes:
            await node.terminate()
            await node.start()
            await trio.sleep(AWAY_SECONDS)

    def bitten(self, stage: ClusterStage) -> list[Violation]:
        return [*unaware(stage, What.LOST, self.began), *self.went_on(stage)]


class NodePause(ClusterFault):
    """Longer than the others wait for its word. What it thinks to know when it wakes up is old."""

    name = "node-pause"
    about = f"SIGSTOP of one of three nodes for {PAUSED_SECONDS:g} s"

    def environment(self, folder: Path) -> Mapping[str, str]:
        return {"WIRECHAT_LIMITS__HEARTBEAT_MS": str(1000 * HEARTBEAT_SECONDS)}

    async def hurt(self, stage: ClusterStage) -> None:
        node = stage.site.nodes[0]
        node.signal(signal.SIGSTOP)
        await trio.sleep(PAUSED_SECONDS)
        node.signal(signal.SIGCONT)

    def bitten(self, stage: ClusterStage) -> list[Violation]:
        """Those who were on it have noticed."""
        notes = read(stage.case.notebooks)
        noticed = {note.device for note in notes if note.what is What.LOST and self.began < note.at < self.ended}
        stage.told["clients that noticed"] = f"{len(noticed)} of {len(stage.members)}"
        deaf = [] if noticed else [Violation("P5", "the fault did not bite", "nobody noticed that a node stood still")]
        return [*deaf, *self.went_on(stage)]

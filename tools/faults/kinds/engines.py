"""PostgreSQL or NATS dies, or hangs, under a cluster."""

from __future__ import annotations

import trio

from tools.cluster.engine import Engine
from tools.faults.cluster import ClusterFault, ClusterStage, unheard
from tools.history.checker import Violation
from wirechat.bus.nats import AWAY

AWAY_SECONDS = 3.0
PAUSED_SECONDS = 8.0


class _Postgres(ClusterFault):
    def bitten(self, stage: ClusterStage) -> list[Violation]:
        """Whatever was acknowledged was stored."""
        return self.stood_still(stage)


class PostgresKill(_Postgres):
    """Commits are interrupted: some were made and never answered."""

    name = "postgres-kill"
    about = "kill -9 of all processes of PostgreSQL under three nodes; it comes back after a while"

    async def hurt(self, stage: ClusterStage) -> None:
        await _kill(stage.site.postgres)


class PostgresPause(_Postgres):
    """Everything that waits for it goes on waiting."""

    name = "postgres-pause"
    about = f"SIGSTOP of all processes of PostgreSQL for {PAUSED_SECONDS:g} s"

    async def hurt(self, stage: ClusterStage) -> None:
        await _pause(stage.site.postgres)


class _Nats(ClusterFault):
    def bitten(self, stage: ClusterStage) -> list[Violation]:
        """The nodes went on by the store alone, and said so."""
        return [*unheard(stage.site.nodes, AWAY), *self.went_on(stage)]


class NatsKill(_Nats):
    """Hints are lost, and nobody hears of anybody."""

    name = "nats-kill"
    about = "kill -9 of NATS under three nodes; it comes back after a while"

    async def hurt(self, stage: ClusterStage) -> None:
        await _kill(stage.site.nats)


class NatsPause(_Nats):
    """Its connections stay, and swallow everything."""

    name = "nats-pause"
    about = f"SIGSTOP of NATS for {PAUSED_SECONDS:g} s"

    async def hurt(self, stage: ClusterStage) -> None:
        await _pause(stage.site.nats)


async def _kill(engine: Engine) -> None:
    await trio.to_thread.run_sync(engine.kill)
    await trio.sleep(AWAY_SECONDS)
    await trio.to_thread.run_sync(engine.start)


async def _pause(engine: Engine) -> None:
    engine.pause()
    await trio.sleep(PAUSED_SECONDS)
    engine.resume()

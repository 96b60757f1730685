"""PostgreSQL or NATS dies, or hangs, under a cluster."""

from __future__ import annotations

import contextlib

import trio

from tools.cluster.engine import Engine, EngineError
from tools.cluster.postgres import Postgres
from tools.faults.cluster import ClusterFault, ClusterStage, unheard
from tools.history.checker import Violation
from wirechat.bus.nats import AWAY

AWAY_SECONDS = 3.0
HELD_SECONDS = 0.7
PAUSED_SECONDS = 8.0


class _Postgres(ClusterFault):
    def bitten(self, stage: ClusterStage) -> list[Violation]:
        """Whatever was acknowledged was stored."""
        return self.stood_still(stage)


class PostgresKill(_Postgres):
    """While somebody holds the table of entries, so that batches of all nodes are certainly on their way."""

    name = "postgres-kill"
    about = "kill -9 of all processes of PostgreSQL under three nodes; it comes back after a while"

    async def hurt(self, stage: ClusterStage) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, _hold, stage.site.postgres)
            await trio.sleep(HELD_SECONDS)
            await kill(stage.site.postgres)


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
        await kill(stage.site.nats)


class NatsPause(_Nats):
    """Its connections stay, and swallow everything."""

    name = "nats-pause"
    about = f"SIGSTOP of NATS for {PAUSED_SECONDS:g} s"

    async def hurt(self, stage: ClusterStage) -> None:
        await _pause(stage.site.nats)


def _hold(postgres: Postgres) -> None:
    """Nobody writes an entry until the server ends."""
    with contextlib.suppress(EngineError):
        postgres.sql("BEGIN; LOCK TABLE entry IN EXCLUSIVE MODE; SELECT pg_sleep(60)")


async def kill(engine: Engine) -> None:
    """End it, and start it again after a while."""
    await trio.to_thread.run_sync(engine.kill)
    await trio.sleep(AWAY_SECONDS)
    await trio.to_thread.run_sync(engine.start)


async def _pause(engine: Engine) -> None:
    engine.pause()
    await trio.sleep(PAUSED_SECONDS)
    engine.resume()

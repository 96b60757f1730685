"""A whole cluster on this machine: PostgreSQL, NATS, and nodes over both, each a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import trio

from tools.cluster.engine import Engine
from tools.cluster.nats import Nats
from tools.cluster.postgres import Postgres
from tools.cluster.server import ROOT, Server


class Site:
    """Everything of one cluster, in one folder.

    environment     for the nodes
    tree            the source tree that they run
    """

    def __init__(
        self, folder: Path, count: int, environment: Mapping[str, str] | None = None, tree: Path = ROOT
    ) -> None:
        self.postgres = Postgres(folder)
        self.nats = Nats(folder)
        logs = [folder / f"node{number}.log" for number in range(1, count + 1)]
        self.nodes = [Server(self.place(), log, environment or {}, tree) for log in logs]

    def place(self, store: str | None = None, bus: str | None = None) -> tuple[str, ...]:
        """The flags of a node, which may reach its store and its bus by other addresses."""
        return "--store", store or self.postgres.url, "--bus", bus or self.nats.url

    @property
    def engines(self) -> tuple[Engine, Engine]:
        """What the nodes stand on."""
        return self.postgres, self.nats

    async def start(self) -> None:
        """Start all of it and wait until it listens. Raises EngineError, ServerFailed."""
        for engine in self.engines:
            await trio.to_thread.run_sync(engine.start)
        async with trio.open_nursery() as nursery:
            for node in self.nodes:
                nursery.start_soon(node.start)

    async def stop(self) -> None:
        """Let the nodes end in order, then the rest. Raises ServerFailed when a node does not."""
        async with trio.open_nursery() as nursery:
            for node in self.nodes:
                nursery.start_soon(node.terminate)
        await self.clear()

    async def clear(self) -> None:
        """Nothing of it runs any more, whatever happened."""
        with trio.CancelScope(shield=True):
            for node in self.nodes:
                await node.kill()
            for engine in reversed(self.engines):
                await trio.to_thread.run_sync(engine.stop)

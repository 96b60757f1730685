"""A whole cluster on this machine: PostgreSQL, NATS, and nodes over both, each a process of its own."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

import trio

from tools.cluster import private
from tools.cluster.engine import Engine
from tools.cluster.nats import Nats
from tools.cluster.postgres import Postgres
from tools.cluster.server import ROOT, Server
from wirechat.settings.schema import variable


class Site:
    """Everything of one cluster, in one folder.

    environment     for the nodes
    tree            the source tree that they run
    """

    def __init__(
        self, folder: Path, count: int, environment: Mapping[str, str] | None = None, tree: Path = ROOT
    ) -> None:
        self.postgres = Postgres(folder)
        self.nats = Nats(folder, password=secrets.token_urlsafe())
        self.configuration = folder / "wirechat.toml"
        """For commands about all of it: it has the password of the bus, which belongs into no flag."""
        text = f'[store]\nurl = "{self.postgres.url}"\n\n[bus]\nurl = "{self.nats.url}"\n'
        private.write(self.configuration, text)
        self._environment = environment or {}
        logs = [folder / f"node{number}.log" for number in range(1, count + 1)]
        self.nodes = [Server((), log, self.environment(), tree) for log in logs]

    def environment(self, store: str | None = None, bus: str | None = None) -> Mapping[str, str]:
        """That of a node, which may reach its store and its bus by other addresses."""
        return {
            **self._environment, variable("store.url"): store or self.postgres.url,
            variable("bus.url"): bus or self.nats.url,
        }  # fmt: skip

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

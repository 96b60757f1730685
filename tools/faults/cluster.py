"""The stage of faults that hurt a cluster: three nodes over one PostgreSQL and one NATS, and between people and nodes a
balancer, so that who loses his connection comes back to another node.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs
import trio

from tools.cluster.engine import Engine
from tools.cluster.server import Server
from tools.cluster.site import Site
from tools.faults.fault import Fault
from tools.faults.mirror import Mirror
from tools.faults.notebook import received
from tools.faults.proxy import Balancer, Proxy
from tools.faults.stage import SCHEMES, Options, Stage
from tools.history.checker import Violation
from wirechat import wire

NODES = 3
GRACE_SECONDS = 1.0
"""What was on its way when a fault began, and what is waiting for its end."""


@attrs.define
class ClusterStage(Stage):
    """See `Stage`; `server` is the first node."""

    store_way: Proxy = attrs.field(init=False)
    """Between the last node and PostgreSQL."""
    bus_way: Proxy = attrs.field(init=False)
    """Between the last node and NATS."""
    _site: Site | None = None
    _mirror: Mirror | None = None

    @property
    def site(self) -> Site:
        """All processes."""
        assert self._site is not None
        return self._site

    async def begin(self) -> None:
        """See `Stage`. Raises EngineError, too."""
        site = await trio.to_thread.run_sync(Site, self.folder, NODES, self.environment, self.options.tree)
        self._site, self.server, self.case.store = site, site.nodes[0], site.postgres.url
        self._mirror = Mirror(site.postgres.url, self.case.data)
        self.store_way, self.bus_way = await self._way(site.postgres), await self._way(site.nats)
        site.nodes[-1].environment = site.environment(
            _past(site.postgres.url, site.postgres.port, self.store_way.port),
            _past(site.nats.url, site.nats.port, self.bus_way.port),
        )
        await site.start()

    async def _way(self, engine: Engine) -> Proxy:
        proxy = Proxy(f"127.0.0.1:{engine.port}", self.chance)
        await proxy.start(self.nursery)
        return proxy

    async def routes(self) -> Mapping[str, str]:
        """To all nodes, by scheme."""
        routes = {}
        for scheme in SCHEMES:
            targets = [node.urls[scheme].partition("://")[2] for node in self.site.nodes]
            balancer = Balancer("", self.chance, targets=targets)
            await balancer.start(self.nursery)
            routes[scheme] = f"{scheme}://127.0.0.1:{balancer.port}"
        return routes

    async def look(self) -> None:
        """See `Stage`."""
        assert self._mirror is not None
        await self._mirror.refresh()

    async def end(self) -> None:
        """See `Stage`."""
        for node in self.site.nodes:
            await node.terminate()

    @property
    def resident_bytes(self) -> int:
        """Of all nodes."""
        return sum(node.resident_bytes for node in self.site.nodes)

    def last_words(self) -> str:
        """Of all nodes."""
        return " / ".join(node.last_words() for node in self.site.nodes) if self._site is not None else ""

    async def clear(self) -> None:
        """See `Stage`; the database stays, to be judged."""
        with trio.CancelScope(shield=True):
            for crowd in (*self.crowds, *self.others):
                await crowd.kill()
            if self._site is not None:
                for node in self.site.nodes:
                    await node.kill()
                self.site.postgres.resume()
                if not self.site.postgres.running:
                    await trio.to_thread.run_sync(self.site.postgres.start)
                await self.look()

    async def close(self) -> None:
        """See `Stage`."""
        if self._mirror is not None:
            self._mirror.close()
        if self._site is not None:
            await self.site.clear()

    def acknowledged(self, since: float, until: float) -> int:
        """How many entries were, between two moments of the machine's clock."""
        return sum(since < note.at < until for note, _ in received(self.case.notebooks, wire.SendOk))


class ClusterFault(Fault):
    """Something that happens to a part of a cluster. `began`, `ended`: of `hurt`, on the machine's clock."""

    began = ended = 0.0

    def stage(self, folder: Path, options: Options, nursery: trio.Nursery, tell: Callable[[str], None]) -> ClusterStage:
        """See `Fault`."""
        return ClusterStage(folder, options, nursery, tell, self.environment(folder))

    async def routes(self, stage: Stage) -> Mapping[str, str]:
        """See `Fault`."""
        return await _cluster(stage).routes()

    async def strike(self, stage: Stage) -> None:
        """See `Fault`."""
        self.began = time.monotonic()
        await self.hurt(_cluster(stage))
        self.ended = time.monotonic()

    async def after(self, stage: Stage) -> list[Violation]:
        """See `Fault`."""
        return self.bitten(_cluster(stage))

    async def hurt(self, stage: ClusterStage) -> None:
        """Do it, and take it back."""
        raise NotImplementedError

    def bitten(self, stage: ClusterStage) -> list[Violation]:
        """Whether it has had the effect that it must have."""
        raise NotImplementedError

    def went_on(self, stage: ClusterStage) -> list[Violation]:
        """The others served people meanwhile."""
        count = stage.told["acknowledged meanwhile"] = stage.acknowledged(self.began + GRACE_SECONDS, self.ended)
        return [] if count else [Violation("P5", "stood still", "nobody was served while a part was away")]

    def stood_still(self, stage: ClusterStage) -> list[Violation]:
        """Nothing was acknowledged without the database."""
        count = stage.acknowledged(self.began + GRACE_SECONDS, self.ended - GRACE_SECONDS)
        return [Violation("P1", "acknowledged without a database", f"{count} entries")] if count else []


def unheard(nodes: Sequence[Server], event: str) -> list[Violation]:
    """Nodes whose operator should find a line in the log, and does not."""
    return [
        Violation("P12", "not said", f"the log of {node.log.stem} has no line {event!r}")
        for node in nodes
        if not node.told(event)
    ]


def _cluster(stage: Stage) -> ClusterStage:
    assert isinstance(stage, ClusterStage)
    return stage


def _past(url: str, port: int, other: int) -> str:
    """The same address at another port."""
    return url.replace(f":{port}", f":{other}", 1)

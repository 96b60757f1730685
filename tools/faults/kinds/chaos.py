"""A bad network: everything late, and much of it cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import trio

from tools.faults.fault import Fault
from tools.faults.proxy import CALM, Proxy, Weather
from tools.faults.stage import Stage

KILLS = 3


class Proxied(Fault):
    """Clients that come through proxies."""

    def __init__(self) -> None:
        self.proxies: list[Proxy] = []

    async def routes(self, stage: Stage) -> Mapping[str, str]:
        routes = {}
        for scheme, url in stage.server.urls.items():
            proxy = Proxy(url.partition("://")[2], stage.chance)
            await proxy.start(stage.nursery)
            self.proxies.append(proxy)
            routes[scheme] = f"{scheme}://127.0.0.1:{proxy.port}"
        return routes

    def tell_counts(self, stage: Stage) -> None:
        """What the proxies have done."""
        stage.told.update(sum((proxy.counts for proxy in self.proxies), Counter()))


class Chaos(Proxied):
    """Every chunk is late; some connections end anywhere, also inside of a frame; some bytes come one at a time.

    Meanwhile the server is killed now and then: what it remembered of the entries whose answers were lost must be on
    its disk.
    """

    name = "chaos"
    about = "a proxy that delays, cuts anywhere, and trickles; kill -9 meanwhile"

    weather = Weather(delay_seconds=0.02, cut=0.03, truncate=0.02, trickle=0.15)

    async def strike(self, stage: Stage) -> None:
        for proxy in self.proxies:
            proxy.weather = self.weather
        for _ in range(KILLS):
            await trio.sleep(2 * stage.options.seconds / KILLS)
            await stage.server.kill()
            await stage.server.start()
        for proxy in self.proxies:
            proxy.weather = CALM
        self.tell_counts(stage)

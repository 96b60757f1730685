"""What the servers of a cluster share: the database, and the bus between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import trio

from wirechat.bus.errors import BusError
from wirechat.doctor.finding import OK, PROBLEM, WARNING, Finding
from wirechat.server.health import NO_BUS_ADVICE
from wirechat.server.standing import Standing, ask
from wirechat.settings import schema
from wirechat.settings.urls import BusUrl, StoreUrl
from wirechat.store.errors import DataError, NoData
from wirechat.store.features import activity, meta
from wirechat.world import REAL


def database(url: StoreUrl) -> tuple[Finding, datetime | None]:
    """Whether this program can use the data, and the time of its newest entry."""
    from wirechat.store import postgres  # asyncpg takes a fifth of a second

    try:
        newest = trio.run(postgres.look, url.text, meta.newest)
    except NoData:
        return Finding("database", OK, f"{url}, empty yet"), None
    except DataError as error:
        older = "older" in str(error)
        todo = "" if older else "correct store.url, or look at the log of PostgreSQL"
        return Finding("database", WARNING if older else PROBLEM, str(error), todo), None
    return Finding("database", OK, str(url)), datetime.fromtimestamp(newest / 1000, UTC) if newest else None


def bus(settings: schema.Bus, store: StoreUrl | None) -> Iterator[Finding]:
    """Whether it can be reached, and lets us in. None is for one server alone."""
    if settings.url is None:
        if store is not None and (count := _servers(store)) > 1:
            yield Finding("bus", WARNING, f"none, and {count} servers use the database", NO_BUS_ADVICE)
        return
    try:
        trouble, nodes = trio.run(_asked, settings.url, settings)
    except ModuleNotFoundError as error:
        yield Finding("bus", PROBLEM, f"the package {error.name} is missing", "pip install 'wirechat[cluster]'")
    except BusError as error:
        yield Finding("bus", PROBLEM, str(error), "a server does not start like this")
    else:
        todo = "until then nodes hear of each other by the store, within a second"
        yield Finding("bus", WARNING, trouble, todo) if trouble else Finding("bus", OK, str(settings.url))
        yield from _of_nodes(nodes)


def _servers(url: StoreUrl) -> int:
    from wirechat.store import postgres  # asyncpg takes a fifth of a second

    with suppress(DataError):  # said by the database already
        return trio.run(postgres.look, url.text, activity.servers)
    return 0


def _of_nodes(nodes: Iterable[Standing]) -> Iterator[Finding]:
    """What those that run say of themselves, as in /readyz; what is to be done stands at the end."""
    for node in nodes:
        for trouble in node.troubles:
            text, _, todo = trouble.rpartition("; ")
            yield Finding("nodes", WARNING, f"{node.node:014x}: {text}", todo)


async def _asked(url: BusUrl, settings: schema.Bus) -> tuple[str | None, Sequence[Standing]]:
    """(why it cannot be used now, the nodes that answer)."""
    from wirechat.bus.nats import open_nats  # asyncio and nats-py are for those who have a bus

    async with open_nats(url.text, **settings.options()) as opened:
        return opened.trouble, () if opened.trouble else await ask(opened, REAL.now_ms)

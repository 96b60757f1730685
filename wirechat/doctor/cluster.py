"""What the servers of a cluster share: the database, and the bus between them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import trio

from wirechat.bus.errors import BusError
from wirechat.doctor.finding import OK, PROBLEM, WARNING, Finding
from wirechat.settings import schema
from wirechat.settings.urls import BusUrl, StoreUrl
from wirechat.store.errors import DataError
from wirechat.store.features import meta


def database(url: StoreUrl) -> tuple[Finding, datetime | None]:
    """Whether this program can use the data, and the time of its newest entry."""
    from wirechat.store import postgres  # asyncpg takes a fifth of a second

    try:
        newest = trio.run(postgres.look, url.text, meta.newest)
    except DataError as error:
        older = "older" in str(error)
        todo = "" if older else "correct store.url, or look at the log of PostgreSQL"
        return Finding("database", WARNING if older else PROBLEM, str(error), todo), None
    return Finding("database", OK, str(url)), datetime.fromtimestamp(newest / 1000, UTC) if newest else None


def bus(settings: schema.Bus) -> Iterator[Finding]:
    """Whether it can be reached, and lets us in."""
    if settings.url is None:
        return
    try:
        trouble = trio.run(_trouble, settings.url, settings)
    except ModuleNotFoundError as error:
        yield Finding("bus", PROBLEM, f"the package {error.name} is missing", "pip install 'wirechat[cluster]'")
    except BusError as error:
        yield Finding("bus", PROBLEM, str(error), "a server does not start like this")
    else:
        todo = "until then nodes hear of each other by the store, within a second"
        yield Finding("bus", WARNING, trouble, todo) if trouble else Finding("bus", OK, str(settings.url))


async def _trouble(url: BusUrl, settings: schema.Bus) -> str | None:
    from wirechat.bus.nats import open_nats  # asyncio and nats-py are for those who have a bus

    async with open_nats(url.text, **settings.options()) as opened:
        return opened.trouble

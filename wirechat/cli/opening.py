"""What a server stands on, as the settings say: its store and its bus. Engines are imported by those who use them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from wirechat.cli.running import die
from wirechat.settings import schema
from wirechat.settings.schema import Settings
from wirechat.store.database import Store, open_sqlite

if TYPE_CHECKING:
    from wirechat.bus.nats import NatsBus

log = structlog.get_logger("wirechat")

INSTALL = "pip install 'wirechat[cluster]'"


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[Store]:
    """The one the settings name. Raises DataError."""
    if settings.store.url is not None:
        from wirechat.store.postgres import open_postgres  # asyncpg takes a fifth of a second

        async with open_postgres(settings.store.url.text) as store:
            yield store
        return
    assert settings.data.directory is not None
    async with open_sqlite(settings.data.directory, tell=log.warning) as store:
        yield store


@asynccontextmanager
async def open_bus(settings: schema.Bus) -> AsyncIterator[NatsBus | None]:
    """The one the settings name; None when there is none. Raises BusError."""
    if settings.url is None:
        yield None
        return
    try:
        from wirechat.bus.nats import AWAY, open_nats
    except ModuleNotFoundError as error:
        die(f"the bus needs the package {error.name}: {INSTALL}")
    async with open_nats(settings.url.text, **settings.options()) as bus:
        if bus.trouble is not None:
            log.warning(AWAY, reason=bus.trouble)
        yield bus

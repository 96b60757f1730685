"""The data that a command works on: a directory, or the database of a cluster. --data, --store and --config are the
same for all of them.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import attrs
import click
import trio

from wirechat.cli.options import configured_by, load
from wirechat.cli.running import Stop, complain, die
from wirechat.settings.reading import Sources
from wirechat.settings.schema import TWO_PLACES
from wirechat.settings.urls import StoreUrl
from wirechat.store import sqlite
from wirechat.store.database import Store, open_sqlite
from wirechat.store.errors import InUse
from wirechat.store.tx import Feature

T = TypeVar("T")

DIRECTORY = click.Path(file_okay=False, path_type=Path)
PLACES = DATA, STORE = "data.directory", "store.url"


@attrs.frozen
class Stored:
    """One of both."""

    data: Path | None
    url: StoreUrl | None

    def must_be(self) -> None:
        """What is not there is made by some commands only. A database is there, or opening it fails. Raises NoData."""
        if self.data is not None:
            sqlite.refuse_missing(self.data)

    @asynccontextmanager
    async def opened(self, otherwise: str) -> AsyncIterator[Store]:
        """For writing: a directory is not used by a server meanwhile, a database may be. `otherwise`: what can be done
        beside a running server. Raises DataError.
        """
        if self.url is not None:
            from wirechat.store.postgres import COMMAND, open_postgres  # asyncpg takes a fifth of a second

            async with open_postgres(self.url.text, COMMAND) as store:
                yield store
            return
        assert self.data is not None
        try:
            async with open_sqlite(self.data) as store:
                yield store
        except InUse as error:
            die(f"{error}, {otherwise}")

    async def look(self, feature: Feature[[], T]) -> T:
        """Read; a server may be running. Raises DataError."""
        if self.url is not None:
            from wirechat.store import postgres  # asyncpg takes a fifth of a second

            return await postgres.look(self.url.text, feature)
        assert self.data is not None
        return await trio.to_thread.run_sync(sqlite.look, self.data, feature)


def stored(about: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command --config, --data and --store; it is called with `Sources`, for `needed`. `about`: what is to be
    known of a server on the directory.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def wrapped(sources: Sources, data: Path | None, store: str | None, **others: Any) -> Any:
            said = {path: str(value) for path, value in zip(PLACES, (data, store), strict=True) if value is not None}
            return command(attrs.evolve(sources, flags=said), **others)

        text = "Or the PostgreSQL database of a cluster, which may be running."
        wrapped = click.option("--store", metavar="URL", help=text)(wrapped)
        wrapped = click.option("--data", type=DIRECTORY, help=f"Data directory of {about}.")(wrapped)
        return configured_by()(wrapped)

    return decorate


def needed(sources: Sources, choice: str = "give either --data, or --store for a cluster, or --config") -> Stored:
    """What a flag names, or else the settings of a server do; one line and exit status 2 when there is not exactly one.
    Raises UsageError.
    """
    settings = load(sources).settings
    named = {path: value for path in sources.flags or PLACES if (value := settings.value(path)) is not None}
    if not named:
        raise click.UsageError(choice)
    if len(named) > 1:
        complain(Stop(TWO_PLACES))
    return Stored(named.get(DATA), named.get(STORE))

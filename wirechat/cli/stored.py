"""The data that a command works on: a directory, or the database of a cluster. --data and --store are the same for all
of them.
"""

from __future__ import annotations

import functools
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import attrs
import click
import trio

from wirechat.cli.running import Stop, complain, die
from wirechat.settings.schema import variable
from wirechat.settings.urls import StoreUrl
from wirechat.store import sqlite
from wirechat.store.database import Store, open_sqlite
from wirechat.store.errors import InUse
from wirechat.store.tx import Feature

T = TypeVar("T")

DIRECTORY = click.Path(file_okay=False, path_type=Path)
STORE = variable("store.url")


@attrs.frozen
class Stored:
    """One of both."""

    data: Path | None
    url: StoreUrl | None

    def must_be(self) -> None:
        """What is not there is made by some commands only. A database is there, or opening it fails."""
        if self.data is not None and not sqlite.exists(self.data):
            die(f"cannot find a server's data in {self.data}; give the directory of `wirechat serve --data`")

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
        self.must_be()
        return await trio.to_thread.run_sync(sqlite.look, self.data, feature)


def stored(about: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command --data and --store; it is called with `Stored`, or None when neither is given. `about`: what is to
    be known of a server on the directory.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def wrapped(data: Path | None, store: str | None, **others: Any) -> Any:
            return command(_said(data, store), **others)

        text = f"Or the PostgreSQL database of a cluster, which may be running. {STORE} goes for it, too."
        wrapped = click.option("--store", metavar="URL", help=text)(wrapped)
        return click.option("--data", type=DIRECTORY, help=f"Data directory of {about}.")(wrapped)

    return decorate


def needed(place: Stored | None, choice: str = "give either --data, or --store for a cluster") -> Stored:
    """For commands that cannot do without: then the variable counts, too. Raises UsageError."""
    if place is None and (url := os.environ.get(STORE)):
        place = Stored(None, _parsed(STORE, url))
    if place is None:
        raise click.UsageError(choice)
    return place


def _said(data: Path | None, url: str | None) -> Stored | None:
    if data is not None and url is not None:
        raise click.UsageError("give either --data or --store")
    if data is None and url is None:
        return None
    return Stored(data, None if url is None else _parsed("--store", url))


def _parsed(where: str, url: str) -> StoreUrl:
    try:
        return StoreUrl.parse(url)
    except ValueError as error:
        complain(Stop(f"{where}: {error}"))

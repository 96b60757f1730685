"""Stores to test: each test of the contract runs on every engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.store.talk import PATIENCE, Talk
from wirechat.store.database import Store, open_sqlite
from wirechat.store.postgres import open_postgres

Opening = Callable[[], AbstractAsyncContextManager[Store]]
"""Opens the store of this test, again and again."""


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Opening:
    if request.param == "sqlite":
        return partial(open_sqlite, tmp_path / "data")
    return partial(open_postgres, request.getfixturevalue("cluster").place())


@pytest.fixture
async def store(opening: Opening, bounded: None) -> AsyncIterator[Store]:
    async with opening() as opened:
        yield opened


@pytest.fixture
async def talk(store: Store) -> Talk:
    """An open store with the accounts 1 to 9."""
    return await Talk(store).people(9)


@pytest.fixture
async def bounded(nursery: trio.Nursery) -> None:
    """The test ends in time."""

    async def watch() -> None:
        await trio.sleep(PATIENCE * 3)
        raise AssertionError("this test takes too long")

    nursery.start_soon(watch)

"""Which restores of PostgreSQL are noticed, and what helps where they are not, as docs/operations/recovery.md says."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.cluster import Cluster, running
from tests.store.talk import Talk
from wirechat.store import postgres
from wirechat.store.features import sync
from wirechat.store.postgres import open_postgres

pytestmark = [pytest.mark.usefixtures("bounded"), pytest.mark.postgres]


@pytest.fixture
def home() -> Iterator[Path]:
    """Where the user of PostgreSQL may enter."""
    folder = Path(tempfile.mkdtemp(prefix="wirechat-pg-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def small() -> Iterator[Cluster]:
    """Of its own: that of the session has the files of all tests before, and a copy of it takes minutes."""
    with running() as cluster:
        yield cluster


async def test_a_restore_is_noticed_by_the_timeline(home: Path, small: Cluster) -> None:
    """A base backup that is only started is the old server to all appearances, and gives the same stamps again; renewed
    or recovered to a moment it has another epoch. Stamps go on above those of before.
    """
    place = small.place()
    async with open_postgres(place) as store:
        epoch = store.epoch
        conv = await (await Talk(store).people(2)).group(1, 2)
        before = await store.read(sync.horizon)
    restored = small.copy(home)
    there = f"{restored.url}?{place.partition('?')[2]}"
    try:
        restored.start()
        async with open_postgres(there) as store:
            assert store.epoch == epoch
            assert await Talk(store).head(1, conv) == 1
        renewed = await postgres.renew_epoch(there)
        async with open_postgres(there) as store:
            assert store.epoch == renewed != epoch
        restored.stop()
        _recover(home / "data")
        restored.start()
        restored.sql(_RECOVERED)
        async with open_postgres(there) as store:
            assert store.epoch not in (epoch, renewed)
            assert await store.read(sync.horizon) >= before
    finally:
        restored.kill()


_RECOVERED = "DO $$ BEGIN WHILE pg_is_in_recovery() LOOP PERFORM pg_sleep(0.02); END LOOP; END $$"
"""Ends when it is recovered."""


def _recover(data: Path) -> None:
    """Next time it starts it recovers to the end of what there is."""
    with open(data / "postgresql.auto.conf", "a") as settings:
        settings.write("restore_command = 'false'\n")
    (data / "recovery.signal").touch()

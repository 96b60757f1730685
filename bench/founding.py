"""A store with people, conversations and messages in it, filled directly: what takes minutes through a server takes
seconds here. Chance is seeded, so that every repeat and every side has the same.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.benchmark import BenchError
from bench.client import Account
from wirechat import wire
from wirechat.store.database import Store, open_sqlite
from wirechat.store.features import accounts, devices
from wirechat.store.records import DIRECT, GROUP, Append, Appended, Commit, Kind
from wirechat.store.tx import Tx

CONTENT = wire.Content(1, "t" * 64).pack()
BATCH = 5_000
IDS = range(2**16, 2**32)
"""As a server draws them."""


class Founding:
    """Fills an open store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._chance = Random(1)
        self._known: dict[int, int] = {}
        """As the hub of a server knows the members of what is busy."""

    def new_id(self) -> int:
        """For a user, a device or a conversation."""
        return self._chance.choice(IDS)

    async def people(self, count: int) -> list[Account]:
        """New accounts with a device key each."""
        made = [Account(self.new_id(), self.new_id(), Ed25519PrivateKey.generate()) for _ in range(count)]

        async def make(tx: Tx) -> None:
            for each in made:
                await accounts.create(tx, each.user, f"u{each.user:x}", None, None, 0)
                await devices.create(tx, each.device, each.user, each.key.public_key().public_bytes_raw(), "", 0)

        await self._store.write(make)
        return made

    async def conversations(self, members: Iterable[Sequence[int]], kind: int = GROUP) -> list[int]:
        """A conversation for each of these, the first of them is its creator; returns their ids."""
        creates = [
            Append(self.new_id(), owner, self._chance.randbytes(8), Kind.CREATE, None, None, tuple(others),
                   self._chance.randbytes(16), kind)
            for owner, *others in members
        ]  # fmt: skip
        for at in range(0, len(creates), BATCH):
            await self.append(creates[at : at + BATCH])
        self._known |= {each.conv: 1 for each in creates}
        return [each.conv for each in creates]

    async def directs(self, pairs: Iterable[Sequence[int]]) -> list[int]:
        """The same for two people each."""
        return await self.conversations(pairs, DIRECT)

    def message(self, conv: int, sender: int) -> Append:
        """64 bytes of text."""
        return Append(conv, sender, self._chance.randbytes(8), Kind.MSG, CONTENT, None, (), self._chance.randbytes(16))

    async def append(self, batch: Sequence[Append]) -> None:
        """One batch, durably. Raises BenchError when an entry is refused."""
        ended = trio.Event()
        commits: list[Commit] = []

        def done(commit: Commit) -> None:
            commits.append(commit)
            ended.set()

        self._store.start_append(batch, int(time.time() * 1000), self._known, done)
        await ended.wait()
        refused = [result for result in commits[0].results if not isinstance(result, Appended)]
        if refused:
            raise BenchError(f"an entry was refused: {refused[0]}")

    async def say(self, turns: Iterable[tuple[int, int]]) -> None:
        """A message for each (conversation, sender)."""
        batch: list[Append] = []
        for conv, sender in turns:
            batch.append(self.message(conv, sender))
            if len(batch) == BATCH:
                await self.append(batch)
                batch = []
        if batch:
            await self.append(batch)


class Writers:
    """Random members of groups of ten, who write."""

    def __init__(self, founding: Founding, groups: dict[int, tuple[int, ...]]) -> None:
        self._founding = founding
        self._groups = groups
        self._convs = list(groups)
        self._chance = Random(2)

    @classmethod
    async def found(cls, founding: Founding, people: int, groups: int) -> Writers:
        """Make the people and their groups."""
        users = [each.user for each in await founding.people(people)]
        chance = Random(3)
        members = [tuple(chance.sample(users, 10)) for _ in range(groups)]
        return cls(founding, dict(zip(await founding.conversations(members), members, strict=True)))

    def batches(self, size: int, entries: int) -> list[list[Append]]:
        """So many entries, in batches."""
        return [[self._entry() for _ in range(size)] for _ in range(max(1, entries // size))]

    def _entry(self) -> Append:
        conv = self._chance.choice(self._convs)
        return self._founding.message(conv, self._chance.choice(self._groups[conv]))


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[Store]:
    """The embedded store."""
    async with open_sqlite(folder) as store:
        yield store


@asynccontextmanager
async def postgres(folder: Path) -> AsyncIterator[tuple[Store, int]]:
    """A PostgreSQL of our own, from the wheel, and the process that all its others descend from."""
    from tools.cluster import postgres as engine
    from wirechat.store.postgres import open_postgres

    place = folder / "postgres"
    place.mkdir()
    with engine.running(place) as server:
        async with open_postgres(server.url) as store:
            yield store, server.pid

"""The first day of a simulated server: accounts, devices, and conversations, so that there is something to do from the
start. Made once in a process and copied for each seed."""

from __future__ import annotations

import functools
from random import Random

import attrs
import outcome
import trio

from tools.simulate.device import Account
from tools.simulate.memory import MemoryDisk
from wirechat.client.login import public_key
from wirechat.server.features.accounts import create_account
from wirechat.server.identifiers import draw
from wirechat.store.database import Store, open_sqlite
from wirechat.store.features import devices
from wirechat.store.lanes import finished
from wirechat.store.records import Append, Appended, Commit
from wirechat.wire.registries import ConversationKind, EntryKind
from wirechat.world import REAL, World

FOUNDED_MS = 1_799_000_000_000


@attrs.frozen
class Founded:
    """A store, and who may log in to it."""

    disk: MemoryDisk
    accounts: tuple[Account, ...]


@functools.cache
def found(devices_of: tuple[int, ...]) -> Founded:
    """A store with one user for each item and that many devices. The same in every process."""
    disk = MemoryDisk()
    accounts = trio.run(_found, disk, devices_of)
    disk.holder.execute("UPDATE meta SET value = ? WHERE name = 'epoch'", (bytes(4),))
    disk.holder.execute("UPDATE meta SET value = ? WHERE name = 'digest_key'", (bytes(32),))
    return Founded(disk, tuple(accounts))


async def _found(disk: MemoryDisk, devices_of: tuple[int, ...]) -> list[Account]:
    chance = Random(f"founding {devices_of}")
    world = World(lambda: FOUNDED_MS, chance.randbytes, chance.uniform, REAL.run_blocking)
    accounts: list[Account] = []
    async with open_sqlite("", connect=disk.connect, locked=False) as store:
        for number, devices in enumerate(devices_of, 1):
            accounts += await _household(store, world, f"u{number}", devices)
        await _gather(store, [account.user for account in accounts])
    return accounts


async def _gather(store: Store, users: list[int]) -> None:
    """A group of all but the last, who is a stranger to them and has notes of his own."""
    *members, stranger = dict.fromkeys(users)
    convs = [
        _conversation(1, members[0], ConversationKind.GROUP, members[1:]),
        _conversation(2, stranger, ConversationKind.SELF, []),
    ]
    made: Commit = await finished(
        lambda done: store.start_append(convs, FOUNDED_MS, {}, lambda commit: done(outcome.Value(commit)))
    )
    assert all(isinstance(result, Appended) for result in made.results)


def _conversation(conv: int, creator: int, kind: ConversationKind, others: list[int]) -> Append:
    return Append(
        conv, creator, bytes(8), EntryKind.CREATE, None, None, tuple(sorted(others)), bytes(16), conv_kind=kind
    )


async def _household(store: Store, world: World, handle: str, size: int) -> list[Account]:
    user, _ = await create_account(store, world, handle, None, None)
    accounts = []
    for number in range(1, size + 1):
        key = world.random_bytes(32)
        device = draw(world)
        refused = await store.write(devices.create, device, user, public_key(key), "", world.now_ms())
        assert refused is None
        accounts.append(Account(f"{handle}.d{number}", handle, user, device, key))
    return accounts

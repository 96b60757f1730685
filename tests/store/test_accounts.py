"""Accounts, devices, and resume tokens that live until a successor was used ([8-14], [8-15])."""

from __future__ import annotations

import os
from typing import Any

import pytest

from wirechat.store.database import Store
from wirechat.store.features import accounts, devices, sync
from wirechat.store.records import Device, Login, Refusal

NOW, LATER = 1_000, 2_000


async def test_accounts(store: Store) -> None:
    """Made once, found by handle and by id, with names of any characters."""
    name = "Ann\0\N{GRINNING FACE}é"
    assert await store.write(accounts.create, 1, "ann", name, "phc", 5) is None
    assert await store.write(accounts.create, 2, "bob", None, None, 5) is None
    assert await store.write(accounts.create, 3, "ann", None, None, 5) is Refusal.CONFLICT
    assert await store.write(accounts.create, 1, "eve", None, None, 5) is Refusal.CONFLICT
    assert await store.read(accounts.find, "ann") == (1, "ann", name, None, 0)
    assert await store.read(accounts.find, "Ann") is None
    assert await store.read(accounts.find, "a\0") is None
    assert sorted(await store.read(accounts.get, [2, 1, 7])) == [(1, "ann", name, None, 0), (2, "bob", None, None, 0)]
    assert await store.read(accounts.login, "ann") == (1, "phc")
    assert await store.read(accounts.login, "bob") == (2, None)
    assert await store.read(accounts.login, "nobody") is None


async def test_passwords_are_replaced(store: Store) -> None:
    """And only those of accounts that exist."""
    await store.write(accounts.create, 1, "ann", None, "old", 5)
    assert await store.write(accounts.set_password, "ann", "new") is True
    assert await store.write(accounts.set_password, "bob", "new") is False
    assert await store.read(accounts.login, "ann") == (1, "new")


async def test_devices(store: Store) -> None:
    """Made once, with or without a key."""
    assert await store.write(devices.create, 7, 1, None, "phone\0", 5) is None
    assert await store.write(devices.create, 7, 2, None, "other", 5) is Refusal.CONFLICT
    assert await store.read(devices.get, 7) == Device(7, 1, None, "phone\0", False)
    await store.write(devices.set_key, 7, b"k" * 32)
    device = await store.read(devices.get, 7)
    assert device is not None
    assert device.key == b"k" * 32
    assert await store.read(devices.get, 8) is None


class Tokens:
    """A device that logs in."""

    def __init__(self, store: Store, device: int = 7) -> None:
        self.store = store
        self.device = device

    async def login(self, until: int = LATER) -> bytes:
        """By another method: a new token is issued."""
        token = os.urandom(32)
        await self.store.write(devices.issue_resume, self.device, token, until)
        return token

    async def resume(self, token: bytes, now: int = NOW, until: int = LATER) -> bytes | None:
        """With a token; its successor, if it was valid."""
        successor = os.urandom(32)
        found = await self.store.write(devices.use_resume, token, successor, now, until)
        if found is None:
            return None
        assert (found.user, found.device) == (1, self.device)
        return successor


@pytest.fixture
async def tokens(store: Store) -> Tokens:
    await store.write(accounts.create, 1, "ann", None, None, 5)
    await store.write(devices.create, 7, 1, None, "phone", 5)
    return Tokens(store)


async def test_a_token_works_until_its_successor_was_used(tokens: Tokens) -> None:
    """A client that lost the answer still has the token before."""
    first = await tokens.login()
    second = await tokens.resume(first)
    third = await tokens.resume(first)
    assert second is not None
    assert third is not None
    assert await tokens.resume(second) is not None
    assert await tokens.resume(first) is None
    fourth = await tokens.resume(third)
    assert fourth is not None
    assert await tokens.resume(second) is None
    assert await tokens.resume(fourth) is not None


async def test_logging_in_otherwise_does_not_end_it(tokens: Tokens) -> None:
    """Only the use of a later token does."""
    first = await tokens.login()
    second = await tokens.login()
    third = await tokens.login()
    assert await tokens.resume(first) is not None
    assert await tokens.resume(third) is not None
    assert await tokens.resume(first) is None
    assert await tokens.resume(second) is None


async def test_a_token_ends_with_its_own_time(tokens: Tokens) -> None:
    """[8-15]: counted from its issue, whatever was issued later."""
    first = await tokens.login(until=NOW)
    second = await tokens.login(until=LATER)
    assert await tokens.resume(first, now=NOW) is None
    assert await tokens.resume(second, now=LATER) is None
    assert await tokens.resume(second, now=LATER - 1) is not None


async def test_a_revoked_device_resumes_no_more(tokens: Tokens) -> None:
    """Whatever tokens it has."""
    token = await tokens.login()

    async def revoke(tx: Any) -> None:
        await tx.execute("UPDATE device SET revoked = TRUE WHERE device = $1", 7)

    await tokens.store.write(revoke)
    assert await tokens.resume(token) is None


async def test_unused_tokens_are_bounded(tokens: Tokens) -> None:
    """A device that logs in for ever without resuming fills no disk."""
    issued = [await tokens.login() for _ in range(devices.TOKENS_MAX + 3)]
    for token in issued[:3]:
        assert await tokens.resume(token) is None
    assert await tokens.resume(issued[3]) is not None


async def test_tokens_of_devices_are_apart(tokens: Tokens) -> None:
    """Using one ends none of another device."""
    await tokens.store.write(devices.create, 8, 1, None, "tablet", 5)
    other = Tokens(tokens.store, 8)
    mine, theirs = await tokens.login(), await other.login()
    assert await tokens.resume(mine) is not None
    assert await other.resume(theirs) is not None
    assert await tokens.resume(b"unknown") is None


async def test_logins_are_numbered(tokens: Tokens) -> None:
    """Of two logins of a device the newer one has the higher number, whichever way it came."""
    store = tokens.store
    assert await store.write(devices.issue_resume, 7, b"first", LATER) == Login(1, 7, 1)
    assert await store.write(devices.use_resume, b"first", b"second", NOW, LATER) == Login(1, 7, 2)
    assert await store.write(devices.issue_resume, 7, b"third", LATER) == Login(1, 7, 3)
    assert await store.write(devices.use_resume, b"unknown", b"fourth", NOW, LATER) is None
    assert await store.write(devices.issue_resume, 8, b"fourth", LATER) is None
    assert await store.write(devices.issue_resume, 7, b"fourth", LATER) == Login(1, 7, 4)


async def test_who_entered_since(tokens: Tokens) -> None:
    """Whoever passed before is told of each device with a new session. A login that has none ends nobody's, and of two
    that are written down in any order the newer one counts.
    """
    store = tokens.store
    await store.write(devices.create, 8, 1, None, "tablet", 5)
    before = await store.read(sync.horizon)
    for device in (7, 7, 8):
        assert await store.write(devices.issue_resume, device, os.urandom(32), LATER) is not None
    assert await store.read(devices.entered_since, 1) == []
    await store.write(devices.entered, [(8, 1), (7, 1)])
    assert await store.read(devices.entered_since, before) == [(7, 1), (8, 1)]
    between = await store.read(sync.horizon)
    assert await store.read(devices.entered_since, between) == []
    await store.write(devices.entered, [(7, 2)])
    assert await store.read(devices.entered_since, between) == [(7, 2)]
    await store.write(devices.entered, [(7, 1)])
    assert await store.read(devices.entered_since, between) == [(7, 2)]


async def test_a_transaction_has_one_stamp(tokens: Tokens) -> None:
    async def twice(tx: Any) -> tuple[int, int]:
        return await sync.stamp(tx), await sync.stamp(tx)

    one, other = await tokens.store.write(twice)
    assert one == other

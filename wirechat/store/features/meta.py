"""What the store knows of itself: its epoch, the key of its digests, which migrations it has."""

from __future__ import annotations

from wirechat.store.tx import Tx


async def get(tx: Tx, name: str) -> bytes | None:
    """A value."""
    row = await tx.fetchrow("SELECT value FROM meta WHERE name = $1", name)
    return None if row is None else row[0]


async def ensure(tx: Tx, name: str, value: bytes) -> bytes:
    """The value there is, or else this one from now on."""
    await tx.execute("INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING", name, value)
    found = await get(tx, name)
    assert found is not None
    return found

"""What the store knows of itself: its epoch and the key of its digests, drawn when it is made."""

from __future__ import annotations

from collections.abc import Callable

from wirechat.store.tx import Tx

EPOCH_BYTES, KEY_BYTES = 4, 32


async def identify(tx: Tx, draw: Callable[[int], bytes]) -> None:
    """Draw what is not there yet."""
    for name, size in (("epoch", EPOCH_BYTES), ("digest_key", KEY_BYTES)):
        await tx.execute("INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING", name, draw(size))


async def identity(tx: Tx) -> tuple[bytes, bytes]:
    """(epoch, key of digests)."""
    epoch, key = await tx.fetchmany("SELECT value FROM meta WHERE name = $1", [("epoch",), ("digest_key",)])
    return epoch[0], key[0]

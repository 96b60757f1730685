"""Devices: their keys and resume tokens. Of a token only a hash is kept.

A token is valid until one that was issued later has been used, and until its time is over. So the tokens of a device
are numbered, and using one ends those before it.
"""

from __future__ import annotations

from wirechat.store.records import Device, Refusal
from wirechat.store.tx import FOR_UPDATE, Tx

TOKENS_MAX = 16
"""Tokens of one device that were issued and none of them used; of more the oldest ends."""


async def create(tx: Tx, device: int, user: int, key: bytes | None, name: str, now_ms: int) -> Refusal | None:
    """Make a device; CONFLICT when the id is taken."""
    made = await tx.fetchrow(
        "INSERT INTO device (device, user_id, key, name, made) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT DO NOTHING RETURNING device",
        device, user, key, name.encode(), now_ms,
    )  # fmt: skip
    return None if made else Refusal.CONFLICT


async def get(tx: Tx, device: int) -> Device | None:
    """A device."""
    row = await tx.fetchrow("SELECT device, user_id, key, name, revoked FROM device WHERE device = $1", device)
    return None if row is None else Device(row[0], row[1], row[2], row[3].decode(), bool(row[4]))


async def set_key(tx: Tx, device: int, key: bytes) -> None:
    """Give a device another key."""
    await tx.execute("UPDATE device SET key = $1 WHERE device = $2", key, device)


async def issue_resume(tx: Tx, device: int, token: bytes, until_ms: int) -> None:
    """A new token; those before it stay valid until it is used."""
    await tx.fetchrow("SELECT 1 FROM device WHERE device = $1" + FOR_UPDATE[tx.engine], device)
    row = await tx.fetchrow("SELECT coalesce(max(number), 0) + 1 FROM resume WHERE device = $1", device)
    assert row is not None
    number = row[0]
    await tx.execute(
        "INSERT INTO resume (token, device, number, until) VALUES ($1, $2, $3, $4)", token, device, number, until_ms
    )
    await _forget_before(tx, device, number - TOKENS_MAX + 1)


async def use_resume(tx: Tx, token: bytes, next_token: bytes, now_ms: int, until_ms: int) -> tuple[int, int] | None:
    """Log in with a token and issue its successor; (user, device), or None when it is not valid."""
    row = await tx.fetchrow(
        "SELECT d.user_id, d.device, r.number FROM resume r JOIN device d ON d.device = r.device"
        " WHERE r.token = $1 AND r.until > $2 AND NOT d.revoked",
        token, now_ms,
    )  # fmt: skip
    if row is None:
        return None
    user, device, number = row
    await _forget_before(tx, device, number)
    await issue_resume(tx, device, next_token, until_ms)
    return user, device


async def forget_resume(tx: Tx) -> None:
    """No token is valid any more: every device has to log in with its key or its password."""
    await tx.execute("DELETE FROM resume")


async def _forget_before(tx: Tx, device: int, number: int) -> None:
    await tx.execute("DELETE FROM resume WHERE device = $1 AND number < $2", device, number)

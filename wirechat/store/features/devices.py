"""Devices: their keys and resume tokens. Of a token only a hash is kept."""

from __future__ import annotations

from wirechat.store.records import Device, Refusal
from wirechat.store.tx import Tx


async def create(tx: Tx, device: int, user: int, key: bytes | None, name: str, now_ms: int) -> Refusal | None:
    """Make a device; CONFLICT when the id is taken."""
    made = await tx.fetchrow(
        "INSERT INTO device (device, user_id, key, name, made) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT DO NOTHING RETURNING device",
        device, user, key, name, now_ms,
    )  # fmt: skip
    return None if made else Refusal.CONFLICT


async def get(tx: Tx, device: int) -> Device | None:
    """A device."""
    row = await tx.fetchrow("SELECT device, user_id, key, name, revoked FROM device WHERE device = $1", device)
    return None if row is None else Device(row[0], row[1], row[2], row[3], bool(row[4]))


async def set_key(tx: Tx, device: int, key: bytes) -> None:
    """Give a device another key."""
    await tx.execute("UPDATE device SET key = $1 WHERE device = $2", key, device)


async def issue_resume(tx: Tx, device: int, token: bytes, until_ms: int) -> None:
    """A new token; the old one stays valid until this one is used."""
    await tx.execute("UPDATE device SET next_token = $1, token_until = $2 WHERE device = $3", token, until_ms, device)


async def use_resume(tx: Tx, token: bytes, next_token: bytes, now_ms: int, until_ms: int) -> tuple[int, int] | None:
    """Log in with a token and issue its successor; (user, device), or None when it is not valid."""
    row = await tx.fetchrow(
        "SELECT user_id, device FROM device WHERE (token = $1 OR next_token = $1) AND token_until > $2 AND NOT revoked",
        token, now_ms,
    )  # fmt: skip
    if row is None:
        return None
    await tx.execute(
        "UPDATE device SET token = $1, next_token = $2, token_until = $3 WHERE device = $4",
        token, next_token, until_ms, row[1],
    )  # fmt: skip
    return row[0], row[1]

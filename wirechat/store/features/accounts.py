"""Accounts."""

from __future__ import annotations

from collections.abc import Sequence

from wirechat.store.records import Refusal
from wirechat.store.tx import Row, Tx

Account = tuple[int, str, str | None]
"""(user, handle, name)."""


async def create(tx: Tx, user: int, handle: str, name: str | None, password: str | None, now_ms: int) -> Refusal | None:
    """Make an account; CONFLICT when the id or the handle is taken."""
    made = await tx.fetchrow(
        "INSERT INTO account (user_id, handle, name, password, made) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT DO NOTHING RETURNING user_id",
        user, handle.encode(), None if name is None else name.encode(), password, now_ms,
    )  # fmt: skip
    return None if made else Refusal.CONFLICT


async def get(tx: Tx, users: Sequence[int]) -> list[Account]:
    """Those that exist."""
    rows = await tx.fetchmany(
        "SELECT user_id, handle, name FROM account WHERE user_id = $1", [(user,) for user in users]
    )
    return [_account(row) for row in rows]


async def find(tx: Tx, handle: str) -> Account | None:
    """By handle."""
    row = await tx.fetchrow("SELECT user_id, handle, name FROM account WHERE handle = $1", handle.encode())
    return None if row is None else _account(row)


async def login(tx: Tx, handle: str) -> tuple[int, str | None] | None:
    """(user, password as a PHC string or None)."""
    row = await tx.fetchrow("SELECT user_id, password FROM account WHERE handle = $1", handle.encode())
    return None if row is None else (row[0], row[1])


async def set_password(tx: Tx, handle: str, password: str) -> bool:
    """False when there is no such account."""
    changed = await tx.fetchrow(
        "UPDATE account SET password = $1 WHERE handle = $2 RETURNING user_id", password, handle.encode()
    )
    return changed is not None


def _account(row: Row) -> Account:
    user, handle, name = row
    return user, handle.decode(), None if name is None else name.decode()

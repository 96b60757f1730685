"""Accounts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wirechat.store.records import Refusal
from wirechat.store.tx import FOR_UPDATE, Row, Tx

Account = tuple[int, str, str | None, str | None, int]
"""(user, handle, name, about, rev): what everyone may know."""

_ACCOUNT = "user_id, handle, name, about, rev"


async def create(tx: Tx, user: int, handle: str, name: str | None, password: str | None, now_ms: int) -> Refusal | None:
    """Make an account; CONFLICT when the id or the handle is taken."""
    made = await tx.fetchrow(
        "INSERT INTO account (user_id, handle, name, password, made) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT DO NOTHING RETURNING user_id",
        user, handle.encode(), _bytes(name), password, now_ms,
    )  # fmt: skip
    return None if made else Refusal.CONFLICT


async def get(tx: Tx, users: Sequence[int]) -> list[Account]:
    """Those that exist."""
    rows = await tx.fetchmany(f"SELECT {_ACCOUNT} FROM account WHERE user_id = $1", [(user,) for user in users])
    return [_account(row) for row in rows]


async def find(tx: Tx, handle: str) -> Account | None:
    """By handle."""
    row = await tx.fetchrow(f"SELECT {_ACCOUNT} FROM account WHERE handle = $1", handle.encode())
    return None if row is None else _account(row)


async def login(tx: Tx, handle: str) -> tuple[int, str | None] | None:
    """(user, password as a PHC string or None)."""
    row = await tx.fetchrow("SELECT user_id, password FROM account WHERE handle = $1", handle.encode())
    return None if row is None else (row[0], row[1])


async def set_password(tx: Tx, handle: str, password: str | None) -> bool:
    """None: nobody gets in by a password. False when there is no such account."""
    changed = await tx.fetchrow(
        "UPDATE account SET password = $1 WHERE handle = $2 RETURNING user_id", password, handle.encode()
    )
    return changed is not None


async def own(tx: Tx, user: int) -> tuple[Account, int, bool]:
    """What only the user himself may know: (account, audience, it has a password)."""
    row = await tx.fetchrow(f"SELECT audience, password IS NOT NULL, {_ACCOUNT} FROM account WHERE user_id = $1", user)
    assert row is not None
    return _account(row[2:]), row[0], bool(row[1])


async def set_profile(
    tx: Tx, user: int, handle: str | None, name: str | None, about: str | None, audience: int | None
) -> bool | Refusal:
    """Change what is not None; "" takes name and about away. False when nothing changes; CONFLICT for a handle that is
    taken.
    """
    now, private = await _profile(tx, user)
    wanted = (_other(handle, now[0]), _other(name, now[1]) or None, _other(about, now[2]) or None)
    audience = private if audience is None else audience
    if (wanted, audience) == (now, private):
        return False
    if wanted[0] != now[0] and await find(tx, wanted[0].decode()) is not None:
        return Refusal.CONFLICT
    await tx.execute(
        "UPDATE account SET handle = $1, name = $2, about = $3, audience = $4, rev = rev + $5 WHERE user_id = $6",
        *wanted, audience, int(wanted != now), user,
    )  # fmt: skip
    return True


async def _profile(tx: Tx, user: int) -> tuple[tuple[bytes, bytes | None, bytes | None], int]:
    row = await tx.fetchrow(
        "SELECT handle, name, about, audience FROM account WHERE user_id = $1" + FOR_UPDATE[tx.engine], user
    )
    assert row is not None
    return row[:3], row[3]


async def secret(tx: Tx, user: int) -> tuple[str, str | None]:
    """(handle, password as a PHC string or None)."""
    row = await tx.fetchrow("SELECT handle, password FROM account WHERE user_id = $1", user)
    assert row is not None
    return row[0].decode(), row[1]


async def has_password(tx: Tx, user: int, password: str | None) -> bool:
    """Whether the password is still this one; it stays so until the end of the transaction."""
    row = await tx.fetchrow("SELECT password FROM account WHERE user_id = $1" + FOR_UPDATE[tx.engine], user)
    return row is not None and row[0] == password


async def change_password(tx: Tx, user: int, password: str) -> None:
    """Another password."""
    await tx.execute("UPDATE account SET password = $1 WHERE user_id = $2", password, user)


async def everyone(tx: Tx, after: int, limit: int) -> list[tuple[Account, int, bool]]:
    """For the operator: (account, when it was made, it has a password), by id, from the one after `after`."""
    rows = await tx.fetch(
        f"SELECT made, password IS NOT NULL, {_ACCOUNT} FROM account WHERE user_id > $1 ORDER BY user_id LIMIT $2",
        after, limit,
    )  # fmt: skip
    return [(_account(row[2:]), row[0], bool(row[1])) for row in rows]


def _account(row: Row) -> Account:
    user, handle, name, about, rev = row
    return user, handle.decode(), _text(name), _text(about), rev


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else value.encode()


def _other(wanted: str | None, now: Any) -> Any:
    return now if wanted is None else wanted.encode()

"""Devices: their keys and resume tokens. Of a token only a hash is kept.

A token is valid until one that was issued later has been used, and until its time is over. So the tokens of a device
are numbered, and using one ends those before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wirechat.store.features import sync
from wirechat.store.records import Device, Login, Refusal
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


async def issue_resume(tx: Tx, device: int, token: bytes, until_ms: int) -> Login | None:
    """A login, and a new token; those before it stay valid until it is used. None: the device was revoked. The same
    token once more changes nothing but the number of the login.
    """
    login = await tx.fetchrow(
        "UPDATE device SET login = login + 1 WHERE device = $1 AND NOT revoked RETURNING user_id, device, login", device
    )
    if login is None:
        return None
    row = await tx.fetchrow("SELECT coalesce(max(number), 0) + 1 FROM resume WHERE device = $1", device)
    assert row is not None
    number = row[0]
    await tx.execute(
        "INSERT INTO resume (token, device, number, until) VALUES ($1, $2, $3, $4) ON CONFLICT (token) DO NOTHING",
        token, device, number, until_ms,
    )  # fmt: skip
    await _forget_before(tx, device, number - TOKENS_MAX + 1)
    return Login(*login)


async def use_resume(tx: Tx, token: bytes, next_token: bytes, now_ms: int, until_ms: int) -> Login | None:
    """Log in with a token and issue its successor; None when it is not valid."""
    row = await tx.fetchrow(
        "SELECT d.device, r.number FROM resume r JOIN device d ON d.device = r.device"
        " WHERE r.token = $1 AND r.until > $2 AND NOT d.revoked",
        token, now_ms,
    )  # fmt: skip
    if row is None:
        return None
    device, number = row
    await _forget_before(tx, device, number)
    return await issue_resume(tx, device, next_token, until_ms)


async def entered(tx: Tx, logins: Iterable[tuple[int, int]]) -> None:
    """(device, number of the login) of new sessions: older sessions of these devices must end, wherever they are."""
    stamp = await sync.stamp(tx)
    await tx.executemany(
        "UPDATE device SET entered = $1, entered_stamp = $2 WHERE device = $3 AND entered < $1",
        [(number, stamp, device) for device, number in sorted(logins)],
    )


async def entered_since(tx: Tx, since: int) -> list[tuple[int, int]]:
    """(device, number of the newest login that has a session) of those stamped at `since` or later."""
    rows = await tx.fetch("SELECT device, entered FROM device WHERE entered_stamp >= $1 ORDER BY device", since)
    return [(device, number) for device, number in rows]


async def forget_resume(tx: Tx) -> None:
    """No token is valid any more: every device has to log in with its key or its password."""
    await tx.execute("DELETE FROM resume")


async def _forget_before(tx: Tx, device: int, number: int) -> None:
    await tx.execute("DELETE FROM resume WHERE device = $1 AND number < $2", device, number)


# all devices of a user


async def of(tx: Tx, user: int) -> list[tuple[int, str, int, int | None, bool]]:
    """(device, name, made, seen, it has a key) of those that are not revoked, by id."""
    rows = await tx.fetch(
        "SELECT device, name, made, seen, key IS NOT NULL FROM device WHERE user_id = $1 AND NOT revoked"
        " ORDER BY device",
        user,
    )
    return [(device, name.decode(), made, seen, bool(key)) for device, name, made, seen, key in rows]


async def count(tx: Tx, user: int) -> int:
    """How many are not revoked."""
    row = await tx.fetchrow("SELECT count(*) FROM device WHERE user_id = $1 AND NOT revoked", user)
    assert row is not None
    return int(row[0])


async def is_revoked(tx: Tx, device: int) -> bool:
    """Whether it was ended."""
    return await tx.fetchrow("SELECT 1 FROM device WHERE device = $1 AND revoked", device) is not None


async def rename(tx: Tx, user: int, device: int, name: str) -> bool | Refusal:
    """Another name. False when it has it already; NOT_FOUND for a device that is not the user's, or revoked."""
    row = await tx.fetchrow(
        "SELECT name FROM device WHERE device = $1 AND user_id = $2 AND NOT revoked" + FOR_UPDATE[tx.engine],
        device, user,
    )  # fmt: skip
    if row is None:
        return Refusal.NOT_FOUND
    await tx.execute("UPDATE device SET name = $1 WHERE device = $2", name.encode(), device)
    return bool(row[0] != name.encode())


async def revoke(tx: Tx, user: int, device: int, stamp: int) -> bool | Refusal:
    """End a device: no token or key of it is good any more. NOT_FOUND for one that is not the user's. Revoking what is
    revoked changes nothing.
    """
    row = await tx.fetchrow(
        "SELECT revoked FROM device WHERE device = $1 AND user_id = $2" + FOR_UPDATE[tx.engine], device, user
    )
    if row is None:
        return Refusal.NOT_FOUND
    await _end(tx, [device] if not row[0] else [], stamp)
    return not row[0]


async def revoke_others(tx: Tx, user: int, device: int, stamp: int) -> list[int]:
    """End all devices of a user but this one; returns which."""
    rows = await tx.fetch(
        "SELECT device FROM device WHERE user_id = $1 AND device <> $2 AND NOT revoked ORDER BY device"
        + FOR_UPDATE[tx.engine],
        user, device,
    )  # fmt: skip
    others = [other for (other,) in rows]
    await _end(tx, others, stamp)
    return others


async def _end(tx: Tx, ended: Sequence[int], stamp: int) -> None:
    """The key stays, so that whoever proves that he holds it can be told that the device was revoked."""
    await tx.executemany(
        "UPDATE device SET revoked = TRUE, stamp = $1 WHERE device = $2", [(stamp, device) for device in ended]
    )
    await tx.executemany("DELETE FROM resume WHERE device = $1", [(device,) for device in ended])


async def revoked_since(tx: Tx, since: int) -> list[int]:
    """Devices revoked with this stamp or a later one."""
    return [device for (device,) in await tx.fetch("SELECT device FROM device WHERE revoked AND stamp >= $1", since)]


async def saw(tx: Tx, seen: Iterable[tuple[int, int]]) -> None:
    """(device, when it was last connected)."""
    await tx.executemany(
        "UPDATE device SET seen = $1 WHERE device = $2", [(when, device) for device, when in sorted(seen)]
    )

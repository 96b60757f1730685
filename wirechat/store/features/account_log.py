"""The account log: the conversation that tells a user's devices what changed for him alone. He is its only member.

It is made with its first entry, so that whoever never needs one has none. A user without one is locked until the end of
the transaction: two nodes never make two.
"""

from __future__ import annotations

from collections.abc import Iterable

from wirechat.store.records import ACCOUNT, MEMBER
from wirechat.store.tx import Tx


async def find(tx: Tx, users: Iterable[int]) -> dict[int, int]:
    """user -> his log, of those that have one. The others are locked."""
    users = sorted(users)
    logs = await _known(tx, users)
    missing = [user for user in users if user not in logs]
    if missing and tx.engine == "postgres":
        await tx.fetchmany("SELECT pg_advisory_xact_lock($1)", [(-user,) for user in missing])
        logs.update(await _known(tx, missing))
    return logs


async def _known(tx: Tx, users: Iterable[int]) -> dict[int, int]:
    rows = await tx.fetchmany(
        "SELECT user_id, log FROM account WHERE user_id = $1 AND log IS NOT NULL", [(user,) for user in users]
    )
    return dict(rows)


async def make(tx: Tx, user: int, conv: int, stamp: int) -> int:
    """Make the log of a user who has none, with the id `conv` or the next that is free."""
    while await tx.fetchrow("SELECT 1 FROM conv WHERE conv = $1", conv) is not None:
        conv += 1
    await tx.execute(
        "INSERT INTO conv (conv, kind, title, head, last_ts, version, stamp) VALUES ($1, $2, NULL, 0, 0, 1, $3)",
        conv, ACCOUNT, stamp,
    )  # fmt: skip
    await tx.execute("INSERT INTO conv_rc (conv, rrev, rstamp) VALUES ($1, 0, $2)", conv, stamp)
    await tx.execute(
        "INSERT INTO member (conv, user_id, role, since, until, stamp) VALUES ($1, $2, $3, 1, NULL, $4)",
        conv, user, MEMBER, stamp,
    )  # fmt: skip
    await tx.execute("UPDATE account SET log = $1 WHERE user_id = $2", conv, user)
    return conv


async def is_one(tx: Tx, user: int, conv: int) -> bool:
    """Whether this conversation is the user's own account log."""
    return await tx.fetchrow("SELECT 1 FROM account WHERE user_id = $1 AND log = $2", user, conv) is not None

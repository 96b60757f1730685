"""The horizon and the digest: what changed, for one user or for the whole node.

A stamp is the number of the transaction that changed something. Everything stamped before the horizon of a snapshot is
visible in it; a row whose last change is not visible will carry a stamp at or above it.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from wirechat.store.records import ACCOUNT, DigestRow
from wirechat.store.tx import Row, Tx

_HORIZON = {
    "sqlite": "SELECT value + 1 FROM stamp",
    "postgres": "SELECT value + pg_snapshot_xmin(pg_current_snapshot())::text::bigint FROM stamp",
}
"""PostgreSQL commits out of order, so it is the oldest transaction that still runs."""
_STAMP = {
    "sqlite": "UPDATE stamp SET value = value + 1 RETURNING value",
    "postgres": "SELECT value + pg_current_xact_id()::text::bigint FROM stamp",
}
"""On PostgreSQL the table holds what is added to its own transaction counter."""

_ROW = f"""
    SELECT m.conv, m.user_id, coalesce(m.until, c.head), CASE WHEN m.until IS NULL THEN r.rrev ELSE 0 END,
           coalesce(k.delivered, 0), coalesce(k.read, 0), m.until IS NOT NULL, c.kind = {ACCOUNT}
    FROM member m JOIN conv c ON c.conv = m.conv JOIN conv_rc r ON r.conv = m.conv
         LEFT JOIN mark k ON k.conv = m.conv AND k.user_id = m.user_id
"""


_HELD = {
    "sqlite": "SELECT 0, 0",
    "postgres": "SELECT (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(xact_start)), 0)::float8"
    " FROM pg_stat_activity WHERE backend_xid IS NOT NULL),"
    " pg_snapshot_xmax(now.seen)::text::bigint - pg_snapshot_xmin(now.seen)::text::bigint"
    " FROM (SELECT pg_current_snapshot() AS seen) now",
}


@attrs.frozen
class Held:
    """What keeps the horizon from going on: transactions that write and have not ended, of whatever program, in
    whatever database of the server.
    """

    seconds: float
    """Age of the oldest one that the role may see; of other roles it may with `pg_read_all_stats`."""
    transactions: int
    """How many others ended since the oldest began, at most: by so much the horizon lies behind."""


NEVER = 2**62
"""A stamp that is never given."""


async def horizon(tx: Tx) -> int:
    """Everything stamped before this is visible in this snapshot."""
    row = await tx.fetchrow(_HORIZON[tx.engine])
    assert row is not None
    return int(row[0])


async def held(tx: Tx) -> Held:
    """How far the horizon lies behind."""
    row = await tx.fetchrow(_HELD[tx.engine])
    assert row is not None
    return Held(max(float(row[0]), 0.0), int(row[1]))


async def stamp(tx: Tx) -> int:
    """The stamp of what this transaction changes, the same however often it is asked for."""
    if tx.stamp is None:
        row = await tx.fetchrow(_STAMP[tx.engine])
        assert row is not None
        tx.stamp = int(row[0])
    return tx.stamp


async def digest(
    tx: Tx, user: int, since: int, after: int, limit: int, account_since: int | None = None
) -> list[DigestRow]:
    """Conversations of a user stamped at `since` or later, by id, from the one after `after`. His account log counts
    from `account_since`, None = from `since` too.
    """
    rows = await tx.fetch(
        f"{_ROW} WHERE m.user_id = $1 AND m.conv > $2 AND CASE WHEN c.kind <> {ACCOUNT}"
        " THEN m.stamp >= $3 OR (m.until IS NULL AND (c.stamp >= $3 OR r.rstamp >= $3))"
        " ELSE c.stamp >= $4 END ORDER BY m.conv LIMIT $5",
        user, after, since, since if account_since is None else account_since, limit,
    )  # fmt: skip
    return [_digest_row(row) for row in rows]


async def changed(tx: Tx, since: int) -> tuple[int, list[tuple[int, int, int, int]]]:
    """(horizon of this snapshot, (conv, head, rrev, version of members) of what was stamped at `since` or later)."""
    upto = await horizon(tx)
    if tx.engine == "sqlite" and upto == since:
        return upto, []
    rows = await tx.fetch(
        "SELECT c.conv, c.head, r.rrev, c.version FROM conv c JOIN conv_rc r ON r.conv = c.conv WHERE c.conv IN ("
        "SELECT conv FROM conv WHERE stamp >= $1 UNION SELECT conv FROM conv_rc WHERE rstamp >= $1"
        " UNION SELECT conv FROM member WHERE stamp >= $1) ORDER BY c.conv",
        since,
    )
    return upto, [(conv, head, rrev, version) for conv, head, rrev, version in rows]


async def regrouped(tx: Tx, since: int) -> list[int]:
    """Users who joined or left something, or changed what concerns themselves, at this stamp or later: whom they see
    and who sees them may be others.
    """
    rows = await tx.fetch(
        "SELECT user_id FROM member WHERE stamp >= $1 UNION SELECT m.user_id FROM conv c"
        f" JOIN member m ON m.conv = c.conv WHERE c.stamp >= $1 AND c.kind = {ACCOUNT} ORDER BY 1",
        since,
    )
    return [user for (user,) in rows]


async def rows(tx: Tx, convs: Sequence[int], since: int) -> dict[int, dict[int, DigestRow]]:
    """conv -> user -> row, of the members and of those removed at `since` or later."""
    found: dict[int, dict[int, DigestRow]] = {}
    for row in await tx.fetchmany(
        _ROW + "WHERE m.conv = $1 AND (m.until IS NULL OR m.stamp >= $2)", [(conv, since) for conv in convs]
    ):
        found.setdefault(row[0], {})[row[1]] = _digest_row(row)
    return found


def _digest_row(row: Row) -> DigestRow:
    conv, _, head, rrev, delivered, read, former, account_log = row
    return DigestRow(conv, head, rrev, delivered, read, bool(former), bool(account_log))

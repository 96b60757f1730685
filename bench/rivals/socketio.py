"""python-socketio on uvicorn with SQLite, as `socketio_server` has it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.benchmark import ROOT
from bench.process import running
from bench.rivals.rival import Foreign, Guarantee
from bench.rivals.server import Server
from tools.cluster.engine import free_port
from tools.loadgen.targets.socketio import SocketIo as Dialect

PACKAGES = ("python-socketio", "uvicorn", "aiosqlite", "websockets", "uvloop")


class SocketIo(Foreign):
    """What one would write oneself in an afternoon."""

    name = "socketio"
    store = "SQLite by aiosqlite, WAL, synchronous=FULL, a commit for each text"
    install = "pip install 'wirechat[peers]'"
    dialect = Dialect
    transports = ("ws",)
    """By itself; it knows nothing else."""
    guarantee = Guarantee(
        acknowledged="on disk: fsync before the acknowledgement",
        delivery="at most once to whoever is connected; nobody acknowledges",
        duplicates="a text that is sent again is stored again",
        order="numbered in each conversation",
        offline="nothing by itself",
    )

    def version(self) -> str | None:
        try:
            return ", ".join(f"{package} {version(package)}" for package in PACKAGES)
        except PackageNotFoundError:
            return None

    @contextmanager
    def serve(self, scratch: Path, transport: str = "tcp") -> Iterator[Server]:
        port = free_port()
        command = [sys.executable, "-m", "bench.rivals.socketio_server", str(port), str(scratch / "texts.db")]
        with running(command, scratch, port, environment={"PYTHONPATH": str(ROOT)}) as processes:
            yield Server(processes, port)

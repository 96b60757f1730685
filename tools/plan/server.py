"""A server for the probe: a child process on loopback, with a store that is removed afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import trio

from tools.cluster.server import Server, ServerFailed
from tools.loadgen import descriptors

SCHEMES = {"wirechat": "--tcp", "http": "--http"}


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[Server]:
    """A server with its store in `directory`, with as many open files as this process may have. Raises ServerFailed."""
    descriptors.raise_limit()
    server = Server(("--data", str(directory / "data")), directory / "log", schemes=SCHEMES)
    try:
        await server.start()
        yield server
    finally:
        with trio.CancelScope(shield=True), suppress(ServerFailed):  # how it ends is no part of the answer
            await server.terminate()

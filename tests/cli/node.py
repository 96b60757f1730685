"""`wirechat serve` as a process of its own, of which every line of the log is kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

PATIENCE = 20.0
"""Seconds a test waits for what must come."""


class Node:
    """A running server."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.log = ""
        """What it has written so far."""
        self._seen = 0
        self._more = trio.Event()

    async def read(self) -> None:
        """Keep what it writes, until it ends."""
        assert self.process.stderr is not None
        async for data in self.process.stderr:
            self.log += data.decode()
            self._more.set()
            self._more = trio.Event()

    async def told(self, event: str, where: Callable[[dict[str, Any]], bool] = lambda line: True) -> dict[str, Any]:
        """The next line of the log about this."""
        with trio.fail_after(PATIENCE):
            while True:
                lines = self.log.split("\n")[:-1]
                while self._seen < len(lines):
                    line = json.loads(lines[self._seen])
                    self._seen += 1
                    if line["event"] == event and where(line):
                        return dict(line)
                await self.more()

    async def more(self) -> None:
        """Return when it has written something more."""
        await self._more.wait()

    async def url(self, scheme: str) -> str:
        """Where it listens for this."""
        line = await self.told("listening", lambda line: line["url"].startswith(scheme + "://"))
        return str(line["url"])

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    async def stop(self) -> int:
        """SIGTERM, and the exit status."""
        self.signal(signal.SIGTERM)
        with trio.fail_after(PATIENCE):
            return await self.process.wait()


@asynccontextmanager
async def serving(directory: Path, *arguments: object, env: Mapping[str, str] | None = None) -> AsyncIterator[Node]:
    """A server with its data in `directory`; killed at the end, if it still runs."""
    async with started("--data", directory / "data", *arguments, env=env) as node:
        yield node


@asynccontextmanager
async def started(*arguments: object, env: Mapping[str, str] | None = None) -> AsyncIterator[Node]:
    """A server with these arguments; killed at the end, if it still runs."""
    words = [sys.executable, "-m", "wirechat.cli.main", "serve"]
    async with trio.open_nursery() as nursery:
        process = await trio.lowlevel.open_process(
            [*words, *map(str, arguments)], stderr=subprocess.PIPE, env={**os.environ, **(env or {})}
        )
        node = Node(process)
        nursery.start_soon(node.read)
        try:
            yield node
        finally:
            process.kill()
            await process.wait()
            nursery.cancel_scope.cancel()


def port(url: str) -> int:
    """The port of an address."""
    return int(url.rpartition(":")[2])


def upgrade(path: str, headers: str = "") -> bytes:
    """The beginning of a WebSocket that does not want our subprotocol."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{headers}"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()

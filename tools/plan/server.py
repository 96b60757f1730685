"""A server for the probe: a child process on loopback, with a store that is removed afterwards."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import trio

from tools.loadgen import descriptors

START_SECONDS = 30.0
STOP_SECONDS = 10.0


class NoServer(Exception):
    """Why it does not run, in one line."""


@attrs.frozen
class Server:
    """Where it is."""

    pid: int
    url: str
    metrics: str


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[Server]:
    """A server with its store in `directory`, with as many open files as this process may have. Raises NoServer."""
    descriptors.raise_limit()
    words = ["serve", "--data", str(directory / "data"), "--tcp", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WIRECHAT_")}
    log = directory / "log"
    with log.open("wb") as out:
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "wirechat.cli.main", *words], stdout=out, stderr=out, env=clean
        )
    try:
        urls: dict[str, str] = {}
        with trio.move_on_after(START_SECONDS):
            urls = await _listening(log, process)
        if not urls:
            raise NoServer(f"the server did not listen within {START_SECONDS:.0f} s")
        yield Server(process.pid, urls["wirechat"], f"{urls['http']}/metrics")
    finally:
        with trio.CancelScope(shield=True):
            process.terminate()
            with trio.move_on_after(STOP_SECONDS):
                await process.wait()
            process.kill()
            await process.wait()


async def _listening(log: Path, process: trio.Process) -> dict[str, str]:
    while True:
        lines = [line for line in (await trio.Path(log).read_text()).splitlines() if line]
        urls = [json.loads(line)["url"] for line in lines if '"listening"' in line]
        if len(urls) == 2:
            return {url.partition(":")[0]: url for url in urls}
        if process.poll() is not None:
            raise NoServer(f"the server ended: {lines[-1] if lines else process.returncode}")
        await trio.sleep(0.05)

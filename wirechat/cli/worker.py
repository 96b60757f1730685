"""One of several servers on one machine: what `workers` starts. It ends when its standard input does."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import structlog
import trio

from wirechat.cli import logs
from wirechat.cli.options import load
from wirechat.cli.running import run
from wirechat.cli.serve import run_server
from wirechat.settings.reading import Sources
from wirechat.settings.schema import Settings


def main() -> None:
    """Read the order, and serve."""
    order = json.loads(sys.stdin.buffer.readline())
    file = order["file"]
    sources = Sources(file and Path(file), os.environ, order["flags"], order["worker"])
    settings = load(sources).settings
    logs.configure(settings.log)
    structlog.contextvars.bind_contextvars(worker=sources.worker)
    run(_serve, settings, sources)


async def _serve(settings: Settings, sources: Sources) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_end_with_parent)
        await run_server(settings, sources)
        nursery.cancel_scope.cancel()


async def _end_with_parent() -> None:
    """It holds the other end of our standard input, even if it ends without a word."""
    async with trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as parent:
        while await parent.receive_some():
            pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()

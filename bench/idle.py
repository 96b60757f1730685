"""What a connection that says nothing keeps in the server's memory."""

from __future__ import annotations

import resource
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack

from bench import certificate, people
from bench.benchmark import Benchmark, Row, Run
from bench.process import scratch, serve

FIRST = 100
"""Connections before the first look at the memory: what only the first ones cost is no price of the others."""
SETTLE_SECONDS = 3.0
"""Longer than everything the server does once a second."""

ROWS = {
    "idle_tcp": "2,000 logged in and synced connections that say nothing",
    "idle_tls": "the same over TLS",
    "idle_ws": "the same over WebSocket",
}


def measure(run: Run) -> Iterator[Row]:
    """Each transport."""
    _allow_many_files()
    for row in filter(run.wants, ROWS):
        yield Row(row, {"kib_per_connection": _kib(run, row)})


def _kib(run: Run, row: str) -> float:
    with scratch() as folder:
        if row != "idle_tls":
            return _growth(run, "--ws" if row == "idle_ws" else "--tcp", "127.0.0.1:0")
        chain, key = certificate.make(folder)
        tls = ssl.create_default_context(cafile=str(chain))
        return _growth(run, "--tls", "127.0.0.1:0", "--cert", str(chain), "--key", str(key), tls=tls)


def _growth(run: Run, *listen: str, tls: ssl.SSLContext | None = None) -> float:
    count, first = run.size(2_000, 20), run.size(FIRST, 10)
    with serve(run.root, *listen) as process, ExitStack() as stack:
        connect = people.connector(process.port, tls, web=listen[0] == "--ws")
        accounts = people.register(connect, count + first)
        memory = []
        for some in (accounts[:first], accounts[first:]):
            for client in people.log_in(connect, some):
                stack.callback(client.close)
            time.sleep(run.size(10, 1) * SETTLE_SECONDS / 10)
            memory.append(process.private_dirty_kib())
        return (memory[1] - memory[0]) / count


def _allow_many_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


BENCHMARK = Benchmark("idle", "How much memory does a connection cost that says nothing?", ROWS, measure, repeat_max=1)
"""It varies so little that one run tells."""

"""What runs under a command ends with it, even after kill -9, and what it leaves is no obstacle to the next."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trio

from tests.cli.test_cluster_commands import family, place, told  # noqa: F401  place is a fixture
from tests.cli.test_workers import gone
from tools.cluster.postgres import Postgres

pytestmark = [pytest.mark.postgres, pytest.mark.nats]

GUARDED = """
import signal, subprocess
from tools.cluster.guard import Guard
signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what the kernel sends to paused orphans
guard = Guard(signal.SIGTERM)
child = subprocess.Popen(["sleep", "60"], process_group=guard.group)
child.send_signal(signal.SIGSTOP)
print(guard.group, child.pid, flush=True)
child.wait()
"""
SERVING = """
import pathlib, sys, time
from tools.cluster.postgres import Postgres
server = Postgres(pathlib.Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
time.sleep(60)
"""


def name(pid: int) -> str:
    """Of its program; nothing when it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


@contextmanager
def taken(server: Postgres) -> Iterator[None]:
    """The number in the lock of this server is that of another process now."""
    lock = server.data / "postmaster.pid"
    with subprocess.Popen(["sleep", "60"], user=server.user) as other:
        lock.write_text(lock.read_text().replace(str(server.pid), str(other.pid), 1))
        try:
            yield
        finally:
            other.kill()


async def begun(program: str, *arguments: object) -> tuple[trio.Process, list[int]]:
    """A program, and the numbers that it prints first."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    line = await told(process, r"(.+)\n")
    return process, [int(word) for word in line[1].split()]


async def end(process: trio.Process) -> None:
    process.kill()
    await process.wait()


async def test_a_demo_that_is_killed_takes_all_of_it_along(place: Path) -> None:  # noqa: F811
    """In the middle of its work: PostgreSQL, NATS, a node and the replay."""
    command = [sys.executable, "-m", "wirechat.cli.main", "cluster", "demo", "--nodes", "1"]
    environment = {**os.environ, "TMPDIR": str(place)}
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, env=environment)
    try:
        await told(process, "A replay across all nodes")
        found = family(process.pid)
        assert {"postgres", "nats-server"} <= set(map(name, found))
    finally:
        await end(process)
    await gone(found)


async def test_whoever_is_paused_ends_too() -> None:
    process, pids = await begun(GUARDED)
    await end(process)
    await gone(pids)


async def test_a_database_begins_where_a_killed_one_has_ended(place: Path) -> None:  # noqa: F811
    """At once, while the last one may still end; and when another process has got its number."""
    process, (pid,) = await begun(SERVING, place)
    await end(process)
    again = Postgres(place)
    try:
        await trio.to_thread.run_sync(again.start)
        await gone([pid])
        again.kill()
        with taken(again):
            await trio.to_thread.run_sync(again.start)
    finally:
        again.stop()

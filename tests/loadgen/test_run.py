"""Whole runs against a real server: figures are honest, and what goes wrong is told."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socketserver
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from threading import Thread

import psutil
import pytest
import trio
import trustme
from click.testing import CliRunner

from bench.process import Process
from tests.cli import command
from tests.cli.node import Node, serving
from tests.loadgen.conftest import TALK
from tests.loadgen.fields import undocumented
from tools.loadgen import scenario
from tools.loadgen.report import figures, file
from tools.loadgen.run import Interrupted, Options, Progress, Run
from wirechat.cli.main import wirechat

SCENARIO = """
about = "a test"
people = 20
[conversations]
size = {size}
[[activities]]
kind = "messages"
rate = 100
senders = 2
[[activities]]
kind = "reads"
rate = 20
[[activities]]
kind = "typing"
rate = 20
[[activities]]
kind = "presence"
rate = 20
[[activities]]
kind = "history"
rate = 20
[[activities]]
kind = "returns"
rate = 5
[[phases]]
name = "hold"
seconds = {seconds}
"""
TOKEN = ["--token", "0123456789abcdef"]
NOBODY = str(2**22 + 1)
"""No process has this number."""
PAIRS = ["run", "pairs", "--url", "wirechat://127.0.0.1:1"]
SERIES = {"delivered", "durable", "read", "page", "presence", "resume", "caught up", "lag", "canary"}
SECONDS = 90


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "plan.toml"
    path.write_text(SCENARIO.format(size=4, seconds=1.5))
    return path


@asynccontextmanager
async def server(directory: Path, *where: str) -> AsyncIterator[tuple[Node, str]]:
    """A server and its URL."""
    async with serving(directory, *(where or ("--tcp", "127.0.0.1:0"))) as node:
        yield node, (await node.told("listening"))["url"]


def test_packages_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are an extra, which a server does not have."""
    monkeypatch.setitem(sys.modules, "hdrh.histogram", None)
    for name in [name for name in sys.modules if name.startswith("tools.loadgen")]:
        monkeypatch.delitem(sys.modules, name)
    done = CliRunner().invoke(wirechat, ["loadgen", "list"])
    assert done.exit_code == 2
    assert "in the checkout, pip install '.[loadgen]'" in done.output


async def loadgen(*words: object) -> subprocess.CompletedProcess[bytes]:
    """The command, to its end."""
    line = [sys.executable, "-m", "wirechat.cli.main", "loadgen", *map(str, words)]
    with trio.fail_after(SECONDS):
        return await trio.run_process(line, capture_stdout=True, capture_stderr=True, check=False)


async def test_everything_is_done_nothing_is_lost_and_the_parts_make_a_whole(
    tmp_path: Path, plan: Path, running: Process, url: str
) -> None:
    """One part over WebSocket by the command, at whose port the metrics are looked for; the other over TCP in here."""
    parts = tmp_path / "first.json", tmp_path / "second.json"
    async with server(tmp_path, "--ws", "127.0.0.1:0", "--http", "127.0.0.1:0") as (_, web):
        done = await loadgen("run", plan, "--url", web, "--processes", 2, "--share", "1/2", "--json")
    second_share = Options("plan", scenario.load(str(plan)), url, pid=running.pid, share=(2, 2))
    result = await Run(second_share, lambda told: None).run()
    parts[0].write_bytes(done.stdout)
    parts[1].write_text(file.to_json(result))
    first, second = (json.loads(part.read_text()) for part in parts)
    assert done.returncode == {"valid": 0, "not valid": 3}[first["verdict"]]
    for found in (first, second):
        assert found["violations"] == []
        assert found["verdict"] in ("valid", "not valid"), found["why"]  # the machine may be busy
        assert found["figures"]["texts"] > 40
        assert found["figures"]["deliveries"] == 3 * found["figures"]["texts"]
        assert found["figures"]["server CPU per delivery"] > 0
        assert set(found["latencies_ms"]) >= SERIES
        assert found["samples"]
        assert list(undocumented(found)) == []
    assert first["figures"]["entries per commit"] >= 1
    assert first["machine"]["server"].startswith("wirechat ")
    report = tmp_path / "report.html"
    merged = json.loads(command.wirechat("loadgen", "merge", *parts, "--json", "--report", report).out)
    assert merged["totals"]["people"] == first["totals"]["people"] + second["totals"]["people"] == 20
    assert merged["figures"]["texts"] == first["figures"]["texts"] + second["figures"]["texts"]
    assert merged["machine"]["hosts"] == 2
    assert merged["scenario"] == first["scenario"] == second["scenario"]
    assert second["watched"]["name"].endswith(f", process {running.pid}")
    assert merged["totals"]["server_cpu_seconds"] == pytest.approx(
        first["totals"]["server_cpu_seconds"] + second["totals"]["server_cpu_seconds"]
    ), "of two servers"
    text = report.read_text()
    assert text.count("<svg") == 6
    for name in ("http://www.w3.org", "http://purl.org", "http://creativecommons.org", "https://matplotlib.org"):
        text = text.replace(name, "")
    assert "http" not in text, "the report needs nothing from elsewhere"
    assert "strangers" not in text, "a figure that there is not has no row"
    compared = json.loads(command.wirechat("loadgen", "compare", *parts, "--json").out)
    assert compared["figures"]["texts"]["second"] == second["figures"]["texts"]
    assert compared["spread"].startswith("one run of each")
    assert "one run of each" in command.wirechat("loadgen", "compare", *parts).out


@pytest.mark.parametrize("scheme", ["tls", "wss"])
async def test_a_load_over_tls(tmp_path: Path, scheme: str) -> None:
    """The same as without: everybody gets in, and nothing is lost."""
    certs = tmp_path / "certs"
    command.wirechat("cert", certs)
    where = (f"--{scheme}", "127.0.0.1:0", "--cert", certs / "chain.pem", "--key", certs / "key.pem")
    async with serving(tmp_path, *where) as node:
        url = (await node.told("listening"))["url"]
        talk = scenario.parse(TALK, "talk")
        with trio.fail_after(SECONDS):
            result = await Run(Options("talk", talk, url, ca=str(certs / "ca.pem")), lambda told: None).run()
    assert result.violations == []
    assert result.measures.counts["texts"] > 120
    assert result.totals["unfinished"] == 0


async def test_a_server_that_stands_still_is_seen_to_stand_still(running: Process, url: str) -> None:
    """Free of coordinated omission: what should have been sent meanwhile counts with all it would have waited."""
    talk = scenario.parse(TALK, "talk")
    async with trio.open_nursery() as nursery:

        async def stand_still() -> None:
            os.kill(running.pid, signal.SIGSTOP)
            try:
                await trio.sleep(0.6)
            finally:
                os.kill(running.pid, signal.SIGCONT)

        stood_still = False

        def tell(told: Progress) -> None:
            nonlocal stood_still
            if told.stage == "hold" and not stood_still:
                stood_still = True
                nursery.start_soon(stand_still)

        result = await Run(Options("talk", talk, url), tell).run()
    assert result.violations == []
    found = result.measures.percentiles("delivered")
    assert found["max"] > 500
    assert found["p90"] > 200, "a quarter of the texts fell into that time"
    assert result.measures.counts["texts"] > 120


async def test_a_server_that_dies_midway_makes_a_partial_report(tmp_path: Path) -> None:
    """What was measured until then is told, and nobody is blamed for what cannot be known."""
    talk = scenario.parse(TALK.replace("seconds = 2", "seconds = 60"), "talk")
    async with server(tmp_path) as (node, url):

        def tell(told: Progress) -> None:
            if told.stage == "hold" and told.done > 0.5:
                node.process.kill()

        with trio.fail_after(SECONDS):
            result = await Run(Options("talk", talk, url), tell, drain_seconds=SECONDS, gone_seconds=0.5).run()
    assert result.partial == "the server is gone"
    assert result.violations == []
    assert figures.verdict(result)[0] == "partial"
    assert result.measures.percentiles("delivered")
    found = {each.name: each.value for each in figures.figures(result)}
    assert found["connections lost"] == 20, "attempts to come back are none"
    assert found["server CPU"] is found["server CPU per delivery"] is None


class Http(socketserver.BaseRequestHandler):
    """A server that takes our HELLO for a bad request."""

    def handle(self) -> None:
        self.request.recv(1000)
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_another_server_is_no_target() -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Http) as other:
        Thread(target=other.serve_forever, args=(0.05,)).start()
        url = f"wirechat://127.0.0.1:{other.server_address[1]}"
        done = command.wirechat("loadgen", "run", "pairs", "--url", url)
        other.shutdown()
    assert done.status == 2
    assert done.err.splitlines()[1:] == [f"wirechat: no load on {url}: what is there speaks another protocol"]


def test_a_certificate_for_other_names_is_said(tmp_path: Path) -> None:
    """It does not help to trust it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)

    class Tls(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                tls.wrap_socket(self.request, server_side=True)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tls) as other:
        Thread(target=other.serve_forever, args=(0.05,)).start()
        url = f"wirechats://127.0.0.1:{other.server_address[1]}"
        done = command.wirechat("loadgen", "run", "pairs", "--url", url, "--ca", tmp_path / "ca.pem")
        other.shutdown()
    assert done.status == 2
    (line,) = done.err.splitlines()[1:]
    assert line.startswith(f"wirechat: no load on {url}: the certificate of 127.0.0.1 is for other names: ")


async def test_what_is_stopped_before_it_begins_has_no_result(url: str) -> None:
    """Nor is it a mistake of whoever typed it."""
    run = Run(Options("talk", scenario.parse(TALK, "talk"), url), lambda told: run.stop("it was stopped"))
    with pytest.RaisesGroup(Interrupted, flatten_subgroups=True) as caught:
        await run.run()
    assert str(caught.value.exceptions[0]) == "it was stopped before the load began"


async def test_a_generator_that_dies_is_no_verdict_on_the_server(url: str) -> None:
    def tell(told: Progress) -> None:
        if told.stage == "hold":
            for process in psutil.Process().children():
                with suppress(psutil.Error):  # it may be gone already
                    if "tools.loadgen.worker" in process.cmdline():
                        process.kill()

    with pytest.RaisesGroup(Interrupted, flatten_subgroups=True):
        await Run(Options("talk", scenario.parse(TALK, "talk"), url), tell).run()


def test_a_full_disk_is_told_and_what_else_is_asked_for_is_done(result: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run was not for nothing: it still prints its result."""
    write = file.write

    def full(path: Path, text: str) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        try:
            write(path, text)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    monkeypatch.setattr(file, "write", full)
    report = result.with_name("report.html")
    done = command.wirechat("loadgen", "merge", result, "--report", report, "--json")
    assert (done.status, done.err) == (2, f"wirechat: cannot write {report}: File too large\n")
    assert json.loads(done.out)["verdict"] == "valid"
    assert os.listdir(result.parent) == ["result.json"], "nothing half written is left"


def test_a_result_that_cannot_be_printed_is_told(result: Path) -> None:
    line = [sys.executable, "-m", "wirechat.cli.main", "loadgen", "merge", str(result)]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=SECONDS)
    assert (done.returncode, done.stderr) == (2, "wirechat: cannot print the result: No space left on device\n")


@pytest.mark.parametrize("lost", ["scenario", "totals", "measures", "target", "samples"])
def test_a_damaged_result_is_told(lost: str, result: Path) -> None:
    plain = json.loads(result.read_text())
    del plain[lost]
    result.write_text(json.dumps(plain))
    assert command.refused("loadgen", "merge", str(result)) == f"wirechat: {result} is damaged"


async def test_what_is_stopped_is_partial(plan: Path, url: str) -> None:
    line = [sys.executable, "-m", "wirechat.cli.main", "loadgen", "run", str(plan), "--url", url]
    process = await trio.lowlevel.open_process(
        [*line, "--seconds", "60"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with trio.fail_after(SECONDS):
        stages = b""
        while b"hold" not in stages:
            stages += await process.stderr.receive_some()
        process.send_signal(signal.SIGINT)
        printed = b"".join([data async for data in process.stdout]).decode()
        status = await process.wait()
    assert status == 3
    assert "partial: the run ended before its time: it was stopped" in " ".join(printed.split())


@pytest.mark.parametrize("words", [("loadgen",), ("plan",)])
def test_help_tells_the_exit_status(words: tuple[str, ...]) -> None:
    text = " ".join(command.wirechat(*words, "--help").out.split())
    assert re.search(r"Exit status.*\b3\b.* not valid", text)


@pytest.mark.parametrize(
    ("words", "status", "line"),
    [
        (["run", "pears", "--url", "wirechat://127.0.0.1:1"], 2, "there is no scenario 'pears'"),
        (["run", "pairs", "--url", "http://127.0.0.1:1"], 2, "bad URL"),
        (PAIRS, 2, "no load on wirechat://127.0.0.1:1: connection refused: is the server running?"),
        ([*PAIRS, "--pid", NOBODY], 2, f"--pid {NOBODY}: there is no such process"),
        ([*PAIRS, "--people", "1"], 2, "too few"),
        ([*PAIRS, "--share", "3/2"], 2, "must be K/N"),
        (["run", "broadcast", "--url", "wirechat://127.0.0.1:1", "--share", "1/2"], 2, "cannot be divided among 2"),
        ([*PAIRS, "--metrics", "127.0.0.1:7670"], 2, "bad URL of metrics 127.0.0.1:7670"),
        ([*PAIRS, "--metrics", "http://[x"], 2, "bad URL of metrics http://[x"),
        (
            [*PAIRS, "--metrics", "http://127.0.0.1:1/metrics"],
            2,
            "no metrics at http://127.0.0.1:1/metrics: Connection refused",
        ),
        (["run", "idle", "--url", "wirechat://127.0.0.1:1", "--rate", "5"], 2, "no rate of texts"),
        ([*PAIRS, "--report", "/nowhere/x.html"], 2, "no directory"),
        (
            ["run", "idle", "--url", "wirechat://127.0.0.1:1", "--people", "9999999"],
            2,
            "as root with ulimit -n 10000063",
        ),
        ([*PAIRS, "--report", "/"], 2, "cannot write /: it is a directory"),
        ([*PAIRS, "--worker", "127.0.0.1:1"], 2, "a worker wants to be told its token: set LOADGEN_TOKEN"),
        ([*PAIRS, *TOKEN, "--worker", "here"], 2, "bad address of a worker: here is not HOST:PORT"),
        ([*PAIRS, *TOKEN, "--worker", "127.0.0.1:1"], 2, ": worker 127.0.0.1:1: Connection refused"),
        (["worker", "--token", "short"], 2, "the token is too short: at least 16 characters"),
        (["worker", "--listen", "here"], 2, "bad address of a worker: here is not HOST:PORT"),
        (
            ["worker", "--listen", "192.0.2.1:7990"],
            2,
            "cannot listen on 192.0.2.1:7990: Cannot assign requested address",
        ),
        (["merge", "/nowhere.json"], 2, "cannot read /nowhere.json"),
        (["compare", "setup.cfg", "setup.cfg"], 2, "setup.cfg is not JSON"),
    ],
)
def test_bad_input_is_one_line(words: list[str], status: int, line: str) -> None:
    done = command.wirechat("loadgen", *words)
    *stages, last = done.err.strip().splitlines()
    assert done.status == status
    assert line in last
    assert set(stages) <= {"making people"}

"""The whole thing against a real server: clean when all is well, survived cuts and kills, and able to fail."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trustme
from click.testing import CliRunner, Result

from tests.replay.server import ServerProcess
from tools.replay import run
from tools.replay.command import replay
from tools.replay.log import read_log
from tools.replay.plan import plan
from tools.replay.run import Options
from wirechat.client import ConnectionFailed

NIGHTWATCH = Path(__file__).parents[2] / "examples" / "logs" / "nightwatch.raw.txt"
KEYS = ["accounts", "entries", "replies", "lost", "duplicated", "gaps", "reordered", "differences"]
KEYS += ["receipts", "reconnects", "seconds", "messages_per_second"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "data") as process:
        yield process


def called(*arguments: str) -> Result:
    return CliRunner().invoke(replay, [str(NIGHTWATCH), *arguments])


def test_the_example_is_played_whole(server: ServerProcess) -> None:
    """155 steps and CREATE, over TCP and WebSocket; everybody ends with everything."""
    result = called("--json", *(word for url in server.urls for word in ("--url", url)))
    assert (result.exit_code, result.stderr) == (0, "")
    figures = json.loads(result.stdout)
    assert list(figures) == KEYS
    assert {key: figures[key] for key in KEYS[:3]} == {"accounts": 13, "entries": 156, "replies": 77}
    assert not any(figures[key] for key in KEYS[3:8])
    assert figures["reconnects"] == 0
    assert figures["receipts"] >= 10


def test_several_processes_share_the_logs(server: ServerProcess, tmp_path: Path) -> None:
    """What they find adds up, and sabotage is done once."""
    again = tmp_path / "again.raw.txt"
    again.write_bytes(NIGHTWATCH.read_bytes())
    result = called(str(again), "--url", server.urls[0], "--jobs", "2", "--sabotage", "gap", "--json")
    figures = json.loads(result.stdout)
    assert (result.exit_code, figures["accounts"], figures["entries"], figures["gaps"]) == (1, 26, 313, 1)


def test_people_get_a_table(server: ServerProcess) -> None:
    result = called("--url", server.urls[0], "--limit", "20")
    assert result.exit_code == 0
    assert "Everybody has everything, once and in order." in result.stdout


def test_the_pace_of_the_log_can_be_kept(server: ServerProcess) -> None:
    """Twenty lines are five minutes."""
    result = called("--url", server.urls[0], "--limit", "20", "--speed", "300", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["seconds"] > 0.9


def test_p1_p2_p5_cut_connections_cost_nothing(server: ServerProcess) -> None:
    result = called("--url", server.urls[0], "--limit", "60", "--drop", "0.05", "--seed", "7", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["reconnects"] > 20


def test_over_tls_the_reader_binds_its_login_to_the_certificate(tmp_path: Path) -> None:
    authority, certificate = trustme.CA(), tmp_path / "server.pem"
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(trusted)
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    places = (("--tls", "127.0.0.1:0"), ("--wss", "127.0.0.1:0"))
    options = ("--cert", str(certificate), "--key", str(certificate))
    with ServerProcess(tmp_path / "data", places, options) as server:
        for url in server.urls:
            result = called("--url", url, "--limit", "20", "--ca", str(trusted), "--json")
            assert result.exit_code == 0, result.output


class Halfway:
    """Tells when 40 steps are done."""

    def __init__(self) -> None:
        self.reached = trio.Event()
        self._steps = 0

    def count(self, what: str, expected: int = 0, done: int = 0) -> None:
        self._steps += done if what == "steps" else 0
        if self._steps == 40:
            self.reached.set()


async def test_p1_p5_a_killed_server_costs_nothing(server: ServerProcess) -> None:
    """kill -9 in the middle of the play; the same data directory goes on."""
    meter = Halfway()
    options = Options([plan(read_log(NIGHTWATCH))], server.urls[:1])
    results: list[run.Result] = []

    async def play() -> None:
        results.append(await run.replay(options, meter))

    with trio.fail_after(120):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(play)
            await meter.reached.wait()
            server.kill()
            await trio.to_thread.run_sync(server.start)
    assert results[0].verdict.clean, results[0].verdict
    assert results[0].entries == 156
    assert results[0].reconnects > 0


async def test_p12_a_server_that_stays_away_is_said(server: ServerProcess) -> None:
    """The replay is given up, and says what has no answer instead of hanging or passing."""
    meter = Halfway()
    options = Options([plan(read_log(NIGHTWATCH))], server.urls[:1], stalled_seconds=1)
    results: list[run.Result] = []

    async def play() -> None:
        results.append(await run.replay(options, meter))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(play)
            await meter.reached.wait()
            server.kill()
    verdict = results[0].verdict
    assert any("never got an answer" in line for line in verdict.differences)
    assert "nightwatch: the reader could not connect" in verdict.differences
    assert len(verdict.lost) >= 40


async def test_p12_no_server_at_all_is_said(server: ServerProcess) -> None:
    server.kill()
    options = Options([plan(read_log(NIGHTWATCH))], server.urls[:1], stalled_seconds=0.5)
    with trio.fail_after(60), pytest.raises(ConnectionFailed, match=r"^no account could be made for 0\.5 s$"):
        await run.replay(options, Halfway())


@pytest.mark.parametrize(
    ("sabotage", "found"), [("lose", "lost"), ("double", "duplicated"), ("reorder", "reordered"), ("gap", "gaps")]
)
def test_sabotage_is_found(server: ServerProcess, sabotage: str, found: str) -> None:
    """A comparison that cannot fail proves nothing."""
    result = called("--url", server.urls[0], "--limit", "40", "--sabotage", sabotage, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)[found] > 0
    assert any(line.startswith(f"{found}: nightwatch: ") for line in result.stderr.splitlines())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{missing}", "--url", "wirechat://127.0.0.1"], "error: {missing}: No such file or directory"),
        (["{other}", "--url", "wirechat://127.0.0.1"], "error: {other}:1: not a line of an IRC log: 'hello'"),
        (
            ["{log}", "--url", "http://127.0.0.1"],
            "error: bad URL: 'http://127.0.0.1' must begin with one of wirechat://, ",
        ),
        (["{log}", "--url", "wirechat://"], "error: bad URL: 'wirechat://' names no host"),
        (["{log}", "--url", "wirechat://127.0.0.1:99999"], "error: bad URL: "),
    ],
)
def test_bad_arguments_are_one_line_and_status_2(tmp_path: Path, arguments: list[str], message: str) -> None:
    names = {"missing": str(tmp_path / "missing.txt"), "other": str(tmp_path / "other.txt"), "log": str(NIGHTWATCH)}
    Path(names["other"]).write_text("hello\n")
    result = CliRunner().invoke(replay, [argument.format(**names) for argument in arguments])
    assert result.exit_code == 2
    assert result.stderr.startswith(message.format(**names))
    assert result.stderr.count("\n") == 1

"""The runner against this client, whole and broken, and against programs that are no good clients."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools.conformance.catalogue import CLIENT_CHECKS
from tools.conformance.clients import checks as _checks  # noqa: F401  every module enters its checks
from tools.mutants.hunt import CLIENT, DRIVER, hunt, mutants
from tools.mutants.warm import warm
from tools.simulate.bugs import ROOT, Bug

NOT_HERE = ("not on wirechat://", "not on ws://")
WEBSOCKET = ("2.3/", "2.4/", "7.3/", "8.8/revoked", "14.1/a-fatal-error", "15.1/an-ack-before-going")
BITES = {
    "resume-live-while-catching-up": "12.9/the-race-of-pages-and-a-crash",
    "login-fights-for-its-device": "7.7/replaced",
}


@pytest.fixture(scope="module")
def command() -> Iterator[list[str]]:
    with warm(ROOT, DRIVER) as words:
        yield words


def conform(*arguments: str, command: list[str]) -> dict[str, Any]:
    """The runner as a stranger has it: -S leaves out everything that was installed."""
    words = [sys.executable, "-S", "-m", "tools.conformance", "client", "--json", *arguments, "--", *command]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["passed"] is (done.returncode == 0)
    return report


def failed(report: dict[str, Any]) -> list[Any]:
    return [(row["id"], row["why"], row.get("frames")) for row in report["checks"] if row["status"] == "fail"]


def skipped(report: dict[str, Any]) -> dict[str, str]:
    return {row["id"]: row["why"] for row in report["checks"] if row["status"] == "skip"}


def test_p12_this_client_conforms(command: list[str]) -> None:
    """Every check passes; the runner itself has nothing that was installed."""
    report = conform("--quick", "--threads", "24", "--timeout", "20", command=command)
    assert failed(report) == []
    assert {name: why for name, why in skipped(report).items() if why not in NOT_HERE} == {}
    assert len(report["checks"]) > 150
    assert report["agent"].startswith("wirechat-python/")


def test_it_conforms_over_websocket(command: list[str]) -> None:
    """Where the transport makes a difference."""
    chosen = [word for name in WEBSOCKET for word in ("--only", name)]
    report = conform("--listen", "ws://127.0.0.1:0", "--threads", "16", "--timeout", "20", *chosen, command=command)
    assert failed(report) == []
    assert set(skipped(report).values()) <= set(NOT_HERE)


def test_a_client_that_is_no_driver() -> None:
    """The bot in ten lines ignores its standard input: it is checked by what it sends, the rest is skipped."""
    cold = [sys.executable, "-c", BOT, str(ROOT / "examples" / "ten_lines.py"), "{url}", "{handle}", "{password}"]
    report = conform(
        "--level", "L0", "--only", "7.4/pings-are-answered", "--only", "14.1/never", "--timeout", "20", command=cold
    )
    statuses = {row["id"]: (row["status"], row["why"]) for row in report["checks"]}
    assert statuses["7.4/pings-are-answered"] == ("pass", "")
    assert statuses["14.1/never"] == ("skip", "the command does not answer on standard input")


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node on this machine")
def test_a_client_of_another_language() -> None:
    """examples/client.mjs shares no line with the library; with all checks it is in docs/proof.md."""
    chosen = [word for name in ("12.9/", "12.6/", "11.1/", "8.3/") for word in ("--only", name)]
    report = conform("--threads", "8", "--timeout", "20", *chosen, command=["node", "examples/client.mjs"])
    assert failed(report) == []
    assert set(skipped(report).values()) == {"the driver does not know the command 'older'"}


BOT = """
import os, runpy, sys
os.chdir(os.environ["WIRECHAT_STATE"])
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("name", BITES)
def test_a_mutant_is_caught(name: str) -> None:
    """`make mutants` hunts all of them, with all checks."""
    assert hunt(mutants([name], CLIENT)[0], [BITES[name]], CLIENT) == [BITES[name]]


@pytest.mark.parametrize("mutant", mutants(side=CLIENT), ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_source(mutant: Bug) -> None:
    """A patch that does not apply any more proves nothing; each says what it breaks, in a sentence."""
    command = ["git", "apply", "--check", str(mutant.patch)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert mutant.about.strip().endswith(".")


def test_there_are_enough_of_both() -> None:
    """Checks with a sentence each, and mutants in every area."""
    assert len(mutants(side=CLIENT)) >= 50
    assert len(CLIENT_CHECKS) >= 150


def wrong(*words: str) -> str:
    """The one line that says what is wrong."""
    command = [sys.executable, "-S", "-m", "tools.conformance", "client", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "give the command of the client behind --"),
        (("--",), "give the command of the client behind --"),
        (("--listen", "somewhere", "--", "true"), "'somewhere' is not HOST:PORT"),
        (("--listen", "http://127.0.0.1:0", "--", "true"), "must begin with wirechat:// or ws://"),
        (("--listen", "127.0.0.1:99999", "--", "true"), "is not HOST:PORT"),
        (("--listen", "192.0.2.1:0", "--", "true"), "cannot listen at 192.0.2.1:0"),
        (("--only", "9.9/nothing", "--", "true"), "no check is called 9.9/nothing"),
        (("--", "/nowhere/client"), "the command /nowhere/client cannot be started"),
        (("--", sys.executable, "-c", "raise SystemExit('no such server')"), "ended before it said anything"),
        (("true",), "unrecognized arguments: true"),
    ],
)
def test_wrong_use_is_one_line(words: tuple[str, ...], told: str) -> None:
    """Exit status 2."""
    assert told in wrong(*words)


def test_an_address_in_use_is_told() -> None:
    """With what to do about it in the words of the system."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert "Address already in use" in wrong("--listen", address, "--", "true")


def test_a_command_that_is_no_client_is_told() -> None:
    """What it sends is no frame; the line says so."""
    line = wrong("--timeout", "1", "--", sys.executable, "-c", NO_CLIENT)
    assert "frames as the schema says" in line


NO_CLIENT = """
import os, socket, urllib.parse
place = urllib.parse.urlsplit(os.environ["WIRECHAT_URL"])
with socket.create_connection((place.hostname, place.port)) as connection:
    connection.sendall(b"GET / HTTP/1.1\\r\\n\\r\\n")
    connection.recv(1)
"""


def test_a_report_shows_frames_of_both_sides(command: list[str]) -> None:
    """Decoded, with their bytes, and what the driver was told."""
    arguments = ["client", "--frames", "--only", "11.1/the-cid-is-kept-over-connections"]
    done = subprocess.run(
        [sys.executable, "-m", "tools.conformance", *arguments, "--", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    for told in ("<- HELLO(", "-> WELCOME(", '-> {"id": 1, "do": "send"', "<- SEND(rid=", "conn2"):
        assert told in done.stdout
    assert not [line for line in done.stdout.splitlines() if "no msgpack" in line]


def test_the_state_of_a_client_is_forgotten_in_the_end(command: list[str], tmp_path: Path) -> None:
    """Nothing is left in the folder for temporary files, nor a process."""
    code = f"import tempfile; tempfile.tempdir = {str(tmp_path)!r}; from tools.conformance.command import main; "
    code += f"raise SystemExit(main(['client', '--only', '7.1/', '--', *{command!r}], 'conform'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert list(tmp_path.iterdir()) == []

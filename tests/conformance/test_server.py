"""The runner against this server, whole and broken."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools.mutants import hunt
from tools.mutants.hunt import ROOT, mutants
from tools.simulate.bugs import Bug

NOT_HERE = (
    "not on wirechat://",
    "not on ws://",
    "the server greases connections with a window",
    "this machine is too slow to spend the budget of requests",
)
HUNT = """
import pathlib, sys, time
from tools.mutants import hunt
with hunt.serving(hunt.ROOT, pathlib.Path(sys.argv[1]), "tcp") as url:
    print(url, flush=True)
    time.sleep(60)
"""
BITES = {
    "envelope-even-extras-ignored": "4.4/even-extras-are-not-executed",
    "sending-cid-with-any-content": "11.1/a-cid-with-other-content-is-refused",
    "limits-refused-requests-are-free": "7.5/who-goes-on-without-waiting-is-ended",
}


@pytest.fixture
def serving(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with hunt.serving(ROOT, tmp_path / "data", request.param) as url:
        yield url


@pytest.mark.parametrize("serving", ["tcp", "ws"], indirect=True)
def test_p12_this_server_conforms(serving: str) -> None:
    """Every check passes; the runner itself has nothing that was installed."""
    command = [sys.executable, "-S", "-m", "tools.conformance", "server", serving, "--quick", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    report: dict[str, Any] = json.loads(done.stdout)
    failed = [(row["id"], row["why"], row.get("frames")) for row in report["checks"] if row["status"] == "fail"]
    assert failed == []
    skipped = {row["id"]: row["why"] for row in report["checks"] if row["status"] == "skip"}
    assert {name: why for name, why in skipped.items() if why not in NOT_HERE} == {}
    assert done.returncode == 0


@pytest.mark.parametrize("name", BITES)
def test_a_mutant_is_caught(name: str) -> None:
    """`make mutants` hunts all of them, with all checks."""
    assert hunt.hunt(mutants([name])[0], [BITES[name]]) == [BITES[name]]


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_source(mutant: Bug) -> None:
    """A patch that does not apply any more proves nothing."""
    command = ["git", "apply", "--check", str(mutant.patch)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_mutant_says_what_it_breaks() -> None:
    """In a sentence, before its diff; there are enough of them, in every area."""
    assert all(mutant.about.strip().endswith(".") for mutant in mutants())
    assert len(mutants()) >= 20


def test_the_server_of_a_hunt_that_is_killed_ends_with_it(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HUNT, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    place = ("127.0.0.1", int(process.stdout.readline().rpartition(":")[2]))
    socket.create_connection(place).close()
    process.kill()
    process.communicate()
    for _ in range(100):
        try:
            socket.create_connection(place).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.1)
    pytest.fail("it still listens")


def test_a_closed_server_is_told_in_one_line(tmp_path: Path) -> None:
    """Exit status 2, with what to do. Another address than loopback may not register."""
    address = _other_address()
    with hunt.serving(ROOT, tmp_path / "data", "tcp", address) as url:
        assert "does not allow registration" in _refused(url)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [([], "no TLS there"), (["--ca", "missing.pem"], "missing.pem is no file of certificates in PEM")],
)
def test_what_is_wrong_with_tls_is_told_in_one_line(arguments: list[str], said: str, tmp_path: Path) -> None:
    with hunt.serving(ROOT, tmp_path / "data", "tcp") as url:
        assert said in _refused(url.replace("wirechat://", "wirechats://"), *arguments)


def _refused(*arguments: str) -> str:
    """The one line that says why no server is checked with these arguments."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.conformance", "server", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    return line


def _other_address() -> str:
    """An address of this machine that is not loopback."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            if os.environ.get("REQUIRE_ALL") == "1":
                raise
            pytest.skip("this machine has no address but loopback")
        return str(probe.getsockname()[0])

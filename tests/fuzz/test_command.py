"""`python -m tools.fuzz` finds what is planted, tells how to see it again, and keeps a ledger of what was run."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tools.fuzz.__main__ import main
from tools.fuzz.bodies import build
from tools.simulate import bugs as bank
from tools.simulate.bugs import ROOT, Bug

BUGS = ROOT / "tests" / "fuzz" / "bugs"
REQUIRED = os.environ.get("REQUIRE_ALL") == "1"
needs_atheris = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None and not REQUIRED, reason="atheris has no wheel for this machine"
)


def invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, arguments)
    return result.exit_code, result.output


def fuzz(root: Path, *arguments: str) -> tuple[int, str]:
    """The command on the source tree in `root`."""
    command = [sys.executable, "-m", "tools.fuzz", *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=300)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


@needs_atheris
@pytest.mark.parametrize(
    "target", [("codec", "--frames", "4000"), ("sessions", "--sessions", "80")], ids=["codec", "sessions"]
)
def test_p10_a_short_fuzz_finds_nothing(target: tuple[str, ...], tmp_path: Path) -> None:
    """New inputs in every run, from the first seeds on; kept ones are judged without it."""
    status, output = fuzz(ROOT, *target, "--seed", str(os.getpid()), "--corpus", str(tmp_path / "none.txt"), "--json")
    report = json.loads(output)
    assert report["finds"] == []
    assert (status, report["faults"]) == (0, 0)
    assert report[target[1].strip("-")] >= int(target[2])


@needs_atheris
def test_a_planted_bug_of_the_codec_is_found_and_replayed(tmp_path: Path) -> None:
    """A fuzzer that finds nothing proves little until it finds what is known to be there."""
    bank.plant(bank.bugs(["codec-one-too-many"], BUGS)[0], tmp_path)
    status, output = fuzz(tmp_path, "codec", "--frames", "1000000", "--minutes", "3")
    assert status == 1
    command = next(line for line in output.splitlines() if "--replay" in line).split()
    assert command[:5] == ["python", "-m", "tools.fuzz", "codec", "--replay"]
    status, story = fuzz(tmp_path, *command[3:])
    assert status == 1
    assert "1 inputs, 1 with faults" in story


@needs_atheris
def test_a_planted_bug_of_the_server_is_found(tmp_path: Path) -> None:
    """One that only somebody who is logged in can reach."""
    bank.plant(bank.bugs(["sessions-ack-too-high"], BUGS)[0], tmp_path)
    status, output = fuzz(tmp_path, "sessions", "--sessions", "20000", "--minutes", "3")
    assert status == 1
    assert "a frame failed AssertionError" in output


@pytest.mark.parametrize("bug", bank.bugs(folder=BUGS), ids=lambda bug: bug.name)
def test_a_planted_bug_fits_the_source(bug: Bug) -> None:
    """A patch that does not apply any more finds nothing and proves nothing."""
    command = ["git", "apply", "--check", str(bug.patch)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_input_is_replayed_with_its_story(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(build([3, 7]))
    status, story = invoke("codec", "--replay", str(path))
    assert (status, story.splitlines()[0]) == (0, "from a client: PING  {'t': 7}")
    assert "1 inputs, 0 with faults" in story
    status, output = invoke("codec", "--replay", str(path), "--json")
    assert json.loads(output) == {"target": "codec", "inputs": 1, "faults": []}


def test_without_atheris_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    status, output = invoke("codec")
    assert status == 2
    assert "fuzzing needs the package atheris" in output


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("paint",),
        ("codec", "--frames", "0"),
        ("codec", "--sessions", "5"),
        ("sessions", "--minutes", "0"),
        ("codec", "--replay", "nothing-here"),
        ("codec", "--corpus", "README.md"),
        ("codec", "--replay", "requirements.txt"),
    ],
)
def test_bad_arguments_end_with_status_2_and_one_reason(arguments: tuple[str, ...], tmp_path: Path) -> None:
    status, output = invoke(*arguments)
    assert status == 2
    assert "Traceback" not in output

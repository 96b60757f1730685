"""`python -m tools.simulate` tells what it found, how to see it again, and says so in its exit status."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.simulation.test_promises import REACHED
from tools import ledger
from tools.simulate import campaign
from tools.simulate.__main__ import main
from tools.simulate.run import Outcome


def invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, arguments)
    return result.exit_code, result.output


def test_sound_seeds_end_with_status_0_and_numbers() -> None:
    status, output = invoke("--seeds", "2", "--jobs", "1", "--json")
    report = json.loads(output)
    assert (status, report["seeds"], report["failures"]) == (0, 2, [])
    assert report["counts"]["acknowledged"] > 0


def test_a_broken_promise_ends_with_status_1_and_the_command_that_replays_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "run", lambda seed: Outcome(seed, "", 1.0, ["P3 gap: 7 lacks [3]"], {}))
    status, output = invoke("--seeds", "1", "--first", "9", "--jobs", "1")
    assert status == 1
    assert "P3 gap: 7 lacks [3]    python -m tools.simulate --seed 9" in output


def test_one_seed_tells_its_story() -> None:
    status, output = invoke("--seed", "3")
    assert status == 0
    assert "HELLO" in output
    assert re.search(r"^seed 3: trace .* simulated seconds, 0 violations$", output, re.MULTILINE)


def test_a_ledger_goes_on_after_the_last_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line for each run; seeds are never counted twice."""
    monkeypatch.setattr(ledger, "commit", lambda: "0123456789ab")
    path = tmp_path / "ledger.jsonl"
    for _ in range(2):
        assert invoke("--seeds", "2", "--jobs", "1", "--ledger", str(path))[0] == 0
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert (first["seeds"], second["seeds"]) == ([1, 2], [3, 4])
    assert first["violations"] == 0
    assert first["faults"].keys() <= {name.removeprefix("fault ") for name in REACHED}
    assert {"date", "commit", "command", "trio", "simulated_hours", "acknowledged", "cpu_seconds"} <= first.keys()


def test_a_run_ends_after_its_minutes() -> None:
    status, output = invoke("--seeds", "1000", "--jobs", "1", "--minutes", "0.001", "--json")
    assert status == 0
    assert json.loads(output)["seeds"] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("--seeds", "0"),
        ("--seed", "x"),
        ("--minutes", "0"),
        ("--seed", "1", "--ledger", "somewhere.jsonl"),
        ("--first", "1", "--ledger", "somewhere.jsonl"),
        ("bugs", "no-such-bug"),
    ],
)
def test_bad_arguments_end_with_status_2_and_one_reason(arguments: tuple[str, ...]) -> None:
    status, output = invoke(*arguments)
    assert status == 2
    assert "Error: " in output
    assert "Traceback" not in output

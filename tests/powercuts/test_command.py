"""`python -m tools.powercuts` tells what it found, how to see it again, and keeps a ledger of what was really run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from tools import ledger
from tools.powercuts.__main__ import main


def invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, arguments)
    return result.exit_code, result.output


def test_a_sound_store_ends_with_status_0_and_figures() -> None:
    status, output = invoke("--cuts", "20", "--jobs", "1", "--json")
    report = json.loads(output)
    assert (status, report["lost"], report["damaged"], report["failures"]) == (0, 0, 0, [])
    assert report["cuts"] >= 20
    assert report["acknowledged"] > 0


def test_a_broken_promise_ends_with_status_1_and_the_command_that_replays_it() -> None:
    status, output = invoke("--cuts", "20", "--jobs", "1", "--sabotage", "lies")
    assert status == 1
    seed = output.partition("python -m tools.powercuts --seed ")[2].split()[0]
    assert f"python -m tools.powercuts --seed {seed} --sabotage lies" in output
    status, story = invoke("--seed", seed, "--sabotage", "lies")
    assert status == 1
    assert "power cut" in story
    assert "BROKEN" in story
    assert re.search(rf"^seed {seed}: trace .* cuts, [1-9]\d* violations?$", story, re.MULTILINE)


def test_a_seed_says_that_the_promises_held() -> None:
    status, story = invoke("--seed", "3")
    assert status == 0
    assert re.search(r"^seed 3: trace .* cuts, 0 violations$", story, re.MULTILINE)


def test_one_seed_for_a_machine() -> None:
    status, output = invoke("--seed", "3", "--json")
    report = json.loads(output)
    assert (status, report["seeds"], report["failures"]) == (0, 1, [])


def test_the_time_may_be_limited() -> None:
    status, output = invoke("--cuts", "1000000", "--jobs", "1", "--minutes", "0.0001", "--json")
    assert status == 0
    assert json.loads(output)["seeds"] == 1


def test_a_ledger_goes_on_after_the_last_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line for each run; seeds are never counted twice."""
    monkeypatch.setattr(ledger, "commit", lambda: "0123456789ab")
    path = tmp_path / "ledger.jsonl"
    for _ in range(2):
        assert invoke("--cuts", "20", "--jobs", "1", "--ledger", str(path))[0] == 0
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert first["seeds"][0] == 1
    assert second["seeds"][0] == first["seeds"][1] + 1
    assert first["cuts"] >= 20
    assert first["lost"] == first["damaged"] == first["failures"] == 0
    assert {"date", "commit", "command", "acknowledged", "cpu_seconds"} <= first.keys()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--cuts", "0"),
        ("--seed", "x"),
        ("--minutes", "0"),
        ("--sabotage", "gently"),
        ("--sabotage", "lies", "--ledger", "somewhere.jsonl"),
    ],
)
def test_bad_arguments_end_with_status_2_and_one_reason(arguments: tuple[str, ...]) -> None:
    status, output = invoke(*arguments)
    assert status == 2
    assert "Error: " in output
    assert "Traceback" not in output


@pytest.mark.parametrize("content", ["no json", "[]", '{"seeds": [1]}', '{"seeds": "17"}\n{}'])
def test_a_file_that_is_no_ledger_is_left_alone(content: str, tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text(content)
    status, output = invoke("--cuts", "20", "--jobs", "1", "--ledger", str(path))
    assert status == 2
    assert "is no ledger" in output
    assert path.read_text() == content

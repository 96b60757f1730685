"""A whole probe, as short as it may be, and what is wrong with a command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli import command


def test_this_machine_is_probed_and_nothing_is_left(tmp_path: Path) -> None:
    done = command.wirechat("plan", "--seconds", 8, "--directory", tmp_path, "--json")
    found = json.loads(done.out)
    assert done.status == (3 if found["answer"]["busy"] else 0)
    assert found["measured"]["disk"]["count"] > 0
    assert found["measured"]["idle"]["people"] >= 50
    assert found["measured"]["pairs"]["steps"][0]["rate"] == 200.0
    assert found["measured"]["groups"]["size"] == 10
    assert {line["name"] for line in found["limits"]} >= {"ulimit -n", "fs.file-max"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--seconds", "1"], "1.0 is not in the range 8"),
        (["--directory", "/nowhere"], "'/nowhere' does not exist"),
    ],
)
def test_bad_input_is_one_line(words: list[str], line: str) -> None:
    assert line in command.refused("plan", *words)

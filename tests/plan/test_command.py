"""What a probe is told as, and what is wrong with a command line."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

from tests.cli import command
from tests.plan.test_answer import MEASURED
from tools.plan import command as plan
from tools.plan.probe import probe

SECONDS = 5.0
"""Less than one may ask for: it shows how it goes, not how much."""


def test_this_machine_is_probed_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "probe", lambda place, _, files, tell: probe(place, SECONDS, files, tell))
    done = command.wirechat("plan", "--directory", tmp_path, "--json")
    found = json.loads(done.out)
    assert done.status == (3 if found["answer"]["busy"] else 0)
    assert found["measured"]["disk"]["count"] > 0
    assert found["measured"]["idle"]["people"] >= 50
    assert found["measured"]["pairs"]["steps"][0]["rate"] == 200.0
    assert found["measured"]["groups"]["size"] == 10
    assert {line["name"] for line in found["limits"]} >= {"ulimit -n", "fs.file-max"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("others", "status"), [(0.1, 0), (1.2, 3)])
def test_people_are_told_what_it_comes_to(others: float, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = attrs.evolve(MEASURED, idle=attrs.evolve(MEASURED.idle, others=others))
    monkeypatch.setattr(plan, "_measure", lambda *_: measured)
    done = command.wirechat("plan")
    assert done.status == status
    for words in (
        "measured in 75 s",
        "extrapolated",
        "200 one to one",
        "the server's loop: 0.90 cores",
        "ulimit -n 81984",
    ):
        assert words in done.out
    assert ("not valid: other processes used 1.2 cores" in done.out) == bool(status)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--seconds", "1"], "1.0 is not in the range 8"),
        (["--directory", "/nowhere"], "'/nowhere' does not exist"),
    ],
)
def test_bad_input_is_one_line(words: list[str], line: str) -> None:
    assert line in command.refused("plan", *words)

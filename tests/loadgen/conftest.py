"""A server that is loaded again and again, and a result."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.benchmark import ROOT
from bench.process import Process, serve
from tools.loadgen import scenario
from tools.loadgen.measures import Measures

TALK = """
about = "talk in pairs"
people = 20
[conversations]
size = 2
[[activities]]
kind = "messages"
rate = 100
[[phases]]
name = "hold"
seconds = 2
"""


@pytest.fixture(scope="package")
def running() -> Iterator[Process]:
    """One server for all who leave theirs as it was."""
    with serve(ROOT, "--tcp", "127.0.0.1:0") as process:
        yield process


@pytest.fixture
def url(running: Process) -> str:
    """Of that server."""
    return f"wirechat://127.0.0.1:{running.port}"


@pytest.fixture
def result(tmp_path: Path) -> Path:
    """What `run --json` printed, of a run in which nothing happened."""
    names = "people conversations server_cpu_seconds bytes_sent bytes_received generator_cpu_seconds unfinished"
    plain = {
        "format": "wirechat-loadgen 1", "url": "wirechat://x", "target": "wirechat", "seed": 1, "processes": 1,
        "checked": True, "share": {"number": 1, "of": 1}, "watched": None, "began": 0, "machine": {}, "phases": [],
        "samples": [], "violations": [], "invalid": [],
        "partial": "", "scenario": {"name": "talk", **scenario.to_plain(scenario.parse(TALK, "talk"))},
        "measures": Measures().as_plain(), "counted": {}, "totals": dict.fromkeys(names.split(), 0),
    }  # fmt: skip
    path = tmp_path / "result.json"
    path.write_text(json.dumps(plain))
    return path

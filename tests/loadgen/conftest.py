"""A server that is loaded again and again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.benchmark import ROOT
from bench.process import Process, serve


@pytest.fixture(scope="package")
def running() -> Iterator[Process]:
    """One server for all who leave theirs as it was."""
    with serve(ROOT, "--tcp", "127.0.0.1:0") as process:
        yield process


@pytest.fixture
def url(running: Process) -> str:
    """Of that server."""
    return f"wirechat://127.0.0.1:{running.port}"

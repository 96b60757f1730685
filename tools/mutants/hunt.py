"""One mutant: a copy of the source with a patch, its server as a process of its own, and what the runner says of it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs

from tools.simulate.bugs import ROOT, Bug, bugs, plant

MUTANTS = ROOT / "tests" / "conformance" / "mutants"
PATIENCE_SECONDS = 4
"""Seconds the runner waits for what must come: a mutant often answers nothing."""
STARTING_SECONDS = 20


class Unusable(Exception):
    """A mutant that does not start, or on which no check can be run; the message is one line."""


@attrs.frozen
class Caught:
    """What the runner said. `failed`: the checks that failed, a MUST first."""

    mutant: str
    failed: list[str]
    seconds: float


def mutants(names: Iterable[str] = ()) -> list[Bug]:
    """Those with these names, or all. Raises KeyError with the name that does not exist."""
    return bugs(names, MUTANTS)


def hunt(mutant: Bug, only: Iterable[str] = ()) -> Caught:
    """Run the checks against one mutant. Raises StalePatch, Unusable."""
    with tempfile.TemporaryDirectory(prefix="wirechat-mutant-") as directory:
        tree = Path(directory) / "tree"
        plant(mutant, tree)
        return _judged(mutant.name, tree, Path(directory) / "data", only)


def whole(only: Iterable[str] = ()) -> Caught:
    """The same with the server as it is: a check that fails here catches nothing. Raises Unusable."""
    with tempfile.TemporaryDirectory(prefix="wirechat-mutant-") as directory:
        return _judged("", ROOT, Path(directory) / "data", only)


def _judged(name: str, tree: Path, data: Path, only: Iterable[str]) -> Caught:
    transport = "ws" if name.startswith("websocket") else "tcp"
    with serving(tree, data, transport) as url:
        report = conform(url, only)
    rows = sorted(report["checks"], key=lambda row: not row["must"])
    return Caught(name, [row["id"] for row in rows if row["status"] == "fail"], report["seconds"])


@contextlib.contextmanager
def serving(tree: Path, data: Path, transport: str, host: str = "127.0.0.1") -> Iterator[str]:
    """The server of this source tree, listening at a free port; its URL. Raises Unusable."""
    place = [f"--{transport}", f"{host}:0"]
    command = [sys.executable, "-m", "wirechat.cli.main", "serve", "--data", str(data), *place]
    with tempfile.NamedTemporaryFile("w+", prefix="wirechat-mutant-") as told:
        process = subprocess.Popen(command, cwd=tree, stderr=told, stdout=subprocess.DEVNULL)
        try:
            yield _url(process, Path(told.name))
        finally:
            process.kill()
            process.wait()


def _url(process: subprocess.Popen[bytes], told: Path) -> str:
    for _ in range(STARTING_SECONDS * 20):
        for line in told.read_text().splitlines():
            if '"listening"' in line:
                return str(json.loads(line)["url"])
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
            break
    raise Unusable(f"the server does not start: {told.read_text()[-200:]!r}")


def conform(url: str, only: Iterable[str] = ()) -> dict[str, Any]:
    """The runner's report. Raises Unusable."""
    chosen = [word for name in only for word in ("--only", name)]
    command = [sys.executable, "-m", "tools.conformance", "server", url, "--quick", "--json"]
    command += ["--timeout", str(PATIENCE_SECONDS), *chosen]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise Unusable(done.stderr.strip().splitlines()[-1])
    report: dict[str, Any] = json.loads(done.stdout)
    return report

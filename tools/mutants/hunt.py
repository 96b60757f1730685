"""One mutant: a copy of the source with a patch, its server or client at work, and what the runner says of it."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs

from tools.cluster.guard import Guard
from tools.conformance.catalogue import CHECKS, CLIENT_CHECKS, TRANSPORTS, Bank
from tools.mutants.warm import Cold, warm
from tools.simulate.bugs import ROOT, Bug, bugs, plant

PATIENCE_SECONDS = 4
"""Seconds the runner waits for what must come: a mutant often answers nothing."""
STARTING_SECONDS = 20
CLIENTS = 20
"""At a time."""
DRIVER = ROOT / "examples" / "conform_driver.py"

Report = dict[str, Any]


class Unusable(Exception):
    """A mutant that does not start, or on which no check can be run; the message is one line."""


@attrs.frozen
class Side:
    """Servers or clients. `folder`: of the mutants; `report`: of a run against the source of a tree."""

    name: str
    folder: Path
    checks: Bank
    report: Callable[[str, Path, Path, Iterable[str]], Report]

    @property
    def runnable(self) -> list[str]:
        """The checks that a quick run over TCP has."""
        return [
            check.id
            for check in self.checks.values()
            if not check.slow and (check.needs is None or "wirechat" in TRANSPORTS[check.needs])
        ]


def _of_server(name: str, tree: Path, data: Path, only: Iterable[str]) -> Report:
    with serving(tree, data, "ws" if name.startswith("websocket") else "tcp") as url:
        return conform(["server", url, *_named(only)])


def _of_client(name: str, tree: Path, data: Path, only: Iterable[str]) -> Report:
    address = "ws://127.0.0.1:0" if name.startswith("websocket") else "127.0.0.1:0"
    try:
        with warm(tree, DRIVER) as command:
            return conform(["client", "--listen", address, "--threads", str(CLIENTS), *_named(only)], ["--", *command])
    except Cold as error:
        raise Unusable(str(error)) from None


SERVER = Side("server", ROOT / "tests" / "conformance" / "mutants", CHECKS, _of_server)
CLIENT = Side("client", ROOT / "tests" / "conformance" / "clients", CLIENT_CHECKS, _of_client)


def mutants(names: Iterable[str] = (), side: Side = SERVER) -> list[Bug]:
    """Those with these names, or all. Raises KeyError with the name that does not exist."""
    return bugs(names, side.folder)


def hunt(mutant: Bug, only: Iterable[str] = (), side: Side = SERVER) -> list[str]:
    """The checks that fail with this mutant, a MUST first. Raises StalePatch, Unusable."""
    with tempfile.TemporaryDirectory(prefix="wirechat-mutant-") as directory:
        tree = Path(directory) / "tree"
        plant(mutant, tree)
        return _judged(side, mutant.name, tree, Path(directory) / "data", only)


def whole(only: Iterable[str] = (), side: Side = SERVER) -> list[str]:
    """The same with the product as it is: a check that fails here catches nothing. Raises Unusable."""
    with tempfile.TemporaryDirectory(prefix="wirechat-mutant-") as directory:
        return _judged(side, "", ROOT, Path(directory) / "data", only)


def _judged(side: Side, name: str, tree: Path, data: Path, only: Iterable[str]) -> list[str]:
    report = side.report(name, tree, data, only)
    rows = sorted(report["checks"], key=lambda row: not row["must"])
    return [row["id"] for row in rows if row["status"] == "fail"]


@contextlib.contextmanager
def serving(tree: Path, data: Path, transport: str, host: str = "127.0.0.1") -> Iterator[str]:
    """The server of this source tree, listening at a free port; its URL. Raises Unusable."""
    place = [f"--{transport}", f"{host}:0"]
    command = [sys.executable, "-m", "wirechat.cli.main", "serve", "--data", str(data), *place]
    with (
        tempfile.NamedTemporaryFile("w+", prefix="wirechat-mutant-") as told,
        contextlib.closing(Guard(signal.SIGKILL)) as guard,
    ):
        process = subprocess.Popen(command, cwd=tree, stderr=told, stdout=subprocess.DEVNULL, process_group=guard.group)
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


def _named(only: Iterable[str]) -> list[str]:
    return [word for name in only for word in ("--only", name)]


def conform(arguments: list[str], command: Iterable[str] = ()) -> Report:
    """The runner's report. `command`: of the client. Raises Unusable."""
    words = [*arguments, "--quick", "--json", "--timeout", str(PATIENCE_SECONDS), *command]
    done = subprocess.run(
        [sys.executable, "-m", "tools.conformance", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1):
        raise Unusable(done.stderr.strip().splitlines()[-1])
    report: Report = json.loads(done.stdout)
    return report

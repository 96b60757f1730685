"""Running pip-audit, with an end to it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterable
from importlib.metadata import distributions
from pathlib import Path

from tools.audit.report import Report, read

SECONDS_MAX = 90.0
"""For one service and all packages: it takes some seconds."""

SAID_MAX = 120
"""Of what a service says about its failure."""

SERVICES = ("pypi", "osv")
"""The second is asked when the first cannot be reached or knows nothing."""

OURS = frozenset({"wirechat", "pip", "setuptools", "wheel"})
"""The project itself, and what makes an environment and is no dependency of it."""

COMMAND = (sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--progress-spinner", "off")


def installed() -> list[str]:
    """name==version of every package in this environment but OURS."""
    found = {each.metadata["Name"].lower(): each.version for each in distributions()}
    return [f"{name}=={version}" for name, version in sorted(found.items()) if name not in OURS]


def ask(service: str, packages: Iterable[str], command: tuple[str, ...] = COMMAND) -> Report | str:
    """What the service knows of these, or why nothing could be learnt from it."""
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "requirements.txt"
        listed.write_text("\n".join(packages))
        what = ("--requirement", str(listed), "--vulnerability-service", service)
        how = ("--format", "json", "--timeout", "10")
        try:
            done = subprocess.run(
                [*command, *what, *how], capture_output=True, text=True, timeout=SECONDS_MAX, check=False
            )
        except subprocess.TimeoutExpired:
            return f"{service} did not answer in {SECONDS_MAX:g} s"
    try:
        return read(done.stdout)
    except ValueError:
        return f"{service} could not be asked: {_why(done.stderr)}"


def _why(said: str) -> str:
    if any(name in said for name in ("ConnectionError", "Timeout", "SSLError")):
        return "no connection"
    return textwrap.shorten(said.strip().splitlines()[-1], SAID_MAX) if said.strip() else "pip-audit said nothing"

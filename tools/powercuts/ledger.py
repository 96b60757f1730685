"""What was really run, one line of JSON for each run; the next run begins after the last seed of all.

Rules: a line is written anew while its run goes on, so that what was run until an interruption is in it. Lines of
other runs are never touched.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import apsw
import click

ROOT = Path(__file__).parents[2]


class Ledger:
    """A file with a line for each run, and the line of this one."""

    def __init__(self, path: Path, command: str) -> None:
        self._path = path
        self._lines = read(path)
        self._about = {
            "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M"),
            "commit": _commit(),
            "command": command,
            "python": platform.python_version(),
            "sqlite": apsw.sqlite_lib_version(),
        }

    @property
    def next_seed(self) -> int:
        """The first that was never run."""
        return max((line["seeds"][1] for line in self._lines), default=0) + 1

    def write(self, seeds: tuple[int, int], figures: dict[str, Any]) -> None:
        """This run so far: first and last seed, and what came of them."""
        lines = [*self._lines, {**self._about, "seeds": list(seeds), **figures}]
        part = self._path.with_name(f".{self._path.name}.part")
        part.write_text("".join(json.dumps(line) + "\n" for line in lines))
        os.replace(part, self._path)


def read(path: Path) -> list[dict[str, Any]]:
    """All lines. Raises click.UsageError when it is no ledger."""
    try:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            int(line["seeds"][1])
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise click.UsageError(f"{path} is no ledger: {error}") from None
    return lines


def _commit() -> str:
    """Of the source that runs; with a plus when it was changed since."""
    try:
        told = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty=+"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return told.stdout.strip()

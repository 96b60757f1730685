"""What was really run, one line of JSON for each run; the next run begins after the last seed of all.

Rules: a line is written anew while its run goes on, so that what was run until an interruption is in it. Lines of
other runs are never touched. A line names the commit that ran, so there is none for source that no commit has.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[1]


class Ledger:
    """A file with a line for each run, and the line of this one."""

    def __init__(self, path: Path, about: Mapping[str, str]) -> None:
        """`about`: what else the line says of the run, such as versions. Raises click.UsageError when the path is no
        ledger of such runs or cannot be written, or the source is not what its commit says.
        """
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        self._lines = read(path)
        if any(not about.keys() <= line.keys() for line in self._lines):
            raise click.UsageError(f"{path} is the ledger of something else")
        _try(self._part)
        module = sys.modules["__main__"].__spec__
        name = module.name.removesuffix(".__main__") if module else Path(sys.argv[0]).name
        self._about = {
            "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M"),
            "commit": commit(),
            "command": " ".join(["python -m", name, *sys.argv[1:]]),
            "python": platform.python_version(),
            **about,
        }

    @property
    def next_seed(self) -> int:
        """The first that was never run."""
        return max((line["seeds"][1] for line in self._lines), default=0) + 1

    def write(self, seeds: tuple[int, int], figures: Mapping[str, Any]) -> None:
        """This run so far: first and last seed, and what came of them."""
        lines = [*self._lines, {**self._about, "seeds": list(seeds), **figures}]
        self._part.write_text("".join(json.dumps(line) + "\n" for line in lines))
        os.replace(self._part, self._path)


def _try(part: Path) -> None:
    """Now, not when a long run is over."""
    try:
        part.touch()
        part.unlink()
    except OSError as error:
        raise click.UsageError(f"cannot write a ledger into {part.parent}: {error.strerror}") from None


def read(path: Path) -> list[dict[str, Any]]:
    """All lines. Raises click.UsageError when it is no ledger."""
    try:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            int(line["seeds"][1])
    except FileNotFoundError:
        return []
    except OSError as error:
        raise click.UsageError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, TypeError, LookupError):
        raise click.UsageError(f"{path} is no ledger: each line of one is an object with seeds") from None
    return lines


def commit(root: Path = ROOT) -> str:
    """Of the source that runs, in twelve digits. Raises click.UsageError when it was changed since; pages and ledgers,
    which do not run, may be.
    """
    changed = _git(root, "status", "--porcelain", "--", ".", ":(exclude)docs")
    if changed:
        raise click.UsageError(f"a ledger names the commit that ran: commit first what is new ({changed.split()[1]})")
    return _git(root, "rev-parse", "--short=12", "HEAD")


def _git(root: Path, *arguments: str) -> str:
    try:
        told = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise click.UsageError(f"a ledger names the commit that ran, and git cannot tell it: {error}") from None
    return told.stdout.strip()

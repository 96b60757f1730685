"""Planted bugs: patches that each break one rule of the product, and that the simulation must find.

A simulation that finds nothing proves little until it finds what is known to be there. Each `NAME.patch` is a
unified diff whose first lines say what it breaks. It is applied to a copy of the source tree, never to the tree
itself, and there is no switch for it in the product.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[2]
BUGS = ROOT / "tests" / "simulation" / "bugs"
SOURCES = ("wirechat", "tools", "protocol")
SEEDS_MAX = 500


class StalePatch(Exception):
    """A patch that does not fit the source any more; the message is one line."""


@attrs.frozen
class Bug:
    """One planted bug."""

    name: str
    about: str
    patch: Path


@attrs.frozen
class Found:
    """How a planted bug came to light. `seed` is None when it did not."""

    bug: str
    seed: int | None
    seeds: int
    violation: str


def bugs(names: Iterable[str] = (), folder: Path = BUGS) -> list[Bug]:
    """The planted bugs with these names, or all. Raises KeyError with the name that does not exist."""
    bank = {path.stem: Bug(path.stem, _about(path), path) for path in sorted(folder.glob("*.patch"))}
    return [bank[name] for name in names] or list(bank.values())


def _about(patch: Path) -> str:
    lines = patch.read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("--- "))
    return " ".join(lines[:start])


def plant(bug: Bug, tree: Path) -> None:
    """Copy the source into `tree` and break it there. Raises StalePatch."""
    for name in SOURCES:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    _apply(bug, tree)


def fit(bug: Bug) -> None:
    """Raises StalePatch when the patch does not fit the source."""
    _apply(bug, ROOT, "--check")


def _apply(bug: Bug, tree: Path, *options: str) -> None:
    command = ["git", "apply", *options, str(bug.patch)]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StalePatch(f"{bug.patch.name} does not apply: {done.stderr.strip().splitlines()[-1]}")


def hunt(bug: Bug, seeds: int = SEEDS_MAX, jobs: int = 1) -> Found:
    """Run seeds on a broken copy until one reports a violation. Raises StalePatch."""
    with tempfile.TemporaryDirectory(prefix="wirechat-bug-") as directory:
        plant(bug, Path(directory))
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "tools.simulate",
                "--seeds",
                str(seeds),
                "--jobs",
                str(jobs),
                "--until-found",
                "--json",
            ],
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{bug.name}: the simulation itself failed:\n{done.stderr}")
    report = json.loads(done.stdout)
    failures = report["failures"]
    first = min(failures, key=lambda failure: failure["seed"]) if failures else None
    return Found(bug.name, first and first["seed"], report["seeds"], first["violations"][0] if first else "")

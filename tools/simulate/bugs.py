"""Planted bugs: patches that each break one rule of the product, and that the simulation must find.

A simulation that finds nothing proves little until it finds what is known to be there. Each `NAME.patch` is a
unified diff whose first lines say what it breaks. It is applied to a copy of the source tree, never to the tree
itself, and there is no switch for it in the product.

Some orders of events are so rare that no reasonable number of seeds shows them. Such a patch names a forced vector, a
test that brings that order about (`Vector: tests/...::test_...`): it must fail on the copy, as it passes on the source.
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
TESTS = ("tests", "pyproject.toml", "setup.cfg")
VECTOR = "Vector: "
SEEDS_MAX = 500


class StalePatch(Exception):
    """A patch that does not fit the source any more; the message is one line."""


@attrs.frozen
class Bug:
    """One planted bug."""

    name: str
    about: str
    patch: Path
    vector: str | None
    """The test that shows it, where seeds are too few."""


@attrs.frozen
class Found:
    """How a planted bug came to light. `by` is empty when it did not."""

    by: str
    seeds: int
    violation: str


def bugs(names: Iterable[str] = (), folder: Path = BUGS) -> list[Bug]:
    """The planted bugs with these names, or all. Raises KeyError with the name that does not exist."""
    bank = {path.stem: _read(path) for path in sorted(folder.glob("*.patch"))}
    return [bank[name] for name in names] or list(bank.values())


def _read(patch: Path) -> Bug:
    lines = patch.read_text().splitlines()
    head = lines[: next(number for number, line in enumerate(lines) if line.startswith("--- "))]
    vectors = [line.removeprefix(VECTOR) for line in head if line.startswith(VECTOR)]
    about = " ".join(line for line in head if not line.startswith(VECTOR)).strip()
    return Bug(patch.stem, about, patch, vectors[0] if vectors else None)


def plant(bug: Bug, tree: Path) -> None:
    """Copy the source into `tree` and break it there. Raises StalePatch."""
    for name in (*SOURCES, *(TESTS if bug.vector else ())):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tree / name)
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
    """Run its vector on a broken copy, or seeds until one reports a violation. Raises StalePatch."""
    with tempfile.TemporaryDirectory(prefix="wirechat-bug-") as directory:
        plant(bug, Path(directory))
        return _force(bug, directory) if bug.vector else _search(bug, directory, seeds, jobs)


def _force(bug: Bug, tree: str) -> Found:
    done = _python(bug, tree, "pytest", "-q", "-p", "no:cacheprovider", "--no-header", bug.vector or "")
    return Found("vector" if done.returncode else "", 0, bug.vector or "")


def _search(bug: Bug, tree: str, seeds: int, jobs: int) -> Found:
    done = _python(
        bug, tree, "tools.simulate", "--seeds", str(seeds), "--jobs", str(jobs), "--until-found", "--json"
    )  # fmt: skip
    report = json.loads(done.stdout)
    if not report["failures"]:
        return Found("", report["seeds"], "")
    first = min(report["failures"], key=lambda failure: failure["seed"])
    return Found(f"seed {first['seed']}", report["seeds"], first["violations"][0])


def _python(bug: Bug, tree: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=tree, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{bug.name}: {arguments[0]} itself failed:\n{done.stdout}{done.stderr}")
    return done

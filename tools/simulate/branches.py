"""Which branches of the server and its store no seed has taken, and which of those cannot be taken in a simulation.

A branch that no seed takes is a promise that no seed checks. What cannot run here (sockets, TLS, another engine) stands
with its reason in `tests/simulation/unreached.toml`: whole files, functions, or single lines of a function. So does
what seeds hardly ever bring about, with a test that does: it is run, and must take the branch.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import io
import json
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import coverage
import pytest
from coverage.exceptions import NoDataError

from tools.ledger import ROOT
from tools.simulate.run import Outcome, run

WHERE = ("wirechat.server", "wirechat.store")
EXCUSES = ROOT / "tests" / "simulation" / "unreached.toml"
FORCED = "forced"


@attrs.frozen(order=True)
class Branch:
    """A line from which the program goes on in one of several ways, and one of those."""

    file: str
    function: str
    """Qualified; empty for what runs when the module is imported."""
    line: int
    text: str
    to: int
    """The line it goes to; negative: it leaves."""

    def __str__(self) -> str:
        way = f"to line {self.to}" if self.to > 0 else "out"
        return f"{self.file}:{self.line} {self.function}: {self.text} -> {way}"


@attrs.frozen
class Reach:
    """What many seeds have taken."""

    taken: int
    missing: tuple[Branch, ...]
    """Neither taken nor excused."""
    excused: int
    forced: int
    """Taken by no seed, but by the test that is named for it."""
    idle: tuple[str, ...]
    """Excuses that nothing needs: the branch was taken after all, or is not there any more."""


class Watch:
    """Runs seeds and remembers which branches they take. Slower than without, by half."""

    def __init__(self) -> None:
        self._seeds, self._tests = _coverage(), _coverage()

    def __call__(self, seed: int) -> Outcome:
        """One seed."""
        with self._seeds.collect():
            return run(seed)

    def force(self, excuses: Path = EXCUSES) -> None:
        """Run the tests that are named for what seeds hardly ever bring about. One that fails has shown nothing."""
        for test in sorted(set(forced(excuses).values())):
            with self._tests.collect(), contextlib.redirect_stdout(io.StringIO()):
                pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(ROOT / test)])

    def reach(self, excuses: Path = EXCUSES) -> Reach:
        """What was taken so far."""
        taken, missing = _reached(self._seeds)
        shown, _ = _reached(self._tests)
        reasons, tests = read(excuses), forced(excuses)
        left = [branch for branch in missing if not any(way in reasons for way in _ways_to_say(branch))]
        open_ = [
            branch for branch in left if branch not in shown or not any(way in tests for way in _ways_to_say(branch))
        ]
        used = {way for branch in missing for way in _ways_to_say(branch)}
        idle = sorted((reasons.keys() | tests.keys()) - used)
        return Reach(len(taken), tuple(sorted(open_)), len(missing) - len(left), len(left) - len(open_), tuple(idle))


def _coverage() -> coverage.Coverage:
    found = coverage.Coverage(branch=True, source_pkgs=list(WHERE), data_file=None, config_file=False)
    found.set_option("run:disable_warnings", ["module-not-measured", "no-data-collected"])
    return found


def _reached(found: coverage.Coverage) -> tuple[set[Branch], set[Branch]]:
    """The branches that were taken, and the others."""
    with tempfile.TemporaryDirectory(prefix="wirechat-branches-") as directory, contextlib.chdir(ROOT):
        path = Path(directory) / "report.json"
        try:
            found.json_report(outfile=str(path))
        except NoDataError:
            return set(), set()
        files: dict[str, Any] = json.loads(path.read_text())["files"]
    taken, missing = (
        {branch for name, each in files.items() for branch in _branches(ROOT / name, each[what])}
        for what in ("executed_branches", "missing_branches")
    )
    return taken, missing


def read(path: Path) -> dict[str, str]:
    """What is excused -> why."""
    reasons = tomllib.loads(path.read_text())
    return {what: why for why, excused in reasons.items() if why != FORCED for what in excused["unreached"]}


def forced(path: Path) -> dict[str, str]:
    """What seeds hardly ever take -> the test that does."""
    return dict(tomllib.loads(path.read_text()).get(FORCED, {}))


def _ways_to_say(branch: Branch) -> tuple[str, str, str]:
    """How an excuse may name it: its file, its function, its line."""
    function = f"{branch.file} {branch.function}"
    return branch.file, function, f"{function}: {branch.text}"


def places() -> set[str]:
    """Everything that an excuse may name."""
    found = set()
    for package in WHERE:
        for path in (ROOT / package.replace(".", "/")).rglob("*.py"):
            name = str(path.relative_to(ROOT))
            found.add(name)
            for line, text in enumerate(path.read_text().splitlines(), 1):
                function = f"{name} {_function(path, line)}"
                found |= {function, f"{function}: {text.strip()}"}
    return found


def _branches(path: Path, arcs: list[tuple[int, int]]) -> Iterator[Branch]:
    lines = path.read_text().splitlines()
    for line, to in sorted(arcs):
        yield Branch(str(path.relative_to(ROOT)), _function(path, line), line, lines[line - 1].strip(), to)


def _function(path: Path, line: int) -> str:
    """The innermost function around a line."""
    around = [name for name, first, last in _functions(path) if first <= line <= last]
    return around[-1] if around else ""


@functools.cache
def _functions(path: Path) -> list[tuple[str, int, int]]:
    """(qualified name, first line, last line), outer ones first."""
    found: list[tuple[str, int, int]] = []

    def walk(node: ast.AST, way: tuple[str, ...]) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inner = (*way, child.name)
                if not isinstance(child, ast.ClassDef):
                    found.append((".".join(inner), child.lineno, child.end_lineno or child.lineno))
                walk(child, inner)
            else:
                walk(child, way)

    walk(ast.parse(path.read_text()), ())
    return found

"""The table in README.md is right: each of the thirty attacks has tests where it says, and there are enough cases."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ATTACKS = {f"A{number:02}" for number in range(1, 31)}
CASES_MIN = 300


def _tests() -> dict[str, set[str]]:
    """attack -> modules whose tests name it in their docstrings."""
    found: dict[str, set[str]] = {}
    for path in HERE.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_a"):
                told = set(re.findall(r"A\d\d", (ast.get_docstring(node) or "").partition(":")[0]))
                named = set(re.findall(r"a\d\d", node.name))
                assert told, f"{path.name}::{node.name} does not say in its docstring which attack it is"
                assert {name.upper() for name in named} <= told, f"{path.name}::{node.name} says another number"
                for attack in told:
                    found.setdefault(attack, set()).add(path.name)
    return found


def _rows(columns: int) -> list[list[str]]:
    lines = re.findall(r"^\| (A\d\d .*) \|$", (HERE / "README.md").read_text(), re.MULTILINE)
    rows = [[cell.strip() for cell in line.split("|")] for line in lines]
    return [row for row in rows if len(row) == columns]


def test_the_table_names_thirty_attacks_and_where_their_tests_are() -> None:
    """As they are."""
    table = {attack: set(modules.split(", ")) for attack, _, modules in _rows(3)}
    assert set(table) == ATTACKS
    assert table == _tests()


def test_the_table_of_what_is_not_applicable_has_a_test_that_it_is_so() -> None:
    """In test_absent.py, or in the module that attacks what there is of it."""
    tests = _tests()
    for attack, reason in _rows(2):
        assert reason
        assert "test_absent.py" in tests[attack] or attack == "A24", attack


@pytest.mark.parametrize("module", sorted(path.name for path in HERE.glob("test_*.py")))
def test_the_table_knows_every_test(module: str) -> None:
    """But for those of tables."""
    names = re.findall(r"^(?:async )?def (test_\w+)", (HERE / module).read_text(), re.MULTILINE)
    strange = [name for name in names if not re.match(r"test_a\d\d_", name)]
    assert module == "test_table.py" or all(name.startswith("test_the_table") for name in strange), strange


def test_the_table_stands_for_enough_cases(request: pytest.FixtureRequest) -> None:
    """Each parametrized case counts one. They are collected once more only if this run has not collected them all."""
    cases = [item.path.name for item in request.session.items if item.path.parent == HERE]
    if set(cases) != {path.name for path in HERE.glob("test_*.py")}:
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", str(HERE)]
        done = subprocess.run(command, cwd=HERE.parents[1], capture_output=True, text=True, check=True, timeout=120)
        cases = [""] * sum(map(int, re.findall(r"^\S+\.py: (\d+)$", done.stdout, re.MULTILINE)))
    assert len(cases) >= CASES_MIN

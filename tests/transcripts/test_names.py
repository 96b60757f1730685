"""Tests of the specification are named by rules that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RULE = re.compile(r"\[(\d+-\d+)\]")
NAMED = re.compile(r"def test_((?:\d+_\d+_(?:and_)?)+)")


def named() -> dict[str, set[str]]:
    """File -> the rules that its tests are named by."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("test_specification_*.py")):
        names = NAMED.findall(path.read_text("utf-8"))
        found[path.name] = {
            f"{section}-{rule}" for name in names for section, rule in re.findall(r"(\d+)_(\d+)_", name)
        }
    return found


def test_every_rule_that_names_a_test_is_in_the_document() -> None:
    """A number that is gone, or never was, would send the reader to nothing."""
    rules = set(RULE.findall((ROOT / "docs" / "protocol.md").read_text("utf-8")))
    for file, names in named().items():
        assert names, file
        assert names <= rules, file

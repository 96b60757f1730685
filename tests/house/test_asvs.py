"""The table about OWASP's ASVS is complete, and says nothing without a pointer or a reason."""

from __future__ import annotations

import re
from collections import Counter

import attrs
import pytest

from tools.docs import asvs
from tools.docs.asvs import MET, NOT_APPLICABLE, OPEN, Book, Requirement

BOOK = asvs.read()


def test_the_standard_is_whole() -> None:
    """345 requirements, of which 70 are of level 1 and 183 of level 2."""
    assert Counter(asvs.levels().values()) == {1: 70, 2: 183, 3: 92}


def test_nothing_is_wrong_with_the_book() -> None:
    """Each of the 253 once, each pointer leads to a rule, a setting, a test or a file."""
    assert list(asvs.problems(BOOK)) == []
    assert len(BOOK.requirements) == 253


def but(which: str, /, **changes: object) -> Book:
    """The book with one entry changed."""
    entries = [attrs.evolve(each, **changes) if each.number == which else each for each in BOOK.requirements]  # type: ignore[arg-type]
    return attrs.evolve(BOOK, requirements=entries)


@pytest.mark.parametrize(
    ("number", "changes", "problem"),
    [
        ("6.2.2", {"where": ()}, "6.2.2 is met, but nothing points to what makes it so"),
        ("6.2.2", {"where": ("8-999",)}, "6.2.2: 8-999 leads nowhere"),
        ("6.2.2", {"where": ("limits.nothing",)}, "6.2.2: limits.nothing leads nowhere"),
        ("6.2.2", {"where": ("tests/house/test_asvs.py::test_that_nobody_wrote",)}, "leads nowhere"),
        ("6.2.2", {"where": ("wirechat/server/magic.py",)}, "leads nowhere"),
        ("6.2.2", {"status": "fine"}, "6.2.2: fine is none of met, n/a, open"),
        ("1.5.1", {"note": ""}, "1.5.1 is n/a without a word why"),
        ("1.5.1", {"status": OPEN, "note": ""}, "1.5.1 is open without a word why"),
        ("1.5.1", {"level": 2}, "1.5.1 of level 1 is missing"),
        ("1.5.1", {"number": "1.5.2"}, "1.5.1 of level 1 is missing"),
        ("1.5.1", {"number": "1.5.3", "level": 3}, "1.5.3 of level 3 is there twice, or is none of the standard"),
    ],
)
def test_what_is_wrong_is_found(number: str, changes: dict[str, object], problem: str) -> None:
    """The check must be able to fail."""
    found = list(asvs.problems(but(number, **changes)))
    assert any(line.endswith(problem) for line in found), found


POINTER = re.compile(r"`((?:tests|wirechat|tools|deploy)/[\w./-]+(?:::\w+)?)`|(?<![\w.-])(\d{1,2}-\d{1,2})(?![\w.-])")


@pytest.mark.parametrize("page", ["docs/threat-model.md", "docs/proof.md", "docs/operations/log.md", "SECURITY.md"])
def test_pages_about_security_point_to_what_is_there(page: str) -> None:
    """Rules, files and tests that are named in the text."""
    found = [path or rule for path, rule in POINTER.findall((asvs.ROOT / page).read_text(encoding="utf-8"))]
    lost = [each for each in found if not asvs.leads_somewhere(each) and not (asvs.ROOT / each).is_dir()]
    assert lost == []


def test_a_pointer_in_a_page_is_seen() -> None:
    """The check must be able to fail."""
    text = "a (8-7, `tests/x/test_y.py::test_z`), P1 to P12, 800-63B, 2026-11-28, `wirechat verify`"
    assert POINTER.findall(text) == [("", "8-7"), ("tests/x/test_y.py::test_z", "")]
    assert not asvs.leads_somewhere("tests/x/test_y.py::test_z")


def test_twice_is_wrong() -> None:
    """Two answers to one question."""
    book = attrs.evolve(BOOK, requirements=[*BOOK.requirements, BOOK.requirements[0]])
    assert list(asvs.problems(book)) == ["1.1.1 of level 2 is there twice, or is none of the standard"]


def test_figures_are_counted() -> None:
    """None stands in the page that was not computed."""
    entries = [Requirement("1.1.1", 1, MET, "a", ("2-1",)), Requirement("1.1.2", 2, OPEN, "b", (), "c")]
    entries.append(Requirement("1.1.3", 2, NOT_APPLICABLE, "d", (), "e"))
    rows = asvs._counts(Book({"1": "One"}, entries)).splitlines()
    assert rows[2:] == ["| 1 | 1 | 0 | 0 | 1 |", "| 2 | 0 | 1 | 1 | 2 |", "| both | 1 | 1 | 1 | 3 |"]

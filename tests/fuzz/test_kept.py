"""Inputs that once reached something new, or showed a bug, are judged again in every run of the suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.fuzz import corpus
from tools.fuzz.codec import understood
from tools.fuzz.targets import TARGETS

REGRESSIONS = sorted(corpus.REGRESSIONS.glob("*.txt"))


@pytest.mark.parametrize("name", TARGETS)
def test_p10_no_kept_input_shows_a_fault(name: str) -> None:
    """`python -m tools.fuzz NAME --replay tests/fuzz/corpus/NAME.txt` tells their stories."""
    kept, judge = corpus.read(corpus.FOLDER / f"{name}.txt"), TARGETS[name]()
    assert len(kept) > 100
    assert [fault for data in kept for fault in judge.judge(data)] == []


@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: path.stem)
def test_p10_what_once_showed_a_bug_shows_none(path: Path) -> None:
    """The file says what the bug was."""
    assert path.read_text().startswith("# ")
    judge = TARGETS[path.stem.partition("-")[0]]()
    assert [fault for data in corpus.read(path) for fault in judge.judge(data)] == []


def test_what_is_kept_is_small() -> None:
    """It is part of every checkout."""
    assert sum(path.stat().st_size for path in corpus.FOLDER.iterdir()) < 1_000_000


def test_an_input_that_adds_nothing_is_not_kept() -> None:
    """The shorter one of two that do the same stays."""
    ping, same, cut, longer = b"\x92\x03\x07", b"\x92\x03\x08", b"\x92\x03", b"\x92\x03\xcc\x80"
    kept = corpus.minimised([same, cut, ping, ping, longer], lambda body: understood(body, "client"), 3)
    assert list(kept) == [cut, ping]


def test_the_corpus_is_read_as_it_was_written(tmp_path: Path) -> None:
    """In its order, without doubles; lines for people are passed over."""
    path = tmp_path / "kept.txt"
    corpus.write(path, [b"longer", b"", b"a", b"a"])
    path.write_text("# about\n" + path.read_text())
    assert corpus.read(path) == [b"a", b"longer"]
    assert corpus.read(tmp_path / "none.txt") == []
    path.write_text("no base64!")
    with pytest.raises(ValueError, match="is no corpus"):
        corpus.read(path)

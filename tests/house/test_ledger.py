"""A ledger of runs: each seed once, other lines untouched, and no line for source that no commit has."""

from __future__ import annotations

import json
import subprocess
from itertools import pairwise
from pathlib import Path

import click
import pytest

from tools import ledger
from tools.ledger import ROOT, Ledger, commit, read


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "commit", lambda: "0123456789ab")


@pytest.mark.usefixtures("clean")
def test_a_run_goes_on_after_the_last_and_leaves_its_line_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    first = Ledger(path, {"sqlite": "3"})
    assert first.next_seed == 1
    first.write((1, 10), {"lost": 0})
    first.write((1, 20), {"lost": 0})
    before = path.read_text()
    second = Ledger(path, {})
    assert second.next_seed == 21
    second.write((21, 22), {"lost": 1})
    assert path.read_text().startswith(before)
    assert [(line["seeds"], line["lost"], line["commit"]) for line in read(path)] == [
        ([1, 20], 0, "0123456789ab"),
        ([21, 22], 1, "0123456789ab"),
    ]


def test_changed_source_is_refused_and_changed_pages_are_not(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        name = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *name, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    source, page = tmp_path / "source.py", tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    for path in (source, page):
        path.write_text("1")
    git("add", ".")
    git("commit", "-m", "first")
    assert len(commit(tmp_path)) == 12
    page.write_text("2")
    assert len(commit(tmp_path)) == 12
    source.write_text("2")
    with pytest.raises(click.UsageError, match=r"commit first .*source\.py"):
        commit(tmp_path)


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "proof").glob("*.jsonl")), ids=lambda path: path.stem)
def test_no_seed_is_counted_twice(path: Path) -> None:
    ranges = sorted(line["seeds"] for line in read(path))
    assert ranges
    for (_, last), (first, _) in pairwise(ranges):
        assert first > last


@pytest.mark.parametrize("text", ["{}", "no json", json.dumps({"seeds": []})])
def test_what_is_no_ledger_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    with pytest.raises(click.UsageError, match="is no ledger"):
        read(path)


@pytest.mark.usefixtures("clean")
def test_where_nothing_can_be_written_is_told_before_the_run(tmp_path: Path) -> None:
    """A night of work would end with nothing to show."""
    with pytest.raises(click.UsageError, match="cannot write a ledger into"):
        Ledger(tmp_path / "nowhere" / "ledger.jsonl", {})


@pytest.mark.usefixtures("clean")
def test_the_ledger_of_another_proof_is_refused(tmp_path: Path) -> None:
    """Its seeds mean something else."""
    path = tmp_path / "ledger.jsonl"
    Ledger(path, {"sqlite": "3"}).write((1, 2), {})
    with pytest.raises(click.UsageError, match="the ledger of something else"):
        Ledger(path, {"trio": "0"})
    assert Ledger(path, {"sqlite": "4"}).next_seed == 3

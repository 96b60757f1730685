"""The documents are made as the house says, and the checks of that can fail."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.house.command_lines import parsed, shown
from tools.docs.__main__ import PAGES, main
from wirechat import client

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60


@pytest.mark.parametrize("page", PAGES)
def test_a_stale_page_is_found_and_made_again(page: str, tmp_path: Path) -> None:
    """A reference that nobody refreshes describes another program."""
    assert (ROOT / page).read_text(encoding="utf-8") == PAGES[page](), "run python -m tools.docs generate"
    run = CliRunner()
    assert run.invoke(main, ["--root", str(tmp_path), "check"]).exit_code == 1
    assert run.invoke(main, ["--root", str(tmp_path), "generate"]).exit_code == 0
    assert run.invoke(main, ["--root", str(tmp_path), "check"]).exit_code == 0


def test_the_reference_knows_every_option() -> None:
    """What --help says is on the page."""
    page = (ROOT / "docs/reference/commands.md").read_text(encoding="utf-8")
    assert "\n### wirechat serve\n" in page
    assert "\n#### wirechat user add\n" in page
    assert "\n| `--trust-proxy " in page


def test_the_reference_knows_every_public_name() -> None:
    """Of the client library: what is not described is not public."""
    page = (ROOT / "docs/client/reference.md").read_text(encoding="utf-8")
    assert [name for name in client.__all__ if not re.search(rf"\b{name}\b", page)] == []


@pytest.fixture
def any_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that a command line names need not exist here."""
    monkeypatch.setattr(click.Path, "convert", lambda self, value, param, ctx: self.coerce_path_result(value))


def test_commands_in_documents_can_be_typed(any_path: None) -> None:
    """What a page tells the reader to type is understood by the command, flags and all."""
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    pages = {name: (ROOT / name).read_text(encoding="utf-8") for name in listed.splitlines() if name not in PAGES}
    lines = [(name, words) for name, page in pages.items() for words in shown(page) if words and words[0][0] != "-"]
    assert len({name for name, _ in lines}) > 3
    wrong = {}
    for name, words in lines:
        try:
            parsed(words)
        except click.UsageError as error:
            wrong[name, " ".join(words)] = error.format_message()
    assert wrong == {}


def test_a_command_that_cannot_be_typed_is_found() -> None:
    """The check must be able to fail, and must see what it checks."""
    page = """
```
docker run --rm wirechat user add \\
    --data /data alice | cat
X=1 /opt/wirechat/bin/wirechat serve --date ./data   # wrong
# not wirechat serve
wirechat sevre
```
"""
    first, second, third = shown(page)
    assert parsed(first)["handle"] == "alice"
    for words in (second, third):
        with pytest.raises(click.UsageError):
            parsed(words)


@pytest.mark.parametrize("name", ["+words.aded.md", "words.md", "notes.txt"])
def test_a_misnamed_piece_of_the_changelog_is_refused(name: str, tmp_path: Path) -> None:
    """Otherwise it would be left out of the release without a word."""
    towncrier = Path(sys.executable).with_name("towncrier")
    for wanted in ("towncrier.toml", "CHANGELOG.md"):
        shutil.copy(ROOT / wanted, tmp_path)
    shutil.copytree(ROOT / "changelog.d", tmp_path / "changelog.d")
    draft = [towncrier, "build", "--draft", "--version", "next"]
    assert subprocess.run(draft, cwd=tmp_path, capture_output=True, timeout=SECONDS).returncode == 0
    (tmp_path / "changelog.d" / name).write_text("A change.\n")
    done = subprocess.run(draft, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode != 0
    assert name in done.stderr

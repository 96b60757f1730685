"""The documents are made as the house says, and the checks of that can fail."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tools.docs.__main__ import PAGES, main

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
    assert {"### wirechat serve", "#### wirechat user add", "| `--trust-proxy ADDRESS` |"} < set(page_parts(page))


def page_parts(page: str) -> list[str]:
    """Headings, and of tables the first column."""
    return [line.split("` |")[0] + "` |" if line.startswith("| `") else line for line in page.splitlines()]


@pytest.mark.parametrize("name", ["+words.aded.md", "words.md", "notes.txt"])
def test_a_misnamed_piece_of_the_changelog_is_refused(name: str, tmp_path: Path) -> None:
    """Otherwise it would be left out of the release without a word."""
    towncrier = Path(sys.executable).with_name("towncrier")
    for wanted in ("pyproject.toml", "CHANGELOG.md"):
        shutil.copy(ROOT / wanted, tmp_path)
    shutil.copytree(ROOT / "changelog.d", tmp_path / "changelog.d")
    draft = [towncrier, "build", "--draft", "--version", "next"]
    assert subprocess.run(draft, cwd=tmp_path, capture_output=True, timeout=SECONDS).returncode == 0
    (tmp_path / "changelog.d" / name).write_text("A change.\n")
    done = subprocess.run(draft, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode != 0
    assert name in done.stderr

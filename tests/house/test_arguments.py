"""What is wrong with the arguments of a tool is told in one line."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from tools.arguments import run

PROGRAMS = sorted(Path(__file__).parents[2].glob("tools/*/__main__.py"))


@click.group()
def tool() -> None:
    """A tool."""


@tool.command()
@click.option("--count", type=click.IntRange(1))
def work(count: int) -> None:
    """Work."""
    if count == 7:
        raise click.ClickException("seven proves nothing")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["work", "--count", "1"], 0, ""),
        (["--nonsense"], 2, "tool: No such option '--nonsense'. (see tool --help)"),
        (["work", "--count", "x"], 2, "tool work: Invalid value for '--count': 'x' is not a valid integer range."),
        (["work", "--count", "7"], 1, "tool: seven proves nothing"),
    ],
)
def test_one_line(
    arguments: list[str], status: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["tool", *arguments])
    with pytest.raises(SystemExit) as ended:
        run(tool, "tool")
    lines = capsys.readouterr().err.splitlines()
    assert (ended.value.code or 0) == status
    assert len(lines) == bool(said)
    assert all(line.startswith(said) for line in lines)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.parent.name)
def test_every_tool_runs_that_way(program: Path) -> None:
    assert program.parent.name == "conformance" or "tools.arguments import" in program.read_text()

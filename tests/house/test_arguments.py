"""Numbers on command lines are numbers."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from tools.arguments import Finite


@click.command()
@click.option("--minutes", type=Finite(0, min_open=True))
def command(minutes: float) -> None:
    click.echo(minutes)


def test_a_number_in_the_range_is_taken() -> None:
    assert CliRunner().invoke(command, ["--minutes", "2.5"]).output == "2.5\n"


@pytest.mark.parametrize("word", ["nan", "inf", "-1", "two"])
def test_anything_else_is_refused(word: str) -> None:
    """A run that waits for nan seconds ends in a traceback, or never."""
    done = CliRunner().invoke(command, ["--minutes", word])
    assert done.exit_code == 2
    assert "Invalid value for '--minutes'" in done.output

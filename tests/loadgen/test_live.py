"""How a run stands is told on any terminal, and where there is none."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tools.loadgen import live
from tools.loadgen.run import Progress

TOLD = Progress("hold", 5, 20, {"texts": 12_345, "delivered": 12_340, "p99": 3.25, "live": 200, "under way": 5})


@pytest.mark.parametrize(
    ("width", "text"),
    [
        (80, "hold 25%: texts 12,345, delivered 12,340, p99 3.2 ms, live 200, under way 5"),
        (60, "hold 25%: texts 12,345, delivered 12,340, p99 3.2 ms"),
        (30, "hold 25%: texts 12,345"),
        (8, "hold 25%"),
        (3, "hol"),
    ],
)
def test_a_line_is_no_longer_than_the_terminal(width: int, text: str) -> None:
    """What is left out is the less important, not the middle of a number."""
    assert live.line(TOLD, width) == text
    shown = live._Shown()
    shown.tell(TOLD)
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=True).print(shown)
    assert [printed.rstrip() for printed in out.getvalue().splitlines()] == [text]


def test_without_a_terminal_each_stage_and_each_ten_seconds_are_a_line() -> None:
    said: list[str] = []
    clock = 100.0
    tell = live.stages(said.append, lambda: clock)
    for clock, stage in [(100, "ramp"), (105, "ramp"), (107, "hold"), (112, "hold"), (117, "hold"), (120, "hold")]:
        tell(Progress(stage, clock - 100, 20, {"texts": 7}))
    assert said == ["ramp", "hold", "hold 85%: texts 7"]


def test_for_machines_there_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with live.live(hidden=True) as tell:
        tell(TOLD)
    assert capsys.readouterr() == ("", "")
    with live.live(hidden=False) as tell:
        tell(TOLD)
    assert capsys.readouterr() == ("", "hold\n")

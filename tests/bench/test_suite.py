"""Every benchmark runs, small; sides take turns; what a run cannot prove it says. No figure of time is judged here."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner, Result
from rich.text import Text

from bench import report, suite
from bench.__main__ import main
from bench.benchmark import FIGURES, MARKS, NAMES, ROOT, BenchError, Benchmark, Row, Run, load
from bench.page import page
from bench.spread import Spread
from bench.suite import Plan
from tools.pages import number

SOME = {
    "cluster": ("one_w10", "two_w1"),
    "idle": ("idle_tls",),
    "hot_path": ("pairs_w10", "floor_w10", "pairs_500", "group_100_coalesced"),
}
"""Benchmark -> rows: the others differ in numbers, or stand in others too, and each server takes a second to start."""
BYTES = {"idle_resume": 64, "resume": 64, "message": 210, "ack": 9, "heartbeat": 48}
"""Row -> the most it may take on a socket, which no machine changes."""
RESTING = {"us_bus", "us_idle_node", "bus_bytes"}
"""Of those who may have nothing to do for a tenth of a second."""


def bench(*arguments: str) -> Result:
    """The command, in this process."""
    return CliRunner().invoke(main, list(arguments))


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_answers_its_question(name: str) -> None:
    """Each row that it says it has, with figures that have a unit and are numbers."""
    found = load(name)
    rows = found.wanted(SOME.get(name, ()))
    seen = list(found.measure(Run(root=ROOT, rows=rows, seconds=0.1, quick=True, trace=False)))
    assert {row.name for row in seen} == set(rows)
    for row in seen:
        assert row.figures.keys() <= FIGURES.keys()
        if name != "idle":  # a page more or less is no sign: there are few connections
            for figure, value in row.figures.items():
                assert math.isfinite(value), row
                assert value > 0 or figure in RESTING, row
        assert row.figures.get("bytes", 0) <= BYTES.get(row.name, math.inf)


def test_names_mean_one_thing() -> None:
    """A row has one place, and every mark stands at a row and a figure that exist."""
    every = [row for name in NAMES for row in load(name).wanted(())]
    assert len(every) == len(set(every))
    assert MARKS.keys() <= set(every)
    assert {mark.figure for marks in MARKS.values() for mark in marks} <= FIGURES.keys()


def test_a_revision_beside_this_work_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides have a figure and there is a ratio; the work tree of the other one is gone afterwards."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    done = bench("compare", "HEAD", "codec", "--rows", "encode_ack", "--quick", "--json")
    assert done.exit_code == 0, done.output
    plain = json.loads(done.stdout)
    (row,) = plain["benchmarks"][0]["rows"]
    figure = row["figures"]["us_per_frame"]
    ours, theirs = (side["median"] for side in figure["sides"])
    assert figure["ratios"][0]["median"] == pytest.approx(ours / theirs, rel=0.01)
    assert figure["verdicts"] == ["one run each: no spread known"], "--quick measures once"
    assert len(plain["commits"]) == 2
    left = subprocess.run(["git", "worktree", "list"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert str(tmp_path) not in left


def test_what_the_other_side_does_not_have_is_told(tmp_path: Path) -> None:
    """An old revision lacks what is new; that is no failure."""
    (tmp_path / "wirechat").mkdir()
    (tmp_path / "wirechat" / "__init__.py").touch()
    done = bench("codec", "--rows", "encode_ack", "--quick", "--against", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert f"absent at {tmp_path.name}" in done.stdout
    assert "cannot import name 'wire'" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("compare", "no-such-revision"), "git knows no revision 'no-such-revision'"),
        (("compare", "--", "--upload-pack=x"), "git knows no revision"),
        (("codecs",), "'codecs' is no benchmark; there are codec, framing"),
        (("--rows", "encode_ack,nonsense"), "'nonsense' is no row; there are"),
        (("codec", "--rows", "idle_tcp"), "'idle_tcp' is no row"),
        (("--repeat", "0"), "0 is not in the range"),
        (("--against", "/no/such/tree"), "does not exist"),
    ],
)
def test_bad_input_is_told_with_status_2(arguments: tuple[str, ...], words: str) -> None:
    """It says what is wrong, and what there is."""
    done = bench(*arguments)
    assert (done.exit_code, words in done.output) == (2, True), done.output
    assert "Traceback" not in done.output


def test_a_result_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """After the tables: nothing that was measured is lost."""
    (tmp_path / "taken").touch()
    done = bench("codec", "--rows", "encode_ack", "--quick", "--save", str(tmp_path / "taken" / "below"))
    assert done.exit_code == 1
    assert "encode_ack" in done.stdout
    assert "cannot make" in done.stderr


def test_a_result_is_saved_for_machines_and_people(tmp_path: Path) -> None:
    """The page shows what the JSON says, and loads nothing from elsewhere."""
    done = bench("codec", "--rows", "encode_ack,decode_ack", "--quick", "--save", str(tmp_path))
    assert done.exit_code == 0, done.output
    (saved,) = tmp_path.glob("bench-*-*.json")
    plain = json.loads(saved.read_text())
    assert {"commits", "machine", "command", "began", "quick"} <= plain.keys()
    text = saved.with_suffix(".html").read_text()
    assert text == page(plain)
    assert "encode_ack" in text
    assert "src=" not in text
    assert "href=" not in text


@pytest.mark.parametrize(("median", "told"), [(0.3, "<= 1 (0.4)"), (1.0, "<= 1 (0.4)"), (1.48, "missed 1 (0.4)")])
def test_a_missed_mark_is_called_so(median: float, told: str) -> None:
    cell = report._cell("token_login", MARKS["token_login"][0].figure, Spread([median]))
    assert Text.from_markup(cell).plain == f"{number(median)} {told}"


# the runner, with workers that do nothing


class Fake:
    """A worker whose rows are made up."""

    order: ClassVar[list[str]] = []
    broken: ClassVar[set[str]] = set()

    def __init__(self, name: str, run: Run) -> None:
        self._side = run.root.name
        self._rows = iter(run.rows)

    def __enter__(self) -> Fake:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def next_row(self) -> Row | None:
        """The next, or the end."""
        if self._side in self.broken:
            raise BenchError("it broke")
        row = next(self._rows, None)
        if row is not None:
            self.order.append(f"{self._side}.{row}")
        return row and Row(row, {"ms_cpu": len(self.order)})


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[Fake]:
    monkeypatch.setattr(suite, "Worker", Fake)
    monkeypatch.setattr(Fake, "order", [])
    monkeypatch.setattr(Fake, "broken", set())
    return Fake


def _plan(repeat: int, *benchmarks: Benchmark) -> Plan:
    wanted = [(each, each.wanted(())) for each in benchmarks]
    roots = (Path("/ours"), Path("/theirs"))
    return Plan(wanted, roots, repeat, 1, quick=True, trace=False, tell=lambda text: None)


def _benchmark(name: str, **kwargs: Any) -> Benchmark:
    return Benchmark(name, "How?", {"one": "", "two": ""}, lambda run: iter(()), **kwargs)


def test_sides_take_turns_row_by_row(fake: type[Fake]) -> None:
    """And the other way round in each second repeat."""
    suite.measure(_plan(2, _benchmark("any")))
    forth = ["ours.one", "theirs.one", "ours.two", "theirs.two"]
    back = ["theirs.one", "ours.one", "theirs.two", "ours.two"]
    assert fake.order == forth + back


def test_a_ratio_is_taken_within_each_repeat(fake: type[Fake]) -> None:
    """A slow repeat is slow for both; its ratio is not."""
    outcome = suite.measure(_plan(2, _benchmark("any")))
    assert outcome.cells[0].sides == (Spread([1, 6]), Spread([2, 5]))
    assert outcome.cells[0].ratio(1) == Spread([0.5, 1.2])


@pytest.mark.parametrize(
    ("figure", "ours", "theirs", "verdict"),
    [
        ("us_per_message", [1.0], [9.0], "one run each: no spread known"),
        ("us_per_message", [1.0, 2.0], [2.0, 1.5], "no difference beyond the spread"),
        ("us_per_message", [1.0, 1.0], [1.02, 1.5], "no difference beyond the spread"),
        ("us_per_message", [1.0, 1.0], [1.5, 1.2], "better"),
        ("per_second", [1.0, 1.0], [1.5, 1.2], "worse"),
        ("per_second", [1.0, 1.0], None, ""),
    ],
)
def test_a_difference_within_the_spread_is_none(
    figure: str, ours: list[float], theirs: list[float] | None, verdict: str
) -> None:
    cell = suite.Cell("any", "one", figure, (Spread(ours), Spread(theirs) if theirs else None))
    assert cell.verdict(1) == verdict


def test_a_benchmark_that_fails_here_fails_the_run_and_not_the_others(fake: type[Fake]) -> None:
    """Of the other side it is told only."""
    fake.broken = {"theirs"}
    outcome = suite.measure(_plan(1, _benchmark("any")))
    assert outcome.failure is None
    assert [each.why for each in outcome.absent] == ["it broke"]
    fake.broken = {"ours"}
    outcome = suite.measure(_plan(3, _benchmark("any"), _benchmark("other")))
    assert outcome.failure == "any: it broke"
    assert {each.benchmark for each in outcome.absent} == {"any", "other"}


def test_what_repeats_within_itself_runs_once(fake: type[Fake]) -> None:
    """However often the others do."""
    suite.measure(_plan(3, _benchmark("any", repeat_max=1)))
    assert len(fake.order) == 4


def test_the_last_words_of_a_worker_are_told(tmp_path: Path) -> None:
    """Whatever ends it, the reason is one line."""
    (tmp_path / "wirechat.py").write_text("raise OSError('there is no room left')")
    run = Run(root=tmp_path, rows=("encode_ack",), seconds=0.1, quick=True, trace=False)
    with suite.Worker("codec", run) as worker, pytest.raises(BenchError, match="there is no room left"):
        worker.next_row()

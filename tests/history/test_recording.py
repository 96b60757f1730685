"""What several processes wrote down is judged like what one saw, and bad files are refused."""

from __future__ import annotations

import inspect
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner

from tests.history.world import events
from tools.history.__main__ import main
from tools.history.checker import MSG, Entry, History, Op
from tools.history.recording import EVENTS, Recorder

HEAD = '{"history": 1, "clock": "here"}\n'
WORDS = Entry(1, 2, 110, 1, MSG, "a", cid=b"\x00\xff")


def judge(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["judge", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def ticking(start: float = 0.0) -> Callable[[], float]:
    times: Iterator[float] = itertools.count(start, 0.001)
    return lambda: next(times)


def write(path: Path, told: list[tuple[str, tuple[Any, ...]]], clock: Callable[[], float] | None = None) -> None:
    with path.open("w") as stream:
        recorder = Recorder(stream, clock or ticking(), "here")
        for event, arguments in told:
            getattr(recorder, event)(*arguments)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("fault", [None, "ok", "invoke", "logged"])
def test_files_of_several_processes_are_judged_like_one_history(seed: int, fault: str | None, tmp_path: Path) -> None:
    """`fault`: the last such event is told twice or not at all, which is wrong more often than not."""
    told = events(seed, 80, read=True)
    if fault is not None:
        last = max((place for place, (event, _) in enumerate(told) if event == fault), default=None)
        if last is not None and fault == "logged":
            del told[last]
        elif last is not None:
            told.insert(last, (fault, (*told[last][1][:1], *spoilt(told[last][1][1:]))))
    history, clock, chance = History(), ticking(), Random(seed)
    streams = [(tmp_path / f"{number}.jsonl").open("w") for number in range(3)]
    recorders = [Recorder(stream, clock, "here") for stream in streams]
    for event, arguments in told:
        getattr(history, event)(*arguments)
        getattr(chance.choice(recorders), event)(*arguments)
    for stream in streams:
        stream.close()
    expected = [str(violation) for violation in history.finish()]
    status, out, err = judge(*sorted(tmp_path.iterdir()))
    assert (status, out.splitlines()) == (1 if expected else 0, expected)
    assert err == f"{len(told):,} events, {len(expected)} violations\n"


def spoilt(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Another seq, or another operation."""
    return (arguments[0] + 1, *arguments[1:]) if isinstance(arguments[0], int) else (Op(1, 9, MSG, "other"),)


def test_names_contents_and_bytes_come_back_as_they_were(tmp_path: Path) -> None:
    """A cid that is seen at two places tells that they did."""
    name = ("device", 3, b"\x01")
    told: list[tuple[str, tuple[Any, ...]]] = [
        ("invoke", (name, Op(1, 1, MSG, (1, b"a"), source=(2, 3), order=("device", 3)))),
        ("again", (name,)),
        ("saw", ("here", 1, WORDS)),
        ("saw", ("here", 1, Entry(1, 3, 110, 1, MSG, "a", cid=b"\x00\xff"))),
    ]
    write(tmp_path / "one", told)
    _, out, _ = judge("--json", tmp_path / "one")
    report = json.loads(out)
    assert report["events"] == {"again": 1, "invoke": 1, "saw": 2}
    assert {"promise": "P2", "rule": "doubled", "detail": "here: cid 00ff at (1, 2) and (1, 3)"} in report["violations"]


def test_a_line_that_a_kill_cut_off_is_ignored(tmp_path: Path) -> None:
    write(tmp_path / "one", [("invoke", ("a", Op(1, 1, MSG, "a")))])
    with (tmp_path / "one").open("a") as stream:
        stream.write('{"t": 1.0, "event": "ok", "na')
    assert judge(tmp_path / "one") == (0, "", "1 events, 0 violations\n")


def test_a_margin_forgives_what_clocks_cannot_order(tmp_path: Path) -> None:
    """The clock of the second machine is a second ahead: it began before the first was told."""
    one, other = tmp_path / "one", tmp_path / "other"
    write(one, [("invoke", ("a", Op(1, 1, MSG, "a"))), ("ok", ("a", 5, 100))], ticking(10.0))
    write(other, [("invoke", ("b", Op(1, 2, MSG, "b"))), ("ok", ("b", 4, 100))], ticking(10.5))
    for path, user, content, seq in ((one, 1, "a", 5), (other, 2, "b", 4)):
        with path.open("a") as stream:
            entry = {"conv": 1, "seq": seq, "ts": 100, "sender": user, "kind": MSG, "content": content}
            stream.write(json.dumps({"t": 20, "event": "logged", "entry": entry}) + "\n")
    assert "P4 order against real time" in judge(one, other)[1]
    assert "P4 order against real time" not in judge("--margin", 1, one, other)[1]
    assert "P3 gap" in judge("--margin", 1, one, other)[1]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "{path}: No such file or directory"),
        ("", "{path}:1: not the first line of a history"),
        ("hello\n", "{path}:1: not the first line of a history"),
        ('{"history": 2, "clock": "here"}\n', "{path}:1: a history of format 2; this program reads 1"),
        (HEAD + "hello\n", "{path}:2: not an event: JSONDecodeError"),
        (HEAD + '{"t": 1, "event": "violations"}\n', "{path}:2: not an event: KeyError"),
        (HEAD + '{"t": 1, "event": "ok", "name": 1, "seq": "x"}\n', "{path}:2: not an event: ValueError"),
        (HEAD + '{"t": 1, "event": "ok", "name": 1, "seq": 1, "more": 1}\n', "{path}:2: not an event: Forbidden"),
        (HEAD + '{"t": 1, "event": "ok", "name": 1, "seq": 1}\n', "{path}:2: nobody has begun 1: is a file missing?"),
    ],
)
def test_a_bad_file_is_one_line_and_status_2(text: str | None, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "history"
    if text is not None:
        path.write_text(text)
    status, out, err = judge(path)
    assert (status, out) == (2, "")
    assert err.startswith("Error: " + reason.format(path=path))
    assert err.count("\n") == 1


def test_files_of_different_clocks_need_a_margin(tmp_path: Path) -> None:
    (tmp_path / "one").write_text(HEAD)
    (tmp_path / "other").write_text(HEAD.replace("here", "there"))
    status, _, err = judge(tmp_path / "one", tmp_path / "other")
    assert (status, "--margin" in err) == (2, True)
    assert judge("--margin", "0.1", tmp_path / "one", tmp_path / "other")[0] == 0


def test_whatever_is_reported_can_be_written_down() -> None:
    """With the same arguments, except that a recorder has a clock."""
    for event in EVENTS:
        mine, theirs = (list(inspect.signature(getattr(kind, event)).parameters) for kind in (Recorder, History))
        assert mine == theirs
    silent = {"refers", "source", "said", "knows", "began", "shows", "finish"}
    assert {name for name, _ in inspect.getmembers(History, inspect.isfunction) if name[0] != "_"} == {*EVENTS, *silent}


def test_a_file_that_is_given_twice_is_no_second_witness(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    write(path, [("saw", ("here", 1, WORDS))])
    status, out, err = judge(path, tmp_path / "." / path.name)
    assert (status, out) == (2, "")
    assert "is given twice" in err

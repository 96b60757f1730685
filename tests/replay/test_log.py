"""Every form of line becomes what somebody did; anything else is refused by name and number."""

from pathlib import Path

import pytest

from tools.replay.log import BadLog, Joined, Left, Renamed, Spoke, read_log

NIGHTWATCH = Path(__file__).parents[2] / "examples" / "logs" / "nightwatch.raw.txt"


def log_of(folder: Path, text: str, annotation: str | None = None) -> tuple[object, ...]:
    path = folder / "some.raw.txt"
    path.write_bytes(text.encode())
    if annotation is not None:
        (folder / "some.annotation.txt").write_text(annotation)
    return read_log(path).happenings


@pytest.mark.parametrize(
    ("line", "happening"),
    [
        ("[12:18] <|trey|> usual, quite stable though  :)", Spoke(0, 738, "|trey|", "usual, quite stable though  :)")),
        ("[12:18] <brad[] > hi", Spoke(0, 738, "brad[]", "hi")),
        ("[12:18] <a> <b> said [12:17] === so", Spoke(0, 738, "a", "<b> said [12:17] === so")),
        ("[12:18] <a>  two spaces  ", Spoke(0, 738, "a", " two spaces  ")),
        ("[12:18] <opteron>", Spoke(0, 738, "opteron", " ")),
        ("[12:18] <a> line\u2028separator\x0bkept\x85", Spoke(0, 738, "a", "line\u2028separator\x0bkept\x85")),
        ("[12:18] <a> carriage return\r", Spoke(0, 738, "a", "carriage return")),
        ("[07:09]  * homejoe", Spoke(0, 429, "homejoe", "/me")),
        ("[10:00]  * int256 will be back in 5min", Spoke(0, 600, "int256", "/me will be back in 5min")),
        ("=== Matt| scrolls up", Spoke(0, 0, "Matt|", "/me scrolls up")),
        ("=== bob has left the building", Spoke(0, 0, "bob", "/me has left the building")),
        ("=== bob has quit smoking", Spoke(0, 0, "bob", "/me has quit smoking")),
        ("=== bob [me] has an idea", Spoke(0, 0, "bob", "/me [me] has an idea")),
        ("=== mode/#ubuntu [-b *!*@192.0.2.1]  by Seveas", Spoke(0, 0, "Seveas", "/me sets mode [-b *!*@192.0.2.1]")),
        ("=== ..[topic/#ubuntu:Seveas] : Ask! | Be kind", Spoke(0, 0, "Seveas", "/me sets topic Ask! | Be kind")),
        ("=== [francof]  [~kvirc@192.0.2.1]  has joined #ubuntu", Joined(0, 0, "[francof]")),
        ("=== bob has joined #ubuntu", Joined(0, 0, "bob")),
        ('=== DAC1138 [~dave@192.0.2.1]  has left #ubuntu [""Buy.]', Left(0, 0, "DAC1138")),
        ("=== tuxx [~t@192.0.2.1]  has quit [Ping timeout: 240 seconds]", Left(0, 0, "tuxx")),
        ("=== edgex-_ is now known as edgex[[a]]][[][]", Renamed(0, 0, "edgex-_", "edgex[[a]]][[][]")),
    ],
)
def test_every_form(tmp_path: Path, line: str, happening: object) -> None:
    """Nothing of a line is lost, whatever is pasted into it."""
    assert log_of(tmp_path, line + "\n") == (happening,)


@pytest.mark.parametrize("line", ["hello", "[25:00] <a> b", "[12:60] <a> b", "[12:18] nobody", "====", "[12:18] <> x"])
def test_what_is_no_line_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(BadLog, match=r"some\.raw\.txt:2: not a line of an IRC log"):
        log_of(tmp_path, f"[12:18] <a> b\n{line}\n")


def test_not_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "some.raw.txt"
    path.write_bytes(b"[12:18] <a> b\n[12:18] <a> \xff\n")
    with pytest.raises(BadLog, match=r":2: not UTF-8$"):
        read_log(path)


def test_nothing_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadLog, match="nothing happens"):
        log_of(tmp_path, "\n\n")


def test_too_long_for_the_protocol_is_refused(tmp_path: Path) -> None:
    log_of(tmp_path, "[12:18] <a> " + "é" * 8192)
    with pytest.raises(BadLog, match="longer than 16384 bytes"):
        log_of(tmp_path, "[12:18] <a> " + "é" * 8192 + "!")


def test_minutes_never_run_backwards(tmp_path: Path) -> None:
    """Lines without a time share the one before, late lines wait, midnight and a clock of twelve hours go on."""
    clocks = [
        "[12:58] <a> x",
        "=== b waves",
        "[12:57] <a> late",
        "[01:00] <a> of twelve hours",
        "[11:50] <a> late",
        "[00:10] <a> midnight",
    ]
    minutes = [h.minute for h in log_of(tmp_path, "\n".join(clocks))]  # type: ignore[attr-defined]
    assert minutes == [778, 778, 778, 780, 1430, 1450]


def test_the_first_answered_line_counts(tmp_path: Path) -> None:
    """Line 3 answers 1 and 0: the first in the log. Line 2 opens a conversation. Line 4 was not spoken."""
    lines = "[12:18] <a> 0\n[12:18] <a> 1\n[12:18] <a> 2\n[12:18] <a> 3\n=== b [x] has joined #c\n[12:18] <a> 5"
    happenings = log_of(tmp_path, lines, "1 3 - \n0 3 - \n2 2 - \n4 5 - \n")
    assert [h.answers for h in happenings if isinstance(h, Spoke)] == [None, None, None, 0, None]


@pytest.mark.parametrize("row", ["1", "1 0 -", "0 9 -", "a b -", "0 1 ?"])
def test_bad_annotations_are_named(tmp_path: Path, row: str) -> None:
    with pytest.raises(BadLog, match=r"some\.annotation\.txt:1: not an annotation"):
        log_of(tmp_path, "[12:18] <a> b\n[12:18] <a> c\n", row + "\n")


def test_the_example_is_read_whole() -> None:
    log = read_log(NIGHTWATCH)
    assert log.name == "nightwatch"
    assert len(log.happenings) == len(NIGHTWATCH.read_bytes().splitlines())
    assert {type(h) for h in log.happenings} == {Spoke, Joined, Left, Renamed}
    assert sum(isinstance(h, Spoke) and h.answers is not None for h in log.happenings) > 50

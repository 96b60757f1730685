"""IRC logs as text files: every line becomes something that somebody did.

    [12:18] <nick> text                         speaks
    [12:18]  * nick text    === nick text       acts (/me)
    === nick [user@host] has joined #channel    joins; the same with left and quit
    === nick is now known as other              changes the name
    === mode/#channel [+b …] by nick            sets a mode: an act of that nick, as is ..[topic/#channel:nick] : …

Beside `name.raw.txt` may stand `name.annotation.txt`: lines `A B -` say that line B answers line A, numbered from 0;
`A A` opens a conversation and says nothing new. If a line answers several, the first counts. Lines end with a line feed
only: other separators of Unicode are text.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

TEXT_BYTES_MAX = 16384
HALF_DAY_MINUTES = 12 * 60


class BadLog(ValueError):
    """This file is not an IRC log; the message is one line and names file and line."""


@attrs.frozen
class Spoke:
    """`text` is at least one byte: an empty line is spoken as one space, since the protocol has no empty text."""

    line: int
    minute: int
    nick: str
    text: str
    answers: int | None = None


@attrs.frozen
class Joined:
    line: int
    minute: int
    nick: str


@attrs.frozen
class Left:
    line: int
    minute: int
    nick: str


@attrs.frozen
class Renamed:
    line: int
    minute: int
    nick: str
    other: str


Happening = Spoke | Joined | Left | Renamed


@attrs.frozen
class Log:
    """`minute` of a happening counts from midnight of the first day and never runs backwards."""

    name: str
    happenings: tuple[Happening, ...]


def read_log(path: Path) -> Log:
    """Reads one log and its annotations. Raises BadLog, OSError."""
    lines = _text(path).split("\n")
    answers = _annotations(path, len(lines))
    happenings = tuple(_answering(_happenings(path, lines), answers))
    if not happenings:
        raise BadLog(f"{path}: nothing happens in this log")
    return Log(_stem(path), happenings)


def _text(path: Path) -> str:
    raw = path.read_bytes()
    try:
        return raw.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise BadLog(f"{path}:{raw.count(10, 0, error.start) + 1}: not UTF-8") from None


def _stem(path: Path) -> str:
    return path.name.removesuffix(".txt").removesuffix(".raw")


def _happenings(path: Path, lines: list[str]) -> Iterator[Happening]:
    minute = 0
    for number, line in enumerate(lines):
        text = line.removesuffix("\r")
        if not text.strip():
            continue
        minute = _clock(text, minute)
        happening = _happening(number, minute, text)
        if happening is None:
            raise BadLog(f"{path}:{number + 1}: not a line of an IRC log: {text[:60]!r}")
        if isinstance(happening, Spoke) and len(happening.text.encode()) > TEXT_BYTES_MAX:
            raise BadLog(f"{path}:{number + 1}: longer than {TEXT_BYTES_MAX} bytes")
        yield happening


TIME = re.compile(r"\[([01]\d|2[0-3]):([0-5]\d)\] ")


def _clock(text: str, before: int) -> int:
    """The minute of this line: the earliest with this reading that is not over an hour back.

    Lines come a little out of order. Old logs have a clock of twelve hours without saying so.
    """
    match = TIME.match(text)
    if match is None:
        return before
    told = int(match[1]) * 60 + int(match[2])
    while told < before - 60:
        told += HALF_DAY_MINUTES
    return max(before, told)


Make = Callable[[int, int, re.Match[str]], Happening]
PLACE = r"(?:\s+\[\S*\])?\s+has"  # servers show where somebody comes from, some logs leave it out

FORMS: tuple[tuple[re.Pattern[str], Make], ...] = (
    (re.compile(TIME.pattern + r"<([^\s>]+)\s*> ?(.*)", re.S), lambda n, m, it: Spoke(n, m, it[3], it[4] or " ")),
    (re.compile(TIME.pattern + r" ?\* (\S+) ?(.*)", re.S), lambda n, m, it: _act(n, m, it[3], it[4])),
    (re.compile(rf"=== (\S+){PLACE} joined #\S+"), lambda n, m, it: Joined(n, m, it[1])),
    (re.compile(rf"=== (\S+){PLACE} left #\S+"), lambda n, m, it: Left(n, m, it[1])),
    (re.compile(r"=== (\S+)\s+\[\S*\]\s+has quit\b"), lambda n, m, it: Left(n, m, it[1])),
    (re.compile(r"=== (\S+) is now known as (\S+)\s*\Z"), lambda n, m, it: Renamed(n, m, it[1], it[2])),
    (
        re.compile(r"=== mode/#\S+ (.*\S)\s+by (\S+)\s*\Z", re.S),
        lambda n, m, it: _act(n, m, it[2], f"sets mode {it[1]}"),
    ),
    (
        re.compile(r"=== \.\.\[topic/#\S+?:(\S+)\] : (.*)", re.S),
        lambda n, m, it: _act(n, m, it[1], f"sets topic {it[2]}"),
    ),
    (re.compile(r"=== (\S+) ?(.*)", re.S), lambda n, m, it: _act(n, m, it[1], it[2])),
)  # the first form that fits: an act looks like everything else


def _happening(number: int, minute: int, text: str) -> Happening | None:
    for form, make in FORMS:
        if match := form.match(text):
            return make(number, minute, match)
    return None


def _act(number: int, minute: int, nick: str, text: str) -> Spoke:
    return Spoke(number, minute, nick, f"/me {text}".rstrip() if text else "/me")


def _answering(happenings: Iterator[Happening], answers: dict[int, int]) -> Iterator[Happening]:
    """Puts in what a line answers, where both lines are spoken."""
    spoken: set[int] = set()
    for happening in happenings:
        if isinstance(happening, Spoke):
            spoken.add(happening.line)
            answered = answers.get(happening.line)
            yield attrs.evolve(happening, answers=answered) if answered in spoken else happening
        else:
            yield happening


def _annotations(path: Path, lines: int) -> dict[int, int]:
    """Answering line -> the first line it answers."""
    beside = path.with_name(f"{_stem(path)}.annotation.txt")
    if beside == path or not beside.exists():
        return {}
    answers: dict[int, int] = {}
    for number, row in enumerate(_text(beside).splitlines()):
        match = re.fullmatch(r"(\d+) (\d+) -\s*", row)
        if match is None or not int(match[1]) <= int(match[2]) < lines:
            raise BadLog(f"{beside}:{number + 1}: not an annotation of this log: {row[:60]!r}")
        answered, answering = int(match[1]), int(match[2])
        if answered < answering:
            answers[answering] = min(answered, answers.get(answering, answered))
    return answers

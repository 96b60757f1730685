"""Histories as files, so that several processes can each write what they see, and all of it is judged later.

A file is JSON, one event a line: `{"t": 12.5, "event": "ok", "name": ["ann", 3], "seq": 7, "ts": 1800000000000}`, with
the arguments of that method of `History` by name, without those that are as usual. Its first line says which clock `t`
was read from, in seconds: files of one clock can be merged. Bytes are `{"hex": "00ff"}`, a tuple is a list.

Each line is handed to the system before the reporter goes on. A process that is killed may leave half a line at the end
of its file, which is ignored: what it began to write there had no consequences yet.
"""

from __future__ import annotations

import heapq
import inspect
import json
import platform
import time
import typing
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import attrs
import cattrs

from tools.history.checker import Entry, History, Holding, Op, Record
from tools.history.liveness import WITHIN_SECONDS

FORMAT = 1
CAUSES = frozenset({"invoke", "asks", "held", "marked"})
"""Events from which others follow: they came first, whatever the clocks say."""


class BadFile(Exception):
    """A file that is no history, or cannot be judged with the others; the message is one line."""


def machine_clock() -> str:
    """The name of `time.monotonic` of this machine since it was started; of all its processes."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{platform.node()} {boot.read_text().strip() if boot.exists() else 'monotonic'}"


class Recorder:
    """Has the methods of `History` that report something, and writes them down. Not for several threads."""

    def __init__(
        self, stream: TextIO, clock: Callable[[], float] = time.monotonic, clock_name: str | None = None
    ) -> None:
        """`clock` in seconds; `clock_name` must differ between clocks that do not agree."""
        self._stream = stream
        self._clock = clock
        self._write({"history": FORMAT, "clock": clock_name or machine_clock()})

    def _write(self, fields: Mapping[str, object]) -> None:
        self._stream.write(json.dumps(fields, default=_hex, separators=(",", ":")) + "\n")
        self._stream.flush()  # a request must not outlive the note that it was sent

    def _tell(self, event: str, **arguments: object) -> None:
        said = CONVERTER.unstructure(EVENTS[event](**arguments))
        self._write({"t": round(self._clock(), 6), "event": event, **said})

    def invoke(self, name: Hashable, op: Op) -> None:
        self._tell("invoke", name=name, op=op)

    def again(self, name: Hashable) -> None:
        self._tell("again", name=name)

    def ok(self, name: Hashable, seq: int, ts: int | None = None) -> None:
        self._tell("ok", name=name, seq=seq, ts=ts)

    def failed(self, name: Hashable) -> None:
        self._tell("failed", name=name)

    def saw(self, observer: Hashable, user: int, entry: Entry) -> None:
        self._tell("saw", observer=observer, user=user, entry=entry)

    def shown(self, user: int, conv: int, seq: int) -> None:
        self._tell("shown", user=user, conv=conv, seq=seq)

    def recorded(self, observer: Hashable, user: int, conv: int, record: Record, cid: bytes | None = None) -> None:
        self._tell("recorded", observer=observer, user=user, conv=conv, record=record, cid=cid)

    def logged(self, entry: Entry) -> None:
        self._tell("logged", entry=entry)

    def headed(self, conv: int, head: int) -> None:
        self._tell("headed", conv=conv, head=head)

    def held(self, user: int, conv: int, low: int, pos: int) -> None:
        self._tell("held", user=user, conv=conv, low=low, pos=pos)

    def marked(self, user: int, conv: int, seq: int) -> None:
        self._tell("marked", user=user, conv=conv, seq=seq)

    def receipt(self, observer: Hashable, conv: int, user: int, delivered: int | None, read: int) -> None:
        self._tell("receipt", observer=observer, conv=conv, user=user, delivered=delivered, read=read)

    def promised(self, observer: Hashable, conv: int, user: int, delivered: int | None, read: int) -> None:
        self._tell("promised", observer=observer, conv=conv, user=user, delivered=delivered, read=read)

    def asks(self, name: Hashable, user: int, conv: int) -> None:
        self._tell("asks", name=name, user=user, conv=conv)

    def answers(self, name: Hashable, upto: int) -> None:
        self._tell("answers", name=name, upto=upto)

    def announced(self, screen: Hashable, conv: int, seq: int) -> None:
        self._tell("announced", screen=screen, conv=conv, seq=seq)

    def cleared(self, screen: Hashable) -> None:
        self._tell("cleared", screen=screen)

    def holds(self, holding: Holding) -> None:
        self._tell("holds", holding=holding)

    def reached(self, device: Hashable, user: int, conv: int, pos: int, at: float | None = None) -> None:
        """`at`: now, if it is left away."""
        self._tell("reached", device=device, user=user, conv=conv, pos=pos, at=self._clock() if at is None else at)

    def healed(self, at: float | None = None, within: float = WITHIN_SECONDS) -> None:
        """`at`: now, if it is left away."""
        self._tell("healed", at=self._clock() if at is None else at, within=within)

    def retired(self, device: Hashable) -> None:
        self._tell("retired", device=device)

    def restored(self, heads: Mapping[int, int]) -> None:
        self._tell("restored", heads=heads)


def _hex(value: object) -> dict[str, str]:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    raise TypeError(f"{value!r} cannot be written down")


def _free(value: Any, _: object = None) -> Any:
    """Names and contents: whatever can be written down, and compares as it did."""
    if isinstance(value, list):
        return tuple(_free(each) for each in value)
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"])
    return value


def _int(value: Any, _: object) -> int:
    """Keys of a mapping are strings in JSON."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"{value!r} is no number")
    return int(value)


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(omit_if_default=True, forbid_extra_keys=True, detailed_validation=False)
    converter.register_structure_hook_func(lambda kind: kind in (object, Hashable), _free)
    converter.register_unstructure_hook_func(lambda kind: kind in (object, Hashable), lambda value: value)
    converter.register_structure_hook(int, _int)
    converter.register_structure_hook(bool, lambda value, _: bool(value))
    converter.register_structure_hook(bytes, _free)
    converter.register_unstructure_hook(bytes, lambda value: value)
    return converter


def _events() -> dict[str, type[Any]]:
    """For each method of `Recorder` that reports an event, a class of its arguments."""
    made = {}
    for name, method in inspect.getmembers(Recorder, inspect.isfunction):
        if not name.startswith("_"):
            hints, parameters = typing.get_type_hints(method), list(inspect.signature(method).parameters.values())[1:]
            fields = {
                each.name: attrs.field(
                    type=hints[each.name], default=attrs.NOTHING if each.default is each.empty else each.default
                )
                for each in parameters
            }
            made[name] = attrs.make_class(name, fields, frozen=True)
    return made


CONVERTER = _converter()
EVENTS = _events()


@attrs.frozen(order=False)
class Line:
    """One event of a file. `t` in seconds."""

    t: float
    event: str
    arguments: Any
    place: str
    """File and line."""

    def tell(self, history: History) -> None:
        """Report it. Raises BadFile if it speaks of what is not in the files."""
        try:
            getattr(history, self.event)(*(getattr(self.arguments, name) for name in self.arguments.__match_args__))
        except KeyError as error:
            raise BadFile(f"{self.place}: nobody has begun {error.args[0]!r}: is a file missing?") from None


def read(path: Path) -> tuple[str, Iterator[Line]]:
    """The name of the clock of a file, and its events. Raises OSError and BadFile, also while the events are read."""
    lines = _complete_lines(path)
    try:
        head = json.loads(next(lines))
        version, clock = head["history"], head["clock"]
    except (StopIteration, ValueError, KeyError, TypeError):
        raise BadFile(f"{path}:1: not the first line of a history") from None
    if version != FORMAT:
        raise BadFile(f"{path}:1: a history of format {version}; this program reads {FORMAT}")
    return clock, _parsed(path, lines)


def _complete_lines(path: Path) -> Iterator[str]:
    """Without what a killed process left behind."""
    with path.open(encoding="utf-8") as file:
        yield from (line for line in file if line.endswith("\n"))


def _parsed(path: Path, lines: Iterable[str]) -> Iterator[Line]:
    last = 0.0
    for number, text in enumerate(lines, 2):
        place = f"{path}:{number}"
        try:
            fields = json.loads(text)
            last = max(last, float(fields.pop("t")))  # a clock that is set back stands still
            event = fields.pop("event")
            arguments = CONVERTER.structure(fields, EVENTS[event])
        except Exception as error:  # noqa: BLE001  whatever the line says, the answer is where it stands
            raise BadFile(f"{place}: not an event: {type(error).__name__}: {error}") from None
        yield Line(last, event, arguments, place)


def merged(files: Iterable[Path], margin: float = 0.0) -> Iterator[Line]:
    """The events of several files in the order of time.

    What happened on two machines within `margin` seconds may have happened in either order. So causes count as so much
    earlier: nothing is blamed for coming before what perhaps came after it. Raises OSError and BadFile.
    """
    clocks: dict[str, Path] = {}
    streams = []
    real: set[Path] = set()
    for path in files:
        if path.resolve() in real:
            raise BadFile(f"{path} is given twice: what it tells would have happened twice")
        real.add(path.resolve())
        clock, lines = read(path)
        clocks.setdefault(clock, path)
        streams.append(_causes_first(lines, margin))
    if len(clocks) > 1 and not margin:
        one, other = list(clocks.values())[:2]
        raise BadFile(f"{one} and {other} are of different clocks: say with --margin how far these may differ")
    return heapq.merge(*streams, key=lambda line: line.t)


def _causes_first(lines: Iterable[Line], margin: float) -> Iterator[Line]:
    """In order of time when causes are moved forward; keeps as many lines as a margin is long."""
    waiting: list[tuple[float, int, Line]] = []
    for number, line in enumerate(lines):
        t = line.t - margin if line.event in CAUSES else line.t
        heapq.heappush(waiting, (t, number, attrs.evolve(line, t=t) if margin else line))
        while waiting and waiting[0][0] <= line.t - margin:
            yield heapq.heappop(waiting)[2]
    while waiting:
        yield heapq.heappop(waiting)[2]

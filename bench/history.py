"""The judge of histories: events for each second of a core, reported at once and out of files.

One group in which everybody says something in turn: each message is asked for, acknowledged, shown to every member and
held by him, and the log is read in the end. So it is mostly `saw` and `held`, as in a run with many receivers.
"""

from __future__ import annotations

import json
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import attrs

from tools.history.checker import CREATE, MSG, Entry, History, Op
from tools.history.recording import Recorder, merged

CONV = 1


class Reporter(Protocol):
    """A `History` or a `Recorder`."""

    def invoke(self, name: int, op: Op) -> None: ...
    def ok(self, name: int, seq: int, ts: int | None = None) -> None: ...
    def saw(self, observer: int, user: int, entry: Entry) -> None: ...
    def logged(self, entry: Entry) -> None: ...
    def held(self, user: int, conv: int, low: int, pos: int) -> None: ...


@attrs.frozen
class Result:
    """What it cost. `peak_mib`: resident memory of the whole process at its highest."""

    how: str
    events: int
    events_per_cpu_second: float
    peak_mib: float


def report(to: Any, events: int, members: int) -> int:
    """Report about so many events; returns how many."""
    reporter: Reporter = to
    users = tuple(range(1, members + 1))
    log, told = [Entry(CONV, 1, 0, 1, CREATE, "room", users=users)], 0
    while told + len(log) < events:
        seq = len(log) + 1
        sender = users[seq % members]
        log.append(Entry(CONV, seq, seq, sender, MSG, f"message {seq}"))
        reporter.invoke(seq, Op(CONV, sender, MSG, log[-1].content, order=sender))
        reporter.ok(seq, seq, seq)
        for user in users:
            reporter.saw(user, user, log[-1])
            reporter.held(user, CONV, 1, seq)
        told += 2 + 2 * members
    for entry in log:
        reporter.logged(entry)
    return told + len(log)


def measure(events: int, members: int) -> Iterator[Result]:
    """Judge a history as it comes, then one out of a file. Raises AssertionError when anything is blamed."""
    history, began = History(), time.process_time()
    count = report(history, events, members)
    yield _result("reported at once", history, count, began)
    with tempfile.TemporaryDirectory(prefix="wirechat-history-") as directory:
        path = Path(directory) / "history.jsonl"
        with path.open("w") as stream:
            began = time.process_time()
            count = report(Recorder(stream), events, members)
            yield Result("written to a file", count, count / (time.process_time() - began), _peak_mib())
        history, began = History(), time.process_time()
        for line in merged([path]):
            line.tell(history)
        yield _result("judged from a file", history, count, began)


def _result(how: str, history: History, events: int, began: float) -> Result:
    violations = history.finish()
    seconds = time.process_time() - began
    assert not violations, violations[:3]
    return Result(how, events, events / seconds, _peak_mib())


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def as_text(results: list[Result]) -> str:
    lines = (
        f"{each.how:20} {each.events:>10,} events {each.events_per_cpu_second:>12,.0f} per CPU second"
        f" {each.peak_mib:>8,.0f} MiB at most"
        for each in results
    )
    return "\n".join(lines)


def as_json(results: list[Result]) -> str:
    return json.dumps([attrs.asdict(each) for each in results])

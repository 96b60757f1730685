"""Learns how people talk from IRC logs: `python -m tools.loadgen.learn DIRECTORY > tools/loadgen/hour.json`.

Threads are what the annotations beside a log connect: a text and all that answer it, directly or not. Logs tell
minutes; the texts of one minute are taken to be spread evenly over it. Threads that were under way where the
annotations begin or end are cut there, so the longest are a little too short.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import attrs

from tools.loadgen.hour import Model
from tools.replay.log import BadLog, Log, Spoke, read_log

QUANTILES = 64
SOURCE = (
    "J. K. Kummerfeld et al., A Large-Scale Corpus for Conversation Disentanglement (ACL 2019),"
    " github.com/jkkummerfeld/irc-disentanglement, data/dev: distributions of it, no text"
)
LICENCE = "CC-BY-4.0"
FIRST_ANNOTATED = 1000
"""Lines before are not annotated: they are there to be answered."""


def learn(logs: Iterable[Log]) -> Model:
    """From logs with annotations. Raises BadLog when there are none."""
    lengths, gaps, shapes = list[int](), list[float](), Counter[tuple[int, int]]()
    same = turns = 0
    hours = 0.0
    for log in logs:
        spoken = [each for each in log.happenings if isinstance(each, Spoke)]
        lengths += [len(each.text.encode()) for each in spoken]
        hours += (spoken[-1].minute - spoken[0].minute) / 60
        seconds = _seconds(spoken)
        for thread in _threads(spoken):
            shapes[len(thread), len({each.nick for each in thread})] += 1
            for one, other in pairwise(thread):
                gaps.append(seconds[other.line] - seconds[one.line])
                same += one.nick == other.nick
                turns += 1
    if not gaps:
        raise BadLog("no log with annotations beside it")
    return Model(
        SOURCE,
        LICENCE,
        len(lengths),
        round(len(lengths) / hours, 1),
        quantiles(lengths),
        quantiles(gaps),
        tuple((texts, speakers, count) for (texts, speakers), count in sorted(shapes.items())),
        round(same / turns, 3),
    )


def quantiles(values: Sequence[float]) -> tuple[float, ...]:
    """QUANTILES + 1 of them, from the least to the most."""
    ordered = sorted(values)
    return tuple(round(ordered[(len(ordered) - 1) * at // QUANTILES], 1) for at in range(QUANTILES + 1))


def _seconds(spoken: Sequence[Spoke]) -> dict[int, float]:
    """Line -> when it was said."""
    minutes: defaultdict[int, list[Spoke]] = defaultdict(list)
    for each in spoken:
        minutes[each.minute].append(each)
    return {
        each.line: minute * 60 + (at + 0.5) * 60 / len(within)
        for minute, within in minutes.items()
        for at, each in enumerate(within)
    }


def _threads(spoken: Sequence[Spoke]) -> Iterator[list[Spoke]]:
    """What is connected by answers."""
    first: dict[int, int] = {}
    threads: defaultdict[int, list[Spoke]] = defaultdict(list)
    for each in spoken:
        if each.line >= FIRST_ANNOTATED:
            first[each.line] = each.line if each.answers is None else first.get(each.answers, each.line)
            threads[first[each.line]].append(each)
    yield from threads.values()


def main() -> int:
    """Exit status 2 when there is nothing to learn from."""
    try:
        (directory,) = map(Path, sys.argv[1:])
        found = learn([read_log(path) for path in sorted(directory.glob("*.raw.txt"))])
    except ValueError as error:
        print(error if isinstance(error, BadLog) else "usage: python -m tools.loadgen.learn DIRECTORY", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"cannot read {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    print(
        "{\n"
        + ",\n".join(f" {json.dumps(key)}: {json.dumps(each)}" for key, each in attrs.asdict(found).items())
        + "\n}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

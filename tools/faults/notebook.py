"""What happened at the connections of some clients, written down as it happens by their process and read in the end.

A note is written in one go before what it tells can have any effect, so a killed process leaves all its notes and at
most a part of one more. The time is the machine's monotonic clock, which all processes share: the notes of several
books in order of time are one history.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

import attrs
import msgpack

from wirechat import wire

LINES_MAX = 1_000_000
"""Connections of one life."""


class What(enum.IntEnum):
    """What a note tells."""

    OPENED = 1
    """A connection was made."""
    SENT = 2
    """The body of a frame, before it goes out."""
    RECEIVED = 3
    """The body of a frame, before the client looks at it."""
    HELD = 4
    """[conv, low, pos] of each conversation as they stand on the device's disk, before an ACK goes out."""
    SHOWN = 5
    """[conv, seq]: a program was told of a new record. Here and in RESYNCED `line` is the life of the process."""
    RESYNCED = 6
    """A program was told that everything is read anew."""
    GAVE_UP = 7
    """A client that should never do so has given up; why."""
    LOST = 8
    """A client has noticed that its connection is gone; why."""


@attrs.frozen
class Note:
    """`at`: seconds; `device`: its number; `line`: which of its connections."""

    at: float
    device: int
    line: int
    what: What
    body: Any


class Notebook:
    """The book of one process of clients."""

    def __init__(self, path: Path, life: int = 0) -> None:
        """`life`: which run of its process; it goes on in the book of the one before."""
        self._file: IO[bytes] = path.open("ab", buffering=0)
        self._lines = life * LINES_MAX

    def line(self, device: int) -> int:
        """A number for a new connection."""
        self._lines += 1
        self.note(device, self._lines, What.OPENED)
        return self._lines

    def note(self, device: int, line: int, what: What, body: Any = None) -> None:
        """Write down what happens now."""
        self._file.write(msgpack.packb((time.monotonic(), device, line, int(what), body)))

    def close(self) -> None:
        self._file.close()


def read(paths: Iterable[Path]) -> list[Note]:
    """All notes of all books in order of time."""
    notes = [note for path in paths for note in _read_one(path)]
    return sorted(notes, key=lambda note: note.at)


M = TypeVar("M", bound=wire.Message)


def received(paths: Iterable[Path], kind: type[M]) -> Iterator[tuple[Note, M]]:
    """Every frame of one type that came from the server, in order of time."""
    for note in read(paths):
        if note.what is What.RECEIVED:
            message = wire.decode(note.body, side=wire.SERVER)
            if isinstance(message, kind):
                yield note, message


def _read_one(path: Path) -> Iterator[Note]:
    with path.open("rb") as file:
        for at, device, line, what, body in msgpack.Unpacker(file, use_list=False):
            yield Note(at, device, line, What(what), body)

"""A disk that forgets what was not synced.

Rules: a program sees its writes at once. At a power cut each change since the last sync of its file is kept, lost or
torn, independently of the others, so that a later one may be there and an earlier one not. A sector is never half
written. A name is what it was after the last sync of the directory, or after any change since.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from random import Random

import attrs

SECTOR = 512
"""Bytes that are written as one."""


@attrs.frozen
class Write:
    """Bytes at an offset."""

    offset: int
    data: bytes

    def sectors(self) -> list[Write]:
        """The same, one for each sector it touches."""
        end = self.offset + len(self.data)
        edges = [self.offset, *range(self.offset // SECTOR * SECTOR + SECTOR, end, SECTOR), end]
        return [Write(low, self.data[low - self.offset : high - self.offset]) for low, high in pairwise(edges)]

    def apply(self, content: bytearray, hole: bytes = b"\0") -> None:
        """Do it; what was never written before it reads as `hole`, over and over."""
        missing = self.offset - len(content)
        if missing > 0:
            content.extend((hole * (missing // len(hole) + 1))[:missing])
        content[self.offset : self.offset + len(self.data)] = self.data


@attrs.frozen
class Truncate:
    """The file ends here."""

    size: int

    def apply(self, content: bytearray, hole: bytes = b"\0") -> None:
        """Do it. A file is never made longer by it."""
        del content[self.size :]


@attrs.frozen
class Weather:
    """What becomes of the unsynced at one cut. `keep`, `tear`: probabilities; `hole`: what unwritten sectors show."""

    keep: float
    tear: float
    hole: bytes


def weather(chance: Random) -> Weather:
    """From nothing to all, whole or torn, over zeros or over what the disk held before."""
    hole = chance.choice((b"\0", chance.randbytes(SECTOR)))
    return Weather(chance.choice((0.0, 0.3, 0.7, 1.0)), chance.choice((0.0, 0.3, 1.0)), hole)


class File:
    """The contents of a file: as programs see them, and as they are safe."""

    def __init__(self, content: bytes | bytearray = b"") -> None:
        self.seen = bytearray(content)
        self._safe = bytearray(content)
        self._pending: list[Write | Truncate] = []

    def change(self, change: Write | Truncate) -> None:
        """Seen at once, safe after a sync."""
        change.apply(self.seen)
        self._pending.append(change)

    def sync(self) -> None:
        """Make all changes safe."""
        for change in self._pending:
            change.apply(self._safe)
        self._pending.clear()

    def fail_to_sync(self, chance: Random) -> None:
        """As Linux does: programs go on seeing the changes, no later sync will write them, and some are safe."""
        for change in self._pending:
            if chance.random() < 0.5:
                change.apply(self._safe)
        self._pending.clear()

    def survive(self, weather: Weather, chance: Random, counts: Counter[str]) -> File:
        """What is left of it."""
        if not self._pending and self.seen == self._safe:
            return self
        content = bytearray(self._safe)
        for change in self._pending:
            kept = _kept(change, weather, chance)
            fate = "kept" if change in kept else "torn" if kept else "lost"
            counts[f"unsynced change {fate}"] += 1
            for piece in kept:
                piece.apply(content, weather.hole)
        return File(content)


def _kept(change: Write | Truncate, weather: Weather, chance: Random) -> list[Write | Truncate]:
    if isinstance(change, Write) and chance.random() < weather.tear:
        sectors = change.sectors()
        kept: list[Write | Truncate] = [sector for sector in sectors if chance.random() < 0.5]
        return [change] if len(kept) == len(sectors) else kept
    return [change] if chance.random() < weather.keep else []


class Disk:
    """One directory of files."""

    def __init__(self, files: dict[str, File] | None = None) -> None:
        self.files = dict(files or {})
        self._changed: dict[str, list[File | None]] = {}
        """name -> what it was when the directory was last synced, and has been since."""

    def create(self, name: str) -> File:
        """A new empty file; its name is not safe yet."""
        file = File()
        self._rename(name, file)
        self.files[name] = file
        return file

    def delete(self, name: str) -> None:
        """Not safe yet either: it may come back."""
        self._rename(name, None)
        del self.files[name]

    def _rename(self, name: str, now: File | None) -> None:
        self._changed.setdefault(name, [self.files.get(name)]).append(now)

    def sync_directory(self) -> None:
        """Make all names safe."""
        self._changed.clear()

    def lose_power(self, chance: Random, counts: Counter[str]) -> Disk:
        """What a machine finds that starts with this disk."""
        found = dict(self.files)
        for name, states in self._changed.items():
            state = chance.choice(states)
            counts["unsynced name " + ("kept" if state is states[-1] else "lost")] += 1
            if state is None:
                found.pop(name, None)
            else:
                found[name] = state
        sky = weather(chance)
        return Disk({name: file.survive(sky, chance, counts) for name, file in sorted(found.items())})

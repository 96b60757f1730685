"""The plain book of what was answered: nothing of the store's own is used to judge by it.

Each acknowledged entry must be found with its seq, time, sender and content; each refused one must not be found; one
without an answer may be found, once and whole. Seqs have no gap. What a found delete is about has no content.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from wirechat.store.errors import StoreError
from wirechat.store.records import Append, Appended, Kind, Refusal
from wirechat.store.tx import Row, Tx

Key = tuple[int, int, bytes]
"""(conv, sender, cid)."""
Place = tuple[int, int]
"""(conv, seq)."""

LOST, CHANGED, TWICE, GAP, UNASKED, WHOLE = (
    "P1 an acknowledged entry is lost",
    "P1 an acknowledged entry is another",
    "P2 one entry, two answers",
    "P3 a conversation has a gap",
    "P2 an entry that nobody has, or that was refused",
    "P1 an entry without an answer is not what was sent",
)


@attrs.frozen
class Done:
    """What was acknowledged."""

    item: Append
    seq: int
    ts: int

    def __str__(self) -> str:
        return f"{_said(self.item)}, time {self.ts}"


class Book:
    """Everything that was asked for, and what was said."""

    def __init__(self) -> None:
        self.entries: dict[Place, Done] = {}
        self.broken: list[str] = []
        self._places: dict[Key, Place] = {}
        self._absent: set[Key] = set()
        self._open: dict[Key, Append] = {}

    def asked(self, batch: Sequence[Append]) -> None:
        """Submitted; what becomes of it is unknown until it is answered."""
        for item in batch:
            self._absent.discard(key(item))
            if key(item) not in self._places:
                self._open.setdefault(key(item), item)

    def answered(self, batch: Sequence[Append], results: Sequence[Appended | Refusal | StoreError]) -> None:
        """One answer for each."""
        for item, result in zip(batch, results, strict=True):
            if isinstance(result, Appended):
                self._acknowledged(item, result)
            elif isinstance(result, Refusal) and result is not Refusal.CID_REUSED:
                self._absent.add(key(item))

    def _acknowledged(self, item: Append, done: Appended) -> None:
        if done.conv != item.conv:
            return  # the two had a direct conversation already, which is in the book by itself
        self._absent.discard(key(item))
        place = (done.conv, done.seq)
        known = self.entries.setdefault(place, Done(item, done.seq, done.ts))
        same = key(known.item) == key(item) and known.ts == done.ts
        if self._places.setdefault(key(item), place) != place or not same:
            self.broken.append(f"{TWICE}: {place} is {known}, now {_said(item)} is answered {done}")

    def check(self, rows: Sequence[Row]) -> Iterator[str]:
        """Judge a log, as `log` reads it."""
        found = {(row[0], row[1]): row for row in rows}
        gone = {(conv, ref) for conv, _, _, _, kind, _, ref, _ in rows if kind == Kind.DELETE}
        for place, done in self.entries.items():
            row = found.get(place)
            if row is None:
                yield f"{LOST}: {place} {done}"
            elif row[2] != done.ts or not _is(row, done.item, gone):
                yield f"{CHANGED}: {place} {done}, found {_row(row)}"
        for place, row in found.items():
            if place not in self.entries:
                yield from self._check_stranger(row, gone)
        yield from _gaps(found)

    def _check_stranger(self, row: Row, gone: set[Place]) -> Iterator[str]:
        name = (row[0], row[3], row[7])
        item = self._open.get(name)
        if item is None or name in self._absent or name in self._places:
            yield f"{UNASKED}: {_row(row)}"
        elif not _is(row, item, gone):
            yield f"{WHOLE}: {_said(item)}, found {_row(row)}"


def key(item: Append) -> Key:
    """What makes an entry this one."""
    return item.conv, item.sender, item.cid


def _said(item: Append) -> str:
    return f"{Kind(item.kind).name} {item.cid.hex()} by {item.sender}, {len(item.content or b'')} bytes, ref {item.ref}"


def _row(row: Row) -> str:
    conv, seq, ts, sender, kind, content, ref, cid = row
    return f"({conv}, {seq}) kind {kind} {cid.hex()} by {sender}, {len(content or b'')} bytes, ref {ref}, time {ts}"


def _is(row: Row, item: Append, gone: set[Place]) -> bool:
    conv, seq, _, sender, kind, content, ref, cid = row
    wiped = (conv, ref) in gone if kind == Kind.EDIT else (conv, seq) in gone
    expected = None if wiped else item.content
    return (sender, kind, content, ref, cid) == (item.sender, item.kind, expected, item.ref, item.cid)


def _gaps(found: dict[Place, Row]) -> Iterator[str]:
    seqs: dict[int, list[int]] = {}
    for conv, seq in found:
        seqs.setdefault(conv, []).append(seq)
    for conv, given in seqs.items():
        if sorted(given) != list(range(1, len(given) + 1)):
            yield f"{GAP}: conversation {conv} has {sorted(given)}"


async def log(tx: Tx) -> list[Row]:
    """Every entry there is."""
    return await tx.fetch("SELECT conv, seq, ts, sender, kind, content, ref, cid FROM entry ORDER BY conv, seq")

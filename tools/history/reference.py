"""What a device must end with, folded again from the log by the shortest code that can do it.

Independent of the product's own fold on purpose: it folds from nothing, knows no positions, pages or races, and
decides by membership periods what a user may see.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from tools.history.entries import CHANGES, DELETE, EDIT, PIN, UNPIN, Entry


@attrs.define
class Record:
    """A message or membership entry in its latest state."""

    seq: int
    rev: int
    ts: int
    sender: int
    kind: int
    content: object
    ref: int | None
    users: tuple[int, ...]
    edited: int | None = None
    reactions: dict[int, object] = attrs.Factory(dict)
    role: int | None = None
    origin: object = None
    pinned: int | None = None


def fold(log: Sequence[Entry], upto: int) -> dict[int, Record]:
    """Every record of a log in order of seq, as it stands after entry `upto`."""
    records: dict[int, Record] = {}
    for entry in log[:upto]:
        take(records, entry)
    return records


def take(records: dict[int, Record], entry: Entry) -> Record | None:
    """Apply the next entry; returns the record that it made or changed, None when a hole in the log swallowed that."""
    if entry.kind not in CHANGES:
        records[entry.seq] = Record(
            entry.seq, entry.seq, entry.ts, entry.sender, entry.kind, entry.content, entry.ref, entry.users,
            role=entry.role, origin=entry.origin,
        )  # fmt: skip
        return records[entry.seq]
    record = records.get(entry.ref or 0)
    if record is not None:
        _change(record, entry)
    return record


def _change(record: Record, entry: Entry) -> None:
    record.rev = entry.seq
    if record.content is None:
        return
    if entry.kind == EDIT:
        record.content, record.edited, record.users, record.origin = entry.content, entry.ts, entry.users, None
    elif entry.kind == DELETE:
        record.content = record.edited = record.origin = record.pinned = None
        record.users, record.reactions = (), {}
    elif entry.kind in (PIN, UNPIN):
        record.pinned = entry.seq if entry.kind == PIN else None
    elif entry.content is None:
        record.reactions.pop(entry.sender, None)
    else:
        record.reactions[entry.sender] = entry.content


def deleted(log: Iterable[Entry]) -> set[int]:
    """The messages that were deleted for all, sooner or later: their content may be withheld already before that."""
    return {entry.ref for entry in log if entry.kind == DELETE and entry.ref is not None}

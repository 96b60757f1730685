"""What is unread, who is mentioned, what is pinned: counted again from whole logs, in the plainest way."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from tools.history.entries import MSG, PIN, Entry, Periods, is_within
from tools.history.reference import Record, deleted, fold


def unread(
    log: Sequence[Entry],
    times: Periods,
    user: int,
    read: int,
    head: int,
    hidden: Collection[int] = (),
    blocked: Collection[int] = (),
) -> tuple[set[int], set[int]]:
    """(messages a member has not read at this head; those among them that mention him). Without what he has hidden, and
    without what those say whom he blocks.
    """
    found = {
        record.seq
        for record in messages(log, head)
        if record.seq > read
        and record.sender not in (user, *blocked)
        and record.seq not in hidden
        and is_within(times, record.seq)
    }
    records = fold(log, head)
    return found, {seq for seq in found if user in records[seq].users}


def messages(log: Sequence[Entry], head: int) -> Iterator[Record]:
    """Those that are not deleted. What one says may be unknown: it was deleted later, before anybody read the log."""
    gone = deleted(log[:head])
    return (record for record in fold(log, head).values() if record.kind == MSG and record.seq not in gone)


def mentions(log: Sequence[Entry]) -> set[tuple[int, int]]:
    """(user, seq) of all mentions as they stand at the end of the log."""
    return {(user, record.seq) for record in messages(log, len(log)) for user in record.users if user != record.sender}


def pins(log: Sequence[Entry]) -> set[tuple[int, int]]:
    """(seq, seq of the PIN that holds) at the end of the log."""
    return {(record.seq, record.pinned) for record in messages(log, len(log)) if record.pinned is not None}


def is_pin(log: Sequence[Entry], seq: int, pinned: int, user: int, ts: int) -> bool:
    """Whether this is what an entry of the log says."""
    if not 0 < pinned <= len(log):
        return False
    entry = log[pinned - 1]
    return (entry.kind, entry.ref, entry.sender, entry.ts) == (PIN, seq, user, ts)

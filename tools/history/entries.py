"""What a history is made of: entries of logs, operations that ask for them, memberships, and broken promises."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable

import attrs

MSG, EDIT, DELETE, REACT, PIN, CREATE, ADD, REMOVE, META, ROLE, UNPIN = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13
CHANGES = frozenset({EDIT, DELETE, REACT, PIN, UNPIN})
"""Kinds of entries that change a record instead of making one."""
ACCOUNT_LOG = frozenset({14, 15, 16, 17, 18})
"""Kinds of entries of account logs, of which the user is the only member from the start."""


@attrs.frozen
class Violation:
    """A promise that was not kept."""

    promise: str
    rule: str
    detail: str

    def __str__(self) -> str:
        return f"{self.promise} {self.rule}: {self.detail}"


Blame = Callable[[str, str, str], None]
"""Takes note of a broken promise: promise, rule, detail."""


@attrs.frozen
class Entry:
    """One entry of a log as somebody saw it. `content` is compared as it is; None where it was withheld or deleted."""

    conv: int
    seq: int
    ts: int
    sender: int
    kind: int
    content: Hashable = None
    ref: int | None = None
    users: tuple[int, ...] = ()
    cid: bytes | None = None
    role: int | None = None
    origin: Hashable = None
    """Of a forward: (who wrote it first, when)."""


@attrs.frozen
class Op:
    """One operation that asks for one entry. Operations with the same `order` come from one connection or device."""

    conv: int
    sender: int
    kind: int
    content: Hashable = None
    ref: int | None = None
    order: Hashable = None
    users: tuple[int, ...] = ()
    """ADD, REMOVE, ROLE: whose; not compared where it is empty. MSG, EDIT: whom it mentions, if that is known."""
    role: int | None = None
    source: tuple[int, int] | None = None
    """Of a forward: (conv, seq) of the message whose text is copied; `content` is not known then."""


Periods = tuple[tuple[int, int | None], ...]
"""From which seq to which somebody was a member; None: still is."""


def periods(log: Iterable[Entry]) -> dict[int, Periods]:
    """Who was a member from which seq to which (None: still is), out of a log in order of seq."""
    since: dict[int, int] = {}
    ended: defaultdict[int, list[tuple[int, int | None]]] = defaultdict(list)
    for entry in log:
        if entry.kind in (CREATE, ADD):
            for user in entry.users:
                since.setdefault(user, entry.seq)
        elif entry.kind == REMOVE:
            for user in entry.users:
                if user in since:
                    ended[user].append((since.pop(user), entry.seq))
        elif entry.kind in ACCOUNT_LOG:
            since.setdefault(entry.sender, 1)
    for user, start in since.items():
        ended[user].append((start, None))
    return {user: tuple(times) for user, times in ended.items()}


def is_within(times: Periods, seq: int) -> bool:
    """Whether `seq` lies in one of the periods."""
    return any(start <= seq and (end is None or seq <= end) for start, end in times)


def shared_until(mine: Periods, theirs: Periods) -> float:
    """Up to which seq two were members at the same time: 0 for never, infinite when both still are."""
    ends = [
        min(math.inf if end is None else end for end in (one[1], other[1]))
        for one in mine
        for other in theirs
        if is_within((one,), other[0]) or is_within((other,), one[0])
    ]
    return max(ends, default=0)


def visible_head(times: Periods, head: int) -> int:
    """The highest seq that somebody with these periods may know of while the log ends at `head`; 0 for a stranger."""
    return max((head if end is None else min(end, head) for start, end in times if start <= head), default=0)

"""What was asked for and what was answered: once (P1, P2, P12; invariants 1, 2, 11) and in order (P4; invariant 10).

An outcome is ok, failed or unknown. Unknown is whatever was not answered, a timeout too: such an operation may have
made one entry or none, and is blamed for neither. Several identical messages are told apart by their cid where it is
visible and by counting where it is not.

Each event costs one step. Memory: each operation with its answer, a number for each distinct thing that was said.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable

import attrs

from tools.history.entries import ACCOUNT_LOG, CHANGES, CREATE, EDIT, MSG, ROLE, Blame, Entry, Op


@attrs.define
class _Asked:
    op: Op
    above: int
    """The highest seq acknowledged in this conversation before the operation began: its own must be larger."""
    first: int
    """Number of its first attempt among all attempts."""
    last: int
    seq: int | None = None
    ts: int | None = None
    failed: bool = False


def _key(thing: Op | Entry) -> Hashable:
    """A forward is told from other messages, not from other forwards."""
    copied = (thing.source if isinstance(thing, Op) else thing.origin) is not None
    whom = (thing.users, thing.role) if thing.kind == ROLE else None
    return thing.conv, thing.sender, thing.kind, None if copied else thing.content, thing.ref, copied, whom


def _is_counted(entry: Entry) -> bool:
    """Deleted text cannot be attributed, and what account logs say is asked for by requests that make an entry or
    none.
    """
    return entry.kind not in (CREATE, *ACCOUNT_LOG) and (entry.content is not None or entry.kind not in (MSG, EDIT))


class Operations:
    """All operations of all clients."""

    def __init__(self, blame: Blame, distinct: bool, clustered: bool) -> None:
        self._blame = blame
        self._distinct = distinct
        self._clustered = clustered
        self._asked: dict[Hashable, _Asked] = {}
        self._possible: Counter[Hashable] = Counter()  # key -> operations that may have made such an entry
        self._found: Counter[Hashable] = Counter()  # key -> entries
        self._place_of_cid: dict[tuple[int, int | None, bytes], tuple[int, int]] = {}
        self._told: dict[tuple[int, int], Hashable] = {}  # (conv, seq) -> the operation acknowledged with it
        self._changes: Counter[int] = Counter()  # conv -> changes that may have been made, but for those found
        self._acked_max: Counter[int] = Counter()
        self._attempts = 0
        self._name_of: dict[Hashable, Hashable] = {}
        self._elsewhere: list[tuple[Hashable, Entry]] = []  # acknowledged operations, and what stands in their place

    # asking

    def invoke(self, name: Hashable, op: Op) -> None:
        self._attempts += 1
        key = _key(op)
        if self._distinct and isinstance(op.content, str) and self._name_of.setdefault(key, name) != name:
            self._blame("P2", "asked for twice", f"{self._name_of[key]} and {name} are one: {op}")
        self._asked[name] = _Asked(op, self._acked_max[op.conv], self._attempts, self._attempts)
        self._count_possible(op, 1)

    def again(self, name: Hashable) -> None:
        self._attempts += 1
        asked = self._asked[name]
        asked.last = self._attempts
        if asked.failed:
            asked.failed = False
            self._count_possible(asked.op, 1)

    def _count_possible(self, op: Op, by: int) -> None:
        self._possible[_key(op)] += by
        if op.kind in CHANGES:
            self._changes[op.conv] += by

    def knows(self, name: Hashable) -> bool:
        return name in self._asked

    def op(self, name: Hashable) -> Op:
        return self._asked[name].op

    def began(self, name: Hashable) -> int:
        return self._asked[name].first

    def acknowledged(self, conv: int) -> int:
        """The highest seq that was acknowledged so far."""
        return self._acked_max[conv]

    # answers

    def ok(self, name: Hashable, seq: int, ts: int | None, found: Entry | None) -> None:
        """`found` is what stands at this seq, as far as anybody has seen."""
        asked = self._asked[name]
        op = asked.op
        if asked.seq is not None and asked.seq != seq:
            self._blame("P2", "two answers", f"{name} was told seq {asked.seq}, then {seq}")
        asked.seq, asked.ts = seq, ts
        if seq <= asked.above:
            self._blame(
                "P4", "order against real time", f"{name} got seq {seq} after {asked.above} had been acknowledged"
            )
        first = self._told.setdefault((op.conv, seq), name)
        if first != name:
            self._blame("P2", "one seq for two", f"{name} and {first} were both told seq {seq} of {op.conv}")
        self._acked_max[op.conv] = max(self._acked_max[op.conv], seq)
        if found is not None:
            self._check_told(name, asked, found)

    def failed(self, name: Hashable) -> None:
        asked = self._asked[name]
        if asked.failed or (self._clustered and asked.first != asked.last):
            return  # of several attempts, an earlier one may be carried out yet
        asked.failed = True
        key = _key(asked.op)
        self._count_possible(asked.op, -1)
        if self._found[key] > self._possible[key]:
            self._blame("P12", "refused but there", f"{name} failed, and yet {key} is in the log")

    # entries

    def check_cid(self, entry: Entry, cid: bytes, observer: str) -> None:
        """A cid makes one entry in a conversation; that of a CREATE makes one conversation."""
        scope = (entry.sender, None if entry.kind == CREATE else entry.conv, cid)
        place = (entry.conv, entry.seq)
        if self._place_of_cid.setdefault(scope, place) != place:
            self._blame("P2", "doubled", f"{observer}: cid {cid.hex()} at {self._place_of_cid[scope]} and {place}")

    def found(self, entry: Entry, observer: str) -> None:
        """An entry came to light. There are no more of a kind than operations that asked for them."""
        name = self._told.get((entry.conv, entry.seq))
        if name is not None:
            self._check_told(name, self._asked[name], entry)
        if entry.kind in CHANGES:
            self._changes[entry.conv] -= 1
        if not _is_counted(entry):
            return
        key = _key(entry)
        self._found[key] += 1
        if not self._possible[key]:
            self._blame("P2", "never asked for", f"{observer} has {entry}")
        elif self._found[key] > self._possible[key]:
            self._blame(
                "P2", "doubled", f"{observer} has {entry}: {self._found[key]} of {self._possible[key]} asked for"
            )

    def _check_told(self, name: Hashable, asked: _Asked, entry: Entry) -> None:
        op = asked.op
        withheld = entry.content is None or op.source is not None
        if (
            (op.conv, op.sender, op.kind, op.ref) != (entry.conv, entry.sender, entry.kind, entry.ref)
            or (not withheld and entry.content != op.content)
            or (op.kind not in (MSG, EDIT) and op.users not in ((), entry.users))
        ):
            self._elsewhere.append((name, entry))
        elif asked.ts not in (None, entry.ts):
            self._blame("P4", "two times", f"{name} was acknowledged for {asked.ts}, {entry} is of {entry.ts}")

    def completed(self, entry: Entry) -> Entry:
        """With what it said and whom it mentioned, if nobody saw it before it was deleted and it is known who asked."""
        name = self._told.get((entry.conv, entry.seq))
        if entry.content is not None or name is None:
            return entry
        op = self._asked[name].op
        return attrs.evolve(entry, content=op.content, users=op.users)

    def told(self) -> Iterable[tuple[int, int, Hashable, Op]]:
        """(conv, seq, name, operation) of all that was acknowledged."""
        for (conv, seq), name in self._told.items():
            yield conv, seq, name, self._asked[name].op

    def told_in(self, conv: int) -> set[int]:
        """The seqs that were acknowledged in a conversation."""
        return {seq for where, seq in self._told if where == conv}

    def conversations(self) -> list[int]:
        """Those in which anything was acknowledged."""
        return [conv for conv, head in self._acked_max.items() if head]

    def may_hide(self, conv: int) -> int:
        """So many changes may have been made without that anybody saw the entry: later ones took their place."""
        return self._changes[conv]

    def restored(self, conv: int, head: int, gone: Iterable[Entry]) -> None:
        """What was acknowledged above `head` may exist again or not; so may what was under way."""
        for entry in gone:
            if entry.cid is not None:
                self._place_of_cid.pop((entry.sender, None if entry.kind == CREATE else conv, entry.cid), None)
            if _is_counted(entry):
                self._found[_key(entry)] -= 1
            if entry.kind in CHANGES:
                self._changes[conv] += 1
        self._acked_max[conv] = min(self._acked_max[conv], head)
        self._told = {place: name for place, name in self._told.items() if place[0] != conv or place[1] <= head}
        for asked in self._asked.values():
            if asked.op.conv == conv:
                asked.above = min(asked.above, head)
                if asked.seq is not None and asked.seq > head:
                    asked.seq = asked.ts = None

    # the end

    def finish(self, entries: Iterable[Entry]) -> None:
        """What was acknowledged as one thing and is another, and the order of each connection. `entries`: all."""
        for group in self._ordered().values():
            self._finish_order(group)
        if self._elsewhere:
            self._finish_elsewhere(entries)

    def _finish_elsewhere(self, entries: Iterable[Entry]) -> None:
        """An acknowledged operation whose place is taken by something else was moved, or is lost."""
        wrong = dict(self._elsewhere)
        free = defaultdict(list)
        for entry in entries:
            name = self._told.get((entry.conv, entry.seq))
            if name is None or name in wrong:
                free[_key(entry)].append(entry.seq)
        for name, entry in wrong.items():
            asked = self._asked[name]
            said = f"{name} was acknowledged as {asked.op.conv}/{entry.seq}, where {entry} is"
            places = [seq for seq in free[_key(asked.op)] if seq != entry.seq]
            if places:
                self._blame("P4", "moved", f"{said}; it stands at {places[0]}")
            else:
                self._blame("P1", "lost", said)

    def _ordered(self) -> dict[Hashable, list[_Asked]]:
        groups: defaultdict[Hashable, list[_Asked]] = defaultdict(list)
        for asked in self._asked.values():
            if asked.seq is not None and asked.op.order is not None:
                groups[asked.op.conv, asked.op.order].append(asked)
        return groups

    def _finish_order(self, group: list[_Asked]) -> None:
        """What was attempted for the last time before another was attempted at all comes before it."""
        before = sorted(group, key=lambda asked: asked.last)
        done, highest = 0, 0
        for asked in group:
            while before[done].last < asked.first:
                highest = max(highest, before[done].seq or 0)
                done += 1
            if (asked.seq or 0) < highest:
                detail = f"{asked.op} got seq {asked.seq}, one that was sent before it {highest}"
                self._blame("P4", "order of one connection", detail)

"""Judges a history: what clients asked for, what they were told, what they saw. Pure, one pass, in whatever order
things were observed.

Whoever runs a real or a simulated server reports to a `History`:
* `invoke` before the first attempt of an operation can reach a server, then once `ok` (the server said so),
  `failed` (surely not executed) or nothing (a timeout is never a failure: the outcome is unknown);
* `saw` for each entry of a log that somebody was shown, `logged` for each entry of the log itself where it can be
  read;
* `held`, `marked` and `receipt` for the watermarks;
* `finish` at the end.

Each broken rule is a `Violation` that names the promise of docs/protocol.md. Several identical messages are told
apart by their cid where it is visible and by counting where it is not.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable

import attrs

MSG, EDIT, CREATE, ADD, REMOVE, ROLE = 1, 2, 6, 7, 8, 10
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
    """ROLE: whose; for others not compared."""
    role: int | None = None
    source: tuple[int, int] | None = None
    """Of a forward: (conv, seq) of the message whose text is copied; `content` is not known then."""


@attrs.define
class _Asked:
    op: Op
    above: int
    """The highest seq acknowledged in this conversation before the operation began: its own must be larger."""
    first: int
    """Number of its first attempt among all attempts."""
    last: int
    seq: int | None = None
    failed: bool = False


def _key(thing: Op | Entry) -> Hashable:
    """A forward is told from other messages, not from other forwards."""
    copied = (thing.source if isinstance(thing, Op) else thing.origin) is not None
    whom = (thing.users, thing.role) if thing.kind == ROLE else None
    return thing.conv, thing.sender, thing.kind, None if copied else thing.content, thing.ref, copied, whom


class History:
    """Collects events and the violations they reveal."""

    def __init__(self, distinct: bool = False) -> None:
        """`distinct`: nobody says the same twice, so whoever seems to has made two operations of one."""
        self.distinct = distinct
        self.violations: list[Violation] = []
        self._asked: dict[Hashable, _Asked] = {}
        self._possible: Counter[Hashable] = Counter()  # key -> operations that may have made such an entry
        self._bound: defaultdict[int, dict[int, Entry]] = defaultdict(dict)  # conv -> seq -> entry
        self._bound_count: Counter[Hashable] = Counter()  # key -> entries bound
        self._place_of_cid: dict[tuple[int, int | None, bytes], tuple[int, int]] = {}
        self._told: dict[tuple[int, int], Hashable] = {}  # (conv, seq) -> the operation acknowledged with it
        self._acked_max: Counter[int] = Counter()
        self._attempts = 0
        self._name_of: dict[Hashable, Hashable] = {}
        self._shown: defaultdict[tuple[int, int], set[int]] = defaultdict(set)  # (user, conv) -> seqs
        self._held: Counter[tuple[int, int]] = Counter()
        self._marked: Counter[tuple[int, int]] = Counter()
        self._receipts: dict[tuple[Hashable, int, int], tuple[int, int]] = {}

    def _blame(self, promise: str, rule: str, detail: str) -> None:
        self.violations.append(Violation(promise, rule, detail))

    # operations

    def invoke(self, name: Hashable, op: Op) -> None:
        """`name` identifies the operation; retries are the same operation."""
        self._attempts += 1
        if isinstance(op.content, str) and self._name_of.setdefault(_key(op), name) != name and self.distinct:
            self._blame("P2", "asked for twice", f"{self._name_of[_key(op)]} and {name} are one: {op}")
        self._asked[name] = _Asked(op, self._acked_max[op.conv], self._attempts, self._attempts)
        self._possible[_key(op)] += 1

    def refers(self, name: Hashable) -> bool:
        """The operation names a seq, which means something else after a RESET (11-15)."""
        op = self._asked[name].op
        return op.ref is not None or op.source is not None

    def source(self, name: Hashable) -> tuple[int, int] | None:
        """What the operation forwards."""
        return self._asked[name].op.source

    def knows(self, name: Hashable) -> bool:
        """The operation was invoked before: this attempt is a retry."""
        return name in self._asked

    def began(self, name: Hashable) -> int:
        """The number of the operation's first attempt among all attempts."""
        return self._asked[name].first

    def again(self, name: Hashable) -> None:
        """Another attempt of the same operation; perhaps by a client that forgot that it had failed."""
        self._attempts += 1
        asked = self._asked[name]
        asked.last = self._attempts
        if asked.failed:
            asked.failed = False
            self._possible[_key(asked.op)] += 1

    def ok(self, name: Hashable, seq: int, ts: int) -> None:
        """The server says that the operation is entry `seq` of its conversation."""
        asked = self._asked[name]
        op = asked.op
        if asked.seq is not None and asked.seq != seq:
            self._blame("P2", "two answers", f"{name} was told seq {asked.seq}, then {seq}")
        asked.seq = seq
        if seq <= asked.above:
            self._blame(
                "P4", "order against real time", f"{name} got seq {seq} after {asked.above} had been acknowledged"
            )
        if self._told.setdefault((op.conv, seq), name) != name:
            self._blame(
                "P2", "one seq for two", f"{name} and {self._told[op.conv, seq]} were both told seq {seq} of {op.conv}"
            )
        self._acked_max[op.conv] = max(self._acked_max[op.conv], seq)
        bound = self._bound[op.conv].get(seq)
        if bound is not None:
            self._check_told(name, op, bound)

    def failed(self, name: Hashable) -> None:
        """The server says that the operation was surely not executed, and it will not be tried again."""
        asked = self._asked[name]
        if asked.failed:
            return
        asked.failed = True
        key = _key(asked.op)
        self._possible[key] -= 1
        if self._bound_count[key] > self._possible[key]:
            self._blame("P12", "refused but there", f"{name} failed, and yet {key} is in the log")

    # entries

    def saw(self, observer: Hashable, user: int, entry: Entry) -> None:
        """`user` was shown `entry`. Whether he may see it is judged at the end, when memberships are known."""
        self._shown[user, entry.conv].add(entry.seq)
        if entry.kind in (MSG, EDIT) and entry.content is None and (entry.users or entry.origin is not None):
            self._blame("P8", "deleted and yet there", f"{observer} has {entry}")
        self._bind(entry, str(observer))

    def shown(self, user: int, conv: int, seq: int) -> None:
        """`user` was shown a record of this seq, in a later state than its entry."""
        self._shown[user, conv].add(seq)

    def logged(self, entry: Entry) -> None:
        """`entry` stands in the log itself."""
        self._bind(entry, "the log")

    def _bind(self, entry: Entry, observer: str) -> None:
        bound = self._bound[entry.conv].get(entry.seq)
        if bound is None:
            self._first(entry, observer)
        elif not _same(bound, entry):
            self._blame("P4", "one order", f"{observer} has {entry}, before it was {bound}")
        elif bound.content is None and entry.content is not None:
            self._bound[entry.conv][entry.seq] = entry
        if entry.cid is not None:
            self._check_cid(entry, entry.cid, observer)

    def _check_cid(self, entry: Entry, cid: bytes, observer: str) -> None:
        """A cid makes one entry in a conversation; that of a CREATE makes one conversation."""
        scope = (entry.sender, None if entry.kind == CREATE else entry.conv, cid)
        place = (entry.conv, entry.seq)
        if self._place_of_cid.setdefault(scope, place) != place:
            self._blame("P2", "doubled", f"{observer}: cid {cid.hex()} at {self._place_of_cid[scope]} and {place}")

    def _first(self, entry: Entry, observer: str) -> None:
        self._bound[entry.conv][entry.seq] = entry
        name = self._told.get((entry.conv, entry.seq))
        if name is not None:
            self._check_told(name, self._asked[name].op, entry)
        self._count(entry, observer)

    def _count(self, entry: Entry, observer: str) -> None:
        """No more entries of a kind than operations that asked for them. Deleted text cannot be attributed, and what
        account logs say is asked for by requests that make an entry or none.
        """
        if entry.kind in (CREATE, *ACCOUNT_LOG) or (entry.content is None and entry.kind in (MSG, EDIT)):
            return
        key = _key(entry)
        self._bound_count[key] += 1
        if not self._possible[key]:
            self._blame("P2", "never asked for", f"{observer} has {entry}")
        elif self._bound_count[key] > self._possible[key]:
            self._blame(
                "P2", "doubled", f"{observer} has {entry}: {self._bound_count[key]} of {self._possible[key]} asked for"
            )

    def _check_told(self, name: Hashable, op: Op, entry: Entry) -> None:
        asked = (op.conv, op.sender, op.kind, op.ref)
        found = (entry.conv, entry.sender, entry.kind, entry.ref)
        withheld = entry.content is None or op.source is not None
        if asked != found or (not withheld and entry.content != op.content):
            self._blame("P1", "lost", f"{name} was acknowledged as {op.conv}/{entry.seq}, where {entry} is")

    # watermarks

    def held(self, user: int, conv: int, low: int, pos: int) -> None:
        """A device of `user` holds low..pos on its disk without a hole (low = 1: everything up to pos).

        A device that jumped holds nothing below, but may follow on what others of the user hold or he marked.
        """
        if low <= max(self._held[user, conv], self._marked[user, conv]) + 1:
            self._held[user, conv] = max(self._held[user, conv], pos)

    def marked(self, user: int, conv: int, seq: int) -> None:
        """`user` asked to mark everything up to seq as read."""
        self._marked[user, conv] = max(self._marked[user, conv], seq)

    def receipt(self, observer: Hashable, conv: int, user: int, delivered: int, read: int) -> None:
        """`observer`, who merges by maximum, now has these watermarks of `user`."""
        before = self._receipts.get((observer, conv, user), (0, 0))
        self._receipts[observer, conv, user] = (delivered, read)
        if delivered < before[0] or read < before[1]:
            detail = f"user {user} in {conv}: delivered {delivered}, read {read}, before {before[0]}, {before[1]}"
            self._blame("P7", "receipt moved back", f"{observer}: {detail}")
        self.promised(observer, conv, user, delivered, read)

    def promised(self, observer: Hashable, conv: int, user: int, delivered: int, read: int) -> None:
        """`observer` was told these watermarks of `user`, perhaps late."""
        held, marked = self._held[user, conv], self._marked[user, conv]
        where = f"{observer}: user {user} in {conv}: delivered {delivered}, read {read}, held {held}, marked {marked}"
        if read > delivered:
            self._blame("P7", "read before delivered", where)
        if delivered > max(held, marked):
            self._blame("P7", "delivered beyond a device", where)
        if read > marked:
            self._blame("P7", "read beyond a mark", where)

    # the end

    def finish(self) -> list[Violation]:
        """Judge what needs the whole log: holes, time, lost entries, outsiders. Returns every violation found."""
        for conv in sorted(self._bound):
            self._finish_log(conv, self._bound[conv])
        for group in self._ordered().values():
            self._finish_order(group)
        for (conv, seq), name in self._told.items():
            if seq not in self._bound[conv]:
                self._blame("P1", "lost", f"{name} was acknowledged as {conv}/{seq}, which nobody has")
        return self.violations

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

    def _finish_log(self, conv: int, log: dict[int, Entry]) -> None:
        seqs = sorted(log)
        if seqs != list(range(1, len(seqs) + 1)):
            missing = sorted(set(range(1, seqs[-1] + 1)) - set(seqs))
            self._blame("P3", "gap", f"{conv} lacks {missing[:5]} below {seqs[-1]}")
        for before, after in itertools.pairwise(seqs):
            if log[after].ts < log[before].ts:
                self._blame("P4", "time runs back", f"{conv}: {before} at {log[before].ts}, {after} at {log[after].ts}")
        self._finish_membership(conv, log)

    def _finish_membership(self, conv: int, log: dict[int, Entry]) -> None:
        times = periods([log[seq] for seq in sorted(log)])
        for (user, where), seqs in self._shown.items():
            if where != conv:
                continue
            outside = [seq for seq in sorted(seqs) if not is_within(times.get(user, ()), seq)]
            if outside:
                self._blame(
                    "P9",
                    "outside membership",
                    f"user {user} was shown {conv}/{outside[:5]}, member {times.get(user, ())}",
                )


def _same(one: Entry, other: Entry) -> bool:
    """Equal but for what may be withheld: of what was deleted all that was said, and the cid of others."""
    if (one.ts, one.sender, one.kind, one.ref, one.role) != (other.ts, other.sender, other.kind, other.ref, other.role):
        return False
    deleted = one.kind in (MSG, EDIT) and (one.content is None or other.content is None)
    return deleted or (one.content, one.users, one.origin) == (other.content, other.users, other.origin)


Periods = tuple[tuple[int, int | None], ...]


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

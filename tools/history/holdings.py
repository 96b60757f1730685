"""What devices hold: whoever was away ends like whoever was not (P5, invariant 8), edits and deletes come to the same
state everywhere (P5, P8, invariant 9), and everybody has everything that he may see (invariants 1 and 3).

A record says with `rev` which change of its message was the last, so all records with one rev must be equal, and equal
to the fold of the log up to there. That is judged once for each state and not once for each device; of a device it then
matters only which revs it has. Each record that is reported costs one step, the log is folded once.

Memory: one record for each change of the log that somebody held, two numbers for each record of each report.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

import attrs

from tools.history.entries import CHANGES, DELETE, EDIT, MSG, Blame, Entry, Op, Periods, is_within, visible_head
from tools.history.receipts import Mark
from tools.history.reference import Record, deleted, take


@attrs.frozen
class Holding:
    """What a device of a user has of one conversation at one moment: everything from `low` to `pos` without a hole, so
    that it shows what the fold of the log up to `pos` shows its user; but a record may be newer.
    """

    device: Hashable
    user: int
    conv: int
    low: int
    pos: int
    records: Mapping[int, Record]
    marks: Mapping[int, Mark] | None = None
    """The watermarks of everybody, compared when it is `final`. None: not reported."""
    final: bool = False
    """It had time enough to come to the end of the log, and to hear of all receipts."""
    hidden: frozenset[int] = frozenset()
    """What the user hides from himself: until the device has heard of that it may be there, without changes that it was
    not told of any more.
    """


@attrs.frozen
class _Report:
    device: Hashable
    user: int
    low: int
    pos: int
    revs: Mapping[int, int]
    withheld: frozenset[int]
    """What need not be there: the user hid it, or it was changed after he had left, and then a backup was restored."""


@attrs.frozen
class Log:
    """What is known of a log when all is told. `whole`: no entry is unknown, so that it can be folded."""

    entries: Sequence[Entry]
    periods: Mapping[int, Periods]
    head: int
    whole: bool


class Holdings:
    """States of records, and who has which."""

    def __init__(self, blame: Blame) -> None:
        self._blame = blame
        self._states: defaultdict[int, dict[tuple[int, int], tuple[Record, Hashable]]] = defaultdict(dict)
        self._newest: dict[tuple[int, int], int] = {}  # (conv, seq) -> the highest rev that anybody had
        self._reports: defaultdict[int, list[_Report]] = defaultdict(list)
        self._finals: dict[tuple[Hashable, int], Holding] = {}

    def record(self, observer: Hashable, conv: int, record: Record) -> None:
        """Somebody has this record. What was never changed is what its entry says, which `Logs` compares."""
        if record.rev == record.seq:
            if record.edited or record.reactions or record.pinned:
                self._blame("P5", "changed without a rev", f"{observer}: {conv}/{record.seq} is {record}")
            return
        first, whose = self._states[conv].setdefault((record.rev, record.seq), (record, observer))
        if first is not record and not _is_same(first, record):
            self._blame("P5", "two states", f"{observer}: {conv}/{record.seq} is {record}, {whose} has {first}")
        elif first.content is None and record.content is not None:
            self._states[conv][record.rev, record.seq] = record, observer
        if record.rev > self._newest.get((conv, record.seq), 0):
            self._newest[conv, record.seq] = record.rev

    def holds(self, holding: Holding) -> None:
        """A device has all this, and no more. Its records were reported one by one."""
        conv = holding.conv
        revs = {record.seq: record.rev for record in holding.records.values()}
        report = _Report(holding.device, holding.user, holding.low, holding.pos, revs, holding.hidden)
        self._reports[conv].append(report)
        if holding.final:
            self._finals[holding.device, conv] = holding

    def retired(self, device: Hashable) -> None:
        """It has nothing to come to any more."""
        self._finals = {key: holding for key, holding in self._finals.items() if key[0] != device}

    def covers(self, conv: int, seq: int, op: Op) -> bool:
        """Whether a record shows that this operation was executed as entry `seq`, though nobody saw that entry."""
        return self._newest.get((conv, op.ref or 0 if op.kind in CHANGES else seq), 0) >= seq

    def named(self, conv: int) -> set[int]:
        """Entries that must exist, since records were made or changed by them."""
        return {seq for place in self._states[conv] for seq in place}

    def conversations(self) -> set[int]:
        return {conv for conv, reports in self._reports.items() if reports}

    def restored(self, conv: int, head: int, log: Sequence[Entry], periods: Mapping[int, Periods]) -> None:
        """Devices give up all they have. The log of until then says what was withheld from them; the one that comes has
        other changes, or none.
        """
        self._states[conv] = {key: state for key, state in self._states[conv].items() if key[0] <= head}
        self._newest = {key: rev for key, rev in self._newest.items() if key[0] != conv}
        self._reports[conv] = [
            attrs.evolve(report, withheld=report.withheld | _withheld(log, periods.get(report.user, ()), report.pos))
            for report in self._reports[conv]
            if report.pos <= head
        ]
        self._finals = {key: holding for key, holding in self._finals.items() if key[1] != conv}

    # the end

    def finish(self, conv: int, log: Log, best: Callable[[int, int], tuple[int, int]]) -> None:
        """best(conv, user): the highest watermarks that anybody was told."""
        if log.whole:
            for rule, text in self._wrong(conv, log):
                self._blame("P5", rule, text)
        for (device, where), holding in self._finals.items():
            if where == conv:
                self._finish_final(device, holding, log, best)

    def _wrong(self, conv: int, log: Log) -> Iterator[tuple[str, str]]:
        """Fold the log once; at each entry look at the states of that rev, and at the devices that stand there."""
        states = self._states[conv]
        pending = sorted(states)
        reports = sorted(self._reports[conv], key=lambda report: report.pos)
        gone, seqs = deleted(log.entries), {entry.seq for entry in log.entries}
        records: dict[int, Record] = {}
        unseen: set[int] = set()  # messages whose text nobody saw before it was withheld
        at = told = 0
        for entry in log.entries:
            while told < len(reports) and reports[told].pos < entry.seq:
                yield from _lacking(conv, reports[told], records, log)
                told += 1
            changed = take(records, entry)
            if changed is not None and entry.kind in (MSG, EDIT, DELETE):
                (unseen.add if entry.content is None and entry.kind != DELETE else unseen.discard)(changed.seq)
            while at < len(pending) and pending[at][0] <= entry.seq:
                record, whose = states[pending[at]]
                at += 1
                reference = changed if changed is not None and record.rev == entry.seq else None
                if record.seq in seqs and not _matches(record, reference, record.seq in gone, record.seq in unseen):
                    detail = f"{whose}: {conv}/{record.seq} is {record}, by the log {records.get(record.seq)}"
                    yield "not the fold", detail
        for place in pending[at:]:
            record, whose = states[place]
            if record.seq in seqs:
                yield "not the fold", f"{whose}: {conv}/{record.seq} is {record}, the log ends before"
        for report in reports[told:]:
            yield from _lacking(conv, report, records, log)

    def _finish_final(
        self, device: Hashable, holding: Holding, log: Log, best: Callable[[int, int], tuple[int, int]]
    ) -> None:
        conv, times = holding.conv, log.periods.get(holding.user, ())
        end = visible_head(times, log.head)
        if holding.pos < end:
            self._blame("P5", "behind", f"{device} ends at {conv}/{holding.pos}, the log at {end}")
        if holding.marks is None or not _is_member(log.periods, holding.user):
            return
        kept = any(delivered is not None for delivered, _ in holding.marks.values())
        for user in sorted(user for user in log.periods if _is_member(log.periods, user)):
            mark, most = holding.marks.get(user, (0, 0)), best(conv, user)
            if mark[1] != most[1] or (kept and (mark[0] or 0) != most[0]):
                detail = f"user {user} in {conv}: delivered, read {mark}, others were told {most}"
                self._blame("P7", "behind in receipts", f"{device}: {detail}")


def _is_member(periods: Mapping[int, Periods], user: int) -> bool:
    """Whether this user is in to the end."""
    times = periods.get(user, ())
    return bool(times) and times[-1][1] is None


def _lacking(conv: int, report: _Report, records: Mapping[int, Record], log: Log) -> Iterator[tuple[str, str]]:
    """What a device at this position lacks, or has in an older state. `records`: the fold up to there."""
    times = log.periods.get(report.user, ())
    withheld = _withheld(log.entries, times, report.pos) | report.withheld
    for seq, record in records.items():
        if seq in withheld or not is_within(times, seq):
            continue
        rev = report.revs.get(seq)
        if rev is None and seq >= report.low:
            yield "lacks", f"{report.device} at {conv}/{report.pos}: {record}"
        elif rev is not None and rev < record.rev:
            yield "not the fold", f"{report.device} at {conv}/{report.pos}: {seq} is of {rev}, by the log {record}"


def _withheld(log: Sequence[Entry], times: Periods, pos: int) -> set[int]:
    """What was changed after a user left is not given to him any more: he keeps the state he had, or none, until he
    is back and comes beyond the end of that period.
    """
    end = min((end for _, end in times if end is not None and end >= pos), default=None)
    if end is None:
        return set()
    return {entry.ref for entry in log if entry.seq > end and entry.kind in CHANGES and entry.ref is not None}


def _is_same(one: Record, other: Record) -> bool:
    """Equal, but for what was deleted later, which may be withheld already."""
    return one == other or ((one.content is None) != (other.content is None) and _skeleton(one) == _skeleton(other))


def _matches(record: Record, reference: Record | None, is_deleted: bool, is_unseen: bool) -> bool:
    """`is_deleted`: sooner or later, so that its content may be withheld already."""
    if reference is None:
        return False
    if is_unseen or (record.content is None and is_deleted):
        return _skeleton(record) == _skeleton(reference)
    return record == reference


def _skeleton(record: Record) -> tuple[int, int, int]:
    """What stays of a message when it is deleted."""
    return record.sender, record.kind, record.ts

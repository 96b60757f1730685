"""Judges a history: what clients asked for, what they were told, what they saw. Pure, one pass, in whatever order
things were observed.

Whoever runs a real or a simulated server reports to a `History`:
* `invoke` before the first attempt of an operation can reach a server, then once `ok` (the server said so),
  `failed` (surely not executed) or nothing (a timeout is never a failure: the outcome is unknown);
* `saw` for each entry of a log that somebody was shown, `recorded` for each record, `logged` for each entry of the log
  itself where it can be read, `headed` for where it ends;
* `held`, `marked` and `receipt` for the watermarks;
* `asks` and `answers` around each reading of a log, `announced` for what a person is shown;
* `holds` for all that a device has of a conversation;
* `healed` and `reached` for how soon everybody has everything;
* `finish` at the end.

Each is optional: what is not reported is not judged. Each broken rule is a `Violation` that names the promise of
docs/protocol.md. This class only hands events to those who judge them, one module for each.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from tools.history.entries import (
    ACCOUNT_LOG,
    ADD,
    CREATE,
    EDIT,
    MSG,
    REMOVE,
    ROLE,
    Entry,
    Op,
    Periods,
    Violation,
    is_within,
    periods,
    shared_until,
    visible_head,
)
from tools.history.holdings import Holding, Holdings, Log
from tools.history.liveness import WITHIN_SECONDS, Liveness
from tools.history.logs import Logs
from tools.history.members import Members
from tools.history.operations import Operations
from tools.history.reads import Reads
from tools.history.receipts import Receipts
from tools.history.reference import Record
from tools.history.screens import Screens

__all__ = [
    "ACCOUNT_LOG", "ADD", "CREATE", "EDIT", "MSG", "REMOVE", "ROLE", "Entry", "History", "Holding", "Op", "Periods",
    "Record", "Violation", "is_within", "periods", "shared_until",
]  # fmt: skip


class History:
    """Collects events and the violations they reveal."""

    def __init__(self, distinct: bool = False, clustered: bool = False) -> None:
        """`distinct`: nobody says the same twice, so whoever seems to has made two operations of one. `clustered`: an
        attempt may wait in one node while another refuses the next, and be carried out after that (14-4).
        """
        self.violations: list[Violation] = []
        self._logs = Logs(self._blame)
        self._operations = Operations(self._blame, distinct, clustered)
        self._receipts = Receipts(self._blame)
        self._reads = Reads(self._blame)
        self._members = Members(self._blame)
        self._screens = Screens(self._blame)
        self._holdings = Holdings(self._blame)
        self._liveness = Liveness(self._blame)

    def _blame(self, promise: str, rule: str, detail: str) -> None:
        self.violations.append(Violation(promise, rule, detail))

    # operations

    def invoke(self, name: Hashable, op: Op) -> None:
        """`name` identifies the operation; retries are the same operation."""
        self._operations.invoke(name, op)

    def refers(self, name: Hashable) -> bool:
        """The operation names a seq, which means something else after a RESET (11-15)."""
        op = self._operations.op(name)
        return op.ref is not None or op.source is not None

    def source(self, name: Hashable) -> tuple[int, int] | None:
        """What the operation forwards."""
        return self._operations.op(name).source

    def said(self, name: Hashable) -> Hashable:
        """What the operation says; None for a forward."""
        return self._operations.op(name).content

    def knows(self, name: Hashable) -> bool:
        """The operation was invoked before: this attempt is a retry."""
        return self._operations.knows(name)

    def began(self, name: Hashable) -> int:
        """The number of the operation's first attempt among all attempts."""
        return self._operations.began(name)

    def again(self, name: Hashable) -> None:
        """Another attempt of the same operation; perhaps by a client that forgot that it had failed."""
        self._operations.again(name)

    def ok(self, name: Hashable, seq: int, ts: int | None = None) -> None:
        """The server says that the operation is entry `seq` of its conversation; `ts`: None where it does not say."""
        self._operations.ok(name, seq, ts, self._logs.at(self._operations.op(name).conv, seq))

    def failed(self, name: Hashable) -> None:
        """The server says that this attempt was surely not executed, and there will be no other."""
        self._operations.failed(name)

    # entries

    def saw(self, observer: Hashable, user: int, entry: Entry) -> None:
        """`user` was shown `entry`. Whether he may see it is judged at the end, when memberships are known."""
        self.shown(user, entry.conv, entry.seq)
        if entry.kind in (MSG, EDIT) and entry.content is None and (entry.users or entry.origin is not None):
            self._blame("P8", "deleted and yet there", f"{observer} has {entry}")
        self._take(entry, str(observer))

    def shown(self, user: int, conv: int, seq: int) -> None:
        """`user` was shown a record of this seq, in a later state than its entry."""
        self._members.shown(user, conv, seq)
        self._reads.shown(user, conv, seq)

    def recorded(self, observer: Hashable, user: int, conv: int, record: Record, cid: bytes | None = None) -> None:
        """`user` was shown this record, in whatever state; `cid` where it is visible."""
        if record.rev == record.seq:
            self.saw(observer, user, _entry(conv, record, cid))
        else:
            self.shown(user, conv, record.seq)
        self._holdings.record(observer, conv, record)

    def logged(self, entry: Entry) -> None:
        """`entry` stands in the log itself. Whoever reports one reports all of this log: what is missing is a gap."""
        self._logs.logged(entry.conv, entry.seq)
        self._take(entry, "the log")

    def headed(self, conv: int, head: int) -> None:
        """The log was read whole, and ends at `head`; also if no entry of it could be had."""
        self._logs.headed(conv, head)

    def _take(self, entry: Entry, observer: str) -> None:
        if self._logs.take(entry, observer):
            self._operations.found(entry, observer)
        if entry.cid is not None:
            self._operations.check_cid(entry, entry.cid, observer)

    # watermarks

    def held(self, user: int, conv: int, low: int, pos: int) -> None:
        """A device of `user` holds low..pos on its disk without a hole (low = 1: everything up to pos).

        A device that jumped holds nothing below, but may follow on what others of the user hold or he marked.
        """
        self._receipts.held(user, conv, low, pos)

    def marked(self, user: int, conv: int, seq: int) -> None:
        """`user` asked to mark everything up to seq as read."""
        self._receipts.marked(user, conv, seq)

    def receipt(self, observer: Hashable, conv: int, user: int, delivered: int | None, read: int) -> None:
        """`observer`, who merges by maximum, now has these watermarks of `user`.

        `delivered` is None where the conversation keeps none.
        """
        self._receipts.receipt(observer, conv, user, delivered, read)

    def promised(self, observer: Hashable, conv: int, user: int, delivered: int | None, read: int) -> None:
        """`observer` was told these watermarks of `user`, perhaps late."""
        self._receipts.promised(observer, conv, user, delivered, read)

    # reading

    def asks(self, name: Hashable, user: int, conv: int) -> None:
        """`user` asks for a part of a log: before the question can reach a server. `name` identifies the question."""
        self._reads.asks(name, user, conv, self._operations.acknowledged(conv))

    def answers(self, name: Hashable, upto: int) -> None:
        """The answer is what the log says up to `upto`. Not for a page that ends early: it says nothing of the end."""
        self._reads.answers(name, upto)

    def announced(self, screen: Hashable, conv: int, seq: int) -> None:
        """A message appeared before somebody's eyes. `screen`: one run of one client."""
        self._screens.announced(screen, conv, seq)

    def shows(self, screen: Hashable, conv: int, seq: int) -> bool:
        """It has appeared there already."""
        return self._screens.shows(screen, conv, seq)

    def cleared(self, screen: Hashable) -> None:
        """The client had to forget what it had, and said so."""
        self._screens.cleared(screen)

    # devices

    def holds(self, holding: Holding) -> None:
        """All that a device has of a conversation, at any moment or at the end."""
        for seq, record in holding.records.items():
            if seq not in holding.hidden:
                self.recorded(holding.device, holding.user, holding.conv, record)
        self._holdings.holds(holding)

    def reached(self, device: Hashable, user: int, conv: int, pos: int, at: float) -> None:
        """At this time (s) the device had everything up to `pos`."""
        self._liveness.reached(device, user, conv, pos, at)

    def healed(self, at: float, within: float = WITHIN_SECONDS) -> None:
        """All faults are over, and nobody asks for anything any more. `within` so many seconds all devices that ever
        reported `reached` have everything.
        """
        self._liveness.healed(at, within)

    def retired(self, device: Hashable) -> None:
        """It was revoked, or is thrown away: it has nothing to come to any more."""
        self._holdings.retired(device)
        self._liveness.retired(device)

    # restored backups

    def restored(self, heads: Mapping[int, int]) -> None:
        """The server came back from a backup whose logs end there (conversations that are missing: at 0). What stood
        above is gone by right, its seqs are given to others, and what was acknowledged there may exist again or not.
        """
        for conv in self._conversations():
            head = heads.get(conv, 0)
            self._holdings.restored(conv, head, self._logs.entries(conv), periods(self._logs.seen(conv)))
            self._operations.restored(conv, head, self._logs.restored(conv, head))
            self._receipts.restored(conv, head)
            self._reads.restored(conv, head)
            self._members.restored(conv, head)
            self._liveness.restored(conv)

    # the end

    def finish(self) -> list[Violation]:
        """Judge what needs the whole log: holes, time, lost entries, outsiders. Returns every violation found."""
        self._logs.finish()
        self._finish_told()
        conversations = self._conversations()
        members = {conv: periods(self._logs.seen(conv)) for conv in conversations}
        for conv in conversations:
            log = self._log(conv, members[conv])
            for seq in self._gaps(conv, log):
                self._blame("P3", "gap", f"{conv} lacks {seq} of {log.head}")
            if self._logs.is_read(conv):
                self._receipts.finish(conv, log.head)
            self._members.finish(conv, members[conv], log.whole)
            self._holdings.finish(conv, log, self._receipts.best)
            self._liveness.finish(conv, members[conv], log.head)
        self._reads.finish(lambda conv, user, head: visible_head(members.get(conv, {}).get(user, ()), head))
        self._operations.finish(entry for conv in conversations for entry in self._logs.entries(conv))
        return self.violations

    def _conversations(self) -> list[int]:
        return sorted({*self._logs.conversations(), *self._holdings.conversations(), *self._operations.conversations()})

    def _log(self, conv: int, members: Mapping[int, Periods]) -> Log:
        """Where the log itself was not read it is what others know of it, and may have holes."""
        entries = [self._completed(entry) for entry in self._logs.entries(conv)]
        head = self._logs.head(conv)
        if self._logs.is_read(conv):
            return Log(entries, members, head, whole=True)
        head = max(head, self._operations.acknowledged(conv), *self._holdings.named(conv))
        return Log(entries, members, head, whole=not self._logs.missing(conv, head))

    def _finish_told(self) -> None:
        """What was acknowledged or shown is there."""
        told = set()
        for conv, seq, name, op in self._operations.told():
            told.add((conv, seq))
            taken = not self._logs.is_read(conv) and self._holdings.covers(conv, seq, op)
            if not taken and not self._logs.stands(conv, seq):
                self._blame("P1", "lost", f"{name} was acknowledged as {conv}/{seq}, which nobody has")
        for conv in self._logs.conversations():
            for entry in self._logs.seen(conv) if self._logs.is_read(conv) else ():
                if (conv, entry.seq) not in told and not self._logs.stands(conv, entry.seq):
                    self._blame("P1", "shown and gone", f"{entry} is not in the log")

    def _gaps(self, conv: int, log: Log) -> list[int]:
        """Where the log itself was not read, nobody may have looked at its beginning, and a change may be hidden behind
        a later one of the same message: so many as were asked for and not seen.
        """
        missing = self._logs.missing(conv, log.head)
        if self._logs.is_read(conv) or not missing:
            return missing
        known = self._holdings.named(conv) | self._operations.told_in(conv)
        first = min(known | {entry.seq for entry in log.entries}, default=0)
        missing = [seq for seq in missing if seq > first and seq not in known]
        return missing if len(missing) > self._operations.may_hide(conv) else []

    def _completed(self, entry: Entry) -> Entry:
        """With what it said, if that is known at all."""
        return self._operations.completed(entry) if entry.kind in (MSG, EDIT) else entry


def _entry(conv: int, record: Record, cid: bytes | None) -> Entry:
    """The entry behind a record that nothing has changed."""
    return Entry(
        conv, record.seq, record.ts, record.sender, record.kind, record.content, record.ref, record.users, cid,
        record.role, record.origin,
    )  # fmt: skip

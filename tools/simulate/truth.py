"""What the server has really committed: read from its database after each job of its lanes, before anybody is told
of the result.

The truth outlives the server: an entry that was once committed must still be there after a crash.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import apsw
import attrs

from tools.history import tally
from tools.history.checker import ACCOUNT_LOG, Entry, History, Periods, Violation, is_within, periods, shared_until
from tools.history.copies import Copies
from tools.history.reference import deleted
from tools.history.standing import Described, Standing
from tools.simulate.wording import said
from wirechat import wire
from wirechat.wire.registries import Audience, ConversationKind, EntryKind

ENTRIES = (
    "SELECT seq, ts, sender, kind, content, ref, users, cid, role, origin_user, origin_ts"
    " FROM entry WHERE conv = ? AND seq > ? ORDER BY seq"
)

STORED = """
    SELECT seq FROM entry WHERE conv = ?1 AND (seq = ?2 OR (ref = ?2 AND kind = 2))
        AND coalesce(content, latest, users, latest_users, origin_user, origin_ts, pinned) IS NOT NULL
    UNION SELECT seq FROM mention WHERE conv = ?1 AND seq = ?2
"""


Account = tuple[int, int, list[bytes | None]]
"""(audience, rev, what everyone may see)."""


@attrs.frozen
class Leaving:
    """How a period of a member ended."""

    when: float
    receipts: int
    """The receipt counter of the conversation then."""


def _hides(entry: Entry) -> set[tuple[int, int]]:
    """(conv, seq) of what an entry of an account log hides."""
    if entry.kind != EntryKind.HIDE or not isinstance(entry.content, tuple):
        return set()
    hidden = wire.Hidden.unpack(entry.content[1])
    return {(hidden.conv, seq) for seq in hidden.seqs}


def _idle(log: Sequence[Entry]) -> Iterator[Entry]:
    """Entries of an account log that hide what is hidden, or block who is blocked."""
    hidden: set[tuple[int, int]] = set()
    blocked: dict[int, bool] = {}
    for entry in log:
        hides, on = _hides(entry), entry.kind == EntryKind.BLOCK
        if entry.kind == EntryKind.HIDE and hides <= hidden:
            yield entry
        if on or entry.kind == EntryKind.UNBLOCK:
            if blocked.get(entry.users[0], False) == on:
                yield entry
            blocked[entry.users[0]] = on
        hidden |= hides


def _rows(db: apsw.Connection, sql: str, *values: int) -> list[Any]:
    return db.execute(sql, values).fetchall()


class Truth:
    """Every log as it was committed, with the stamps of its entries, and every watermark."""

    def __init__(self, history: History, now: Callable[[], float] = lambda: 0.0) -> None:
        self._history = history
        self._now = now
        self._db: apsw.Connection | None = None
        self._forget()

    def _forget(self) -> None:
        self._version = -1
        self._logs: dict[int, list[Entry]] = {}
        self._stamps: dict[int, list[int]] = {}
        self._receipts: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        self._marks: defaultdict[int, dict[int, tuple[int, int]]] = defaultdict(dict)
        self._periods: dict[int, dict[int, Periods]] = {}
        self.copies = Copies()
        self._standings: dict[int, Standing] = {}
        self._kinds: dict[int, int] = {}
        self._account_logs: dict[int, int] = {}
        self._accounts: dict[int, Account] = {}
        self._gone: dict[tuple[int, int], Leaving] = {}

    def restored(self, heads: Mapping[int, int]) -> None:
        """The data is about to be another, whose logs end there. What is left of each is kept: the database does not
        say any more what a deleted message had said.
        """
        logs, stamps, kinds = self._logs, self._stamps, self._kinds
        self._forget()
        for conv, head in heads.items():
            self._stamps[conv] = stamps[conv][:head]
            self._kinds[conv], self._standings[conv] = kinds[conv], Standing(kinds[conv])
            for entry in logs[conv][:head]:
                self._append(entry)

    def _append(self, entry: Entry) -> str | None:
        """The next entry of a log. Returns what its sender might not do."""
        log = self._logs.setdefault(entry.conv, [])
        log.append(entry)
        self.copies.take(self._worded(entry))
        if entry.kind in ACCOUNT_LOG:
            self._account_logs[entry.sender] = entry.conv
        return self._standings[entry.conv].take(entry, log)

    def _worded(self, entry: Entry) -> Entry:
        """With what it said, as far as that is known, if its message was deleted in the same commit: it may have been
        forwarded before.
        """
        name = (entry.sender, entry.conv, entry.cid)
        if entry.content is None and entry.kind in (EntryKind.MSG, EntryKind.EDIT) and self._history.knows(name):
            return attrs.evolve(entry, content=self._history.said(name))
        return entry

    # looking

    def open(self, db: apsw.Connection) -> None:
        """From here on look at this database."""
        self._db = db
        self._version = -1
        self.look()
        self._check_survivors(db)

    def look(self) -> None:
        """Take in what was committed since the last look."""
        assert self._db is not None
        version = self._db.pragma("data_version")
        if version == self._version:
            return
        self._version = version
        for conv, kind, head, stamp in _rows(self._db, "SELECT conv, kind, head, stamp FROM conv ORDER BY conv"):
            self._kinds[conv] = kind
            if head != len(self._logs.get(conv, ())):
                self._standings.setdefault(conv, Standing(kind))
                self._take_entries(self._db, conv, stamp)
                self._check_roles(self._db, conv)
        self._check_copies()
        self._take_receipts(self._db)
        self._take_accounts(self._db)

    def _take_entries(self, db: apsw.Connection, conv: int, stamp: int) -> None:
        log, stamps = self._logs.setdefault(conv, []), self._stamps.setdefault(conv, [])
        known = len(log)
        for seq, ts, sender, kind, content, ref, users, cid, role, *written in _rows(db, ENTRIES, conv, len(log)):
            said_now = None if content is None else said(wire.Content.unpack(content))
            whom = tuple(json.loads(users)) if users else ()
            origin = None if written[0] is None else (written[0], written[1])
            entry = Entry(conv, seq, ts, sender, kind, said_now, ref, whom, cid, role, origin)
            self._history.logged(entry)
            if wrong := self._append(entry):
                self._blame("10-3", "not allowed", wrong)
            stamps.append(stamp)
        self._periods.pop(conv, None)
        self._note_leaving(db, conv, log[known:])
        for entry in log[known:]:
            if entry.ref is not None and not is_within(self.periods(conv).get(entry.sender, ()), entry.ref):
                self._blame("P9", "refers to what its sender does not see", f"{entry}")

    def _note_leaving(self, db: apsw.Connection, conv: int, entries: Iterable[Entry]) -> None:
        left = {user for entry in entries if entry.kind == EntryKind.REMOVE for user in entry.users}
        for user in left:
            (receipts,) = _rows(db, "SELECT rrev FROM conv_rc WHERE conv = ?", conv)[0]
            self._gone[conv, user] = Leaving(self._now(), receipts)

    def _check_copies(self) -> None:
        """A forward says what its source said, names who wrote it, and its sender sees the source."""

        def source(copy: Entry) -> tuple[int, int]:
            return self._history.source((copy.sender, copy.conv, copy.cid)) or (0, 0)

        for wrong in self.copies.wrong(
            lambda place: self._logs[place[0]][place[1] - 1],
            lambda conv, user: self.periods(conv).get(user, ()),
            source,
        ):
            self._blame("P9", "forwarded wrongly", wrong)

    def _check_roles(self, db: apsw.Connection, conv: int) -> None:
        found = dict(_rows(db, "SELECT user_id, role FROM member WHERE conv = ? AND until IS NULL", conv))
        if found != self._standings[conv].roles:
            self._blame("10-12", "other roles", f"{conv}: {found}, by the log {self._standings[conv].roles}")

    def _take_receipts(self, db: apsw.Connection) -> None:
        for conv, rrev, rstamp in _rows(db, "SELECT conv, rrev, rstamp FROM conv_rc ORDER BY conv"):
            known = self._receipts[conv]
            if not known or known[-1][0] != rrev:
                known.append((rrev, rstamp))
        for conv, user, delivered, read in _rows(db, "SELECT conv, user_id, delivered, read FROM mark"):
            if self._marks[conv].get(user) != (delivered, read):
                self._marks[conv][user] = (delivered, read)
                self._history.receipt("the store", conv, user, delivered, read)
                if delivered > len(self._logs.get(conv, ())):
                    self._blame(
                        "P7", "delivered beyond the head", f"{conv}: {delivered} of {len(self._logs.get(conv, ()))}"
                    )

    def _take_accounts(self, db: apsw.Connection) -> None:
        """8-20: rev rises with what everyone may see, and with nothing else."""
        for user, audience, rev, *shown in _rows(db, "SELECT user_id, audience, rev, handle, name, about FROM account"):
            before, now = self._accounts.get(user), (audience, rev, shown)
            if before is not None and (rev > before[1]) != (shown != before[2]):
                self._blame("8-20", "rev of a profile", f"{user}: {before}, then {now}")
            self._accounts[user] = now

    def shows_presence(self, user: int) -> bool:
        """He lets those see that he is there with whom he shares a conversation, and sees them. Nobody does before the
        server is back with its restored data.
        """
        return user in self._accounts and self._accounts[user][0] == Audience.CONTACTS

    def _check_survivors(self, db: apsw.Connection) -> None:
        """What was committed before a crash is still there after it."""
        heads: dict[int, int] = dict(_rows(db, "SELECT conv, head FROM conv"))
        for conv, log in self._logs.items():
            if heads.get(conv, 0) < len(log):
                self._blame("P1", "lost in a crash", f"{conv} had {len(log)} entries, now {heads.get(conv, 0)}")

    def check_gone(self) -> None:
        """P8: what was deleted is not stored any more, nor is what it was edited to."""
        assert self._db is not None
        for conv, log in self._logs.items():
            for ref in sorted(deleted(log)):
                for (seq,) in _rows(self._db, STORED, conv, ref):
                    self._blame("P8", "deleted and yet stored", f"{conv}/{seq}")

    def check_lists(self) -> None:
        """Mentions and pins are stored as the logs say."""
        assert self._db is not None
        for conv, log in self._logs.items():
            mentions = set(_rows(self._db, "SELECT user_id, seq FROM mention WHERE conv = ?", conv))
            pins = set(_rows(self._db, "SELECT seq, pinned FROM entry WHERE conv = ? AND pinned IS NOT NULL", conv))
            for name, found, expected in (("mentions", mentions, tally.mentions(log)), ("pins", pins, tally.pins(log))):
                if found != expected:
                    self._blame("P5", "not as in the log", f"{name} of {conv} are {found}, should be {expected}")

    def check_account_logs(self) -> None:
        """P5: whom and what the server keeps away is what the account logs say."""
        assert self._db is not None
        hidden = {(user, place) for user in self._account_logs for place in self.hidden(user)}
        blocked = {(user, other) for user in self._account_logs for other in self.blocked(user)}
        rows = {(user, (conv, seq)) for user, conv, seq in _rows(self._db, "SELECT user_id, conv, seq FROM hidden")}
        pairs = set(_rows(self._db, "SELECT user_id, blocked FROM block"))
        for log in map(self.log, self._account_logs.values()):
            for idle in _idle(log):
                self._blame("P5", "10-24, 10-30", f"{idle} changed nothing")
        for what, stored, said_so in (("hidden", rows, hidden), ("blocked", pairs, blocked)):
            for each in sorted(stored ^ said_so):
                self._blame("P5", "not as in the account log", f"{each} is {what} in only one of the two")

    def blocked(self, user: int, upto: int | None = None, ever: bool = False) -> set[int]:
        """Whom he blocks as his account log stands or stood at `upto`; `ever`: whom he has blocked at any time."""
        blocked: set[int] = set()
        for entry in self.log(self._account_logs.get(user, 0))[:upto]:
            if entry.kind == EntryKind.BLOCK:
                blocked.update(entry.users)
            elif entry.kind == EntryKind.UNBLOCK and not ever:
                blocked.difference_update(entry.users)
        return blocked

    def _blame(self, promise: str, rule: str, detail: str) -> None:
        self._history.violations.append(Violation(promise, rule, detail))

    # telling

    def conversations(self) -> list[int]:
        return sorted(self._logs)

    def log(self, conv: int) -> Sequence[Entry]:
        """All entries of a conversation, each with the content it had when it was first seen."""
        return self._logs.get(conv, [])

    def account_log(self, user: int) -> int | None:
        """Which conversation is the account log of this user."""
        return self._account_logs.get(user)

    def hidden(self, user: int, upto: int | None = None) -> set[tuple[int, int]]:
        """(conv, seq) of what his account log says he has hidden, as it stands or as it was at `upto`."""
        found: set[tuple[int, int]] = set()
        for entry in self.log(self._account_logs.get(user, 0))[:upto]:
            found |= _hides(entry)
        return found

    def pair(self, conv: int) -> tuple[int, ...]:
        """The two of a direct conversation; nobody for others."""
        direct = self._kinds.get(conv) == ConversationKind.DIRECT and self.log(conv)
        return self.log(conv)[0].users if direct else ()

    def periods(self, conv: int) -> dict[int, Periods]:
        """Who was a member when."""
        if conv not in self._periods:
            self._periods[conv] = periods(self.log(conv))
        return self._periods[conv]

    def left(self, conv: int, user: int) -> Leaving | None:
        """How he left it, if he did and is not back."""
        times = self.periods(conv).get(user, ())
        return self._gone.get((conv, user)) if times and times[-1][1] is not None else None

    def is_known(self, user: int, conv: int) -> bool:
        """He is or was in it. For others it does not exist."""
        return bool(self.periods(conv).get(user))

    def strange(self, user: int) -> list[int]:
        """Conversations that he was never in."""
        return [conv for conv in self.conversations() if not self.is_known(user, conv)]

    def described(self, conv: int, user: int) -> list[Described]:
        """What CONV_GET should say to this user now, and before, what it said after each period that he left."""
        ended = [end for _, end in self.periods(conv).get(user, ())]
        return [self._standings[conv].described(user, end) for end in reversed(ended)]

    def heads(self) -> dict[int, int]:
        """conv -> how far its log goes."""
        return {conv: len(log) for conv, log in self._logs.items()}

    def together(self, one: int, other: int, since: Mapping[int, int] | None = None) -> bool:
        """Both are members of some conversation, or were after it had these heads. An account log is none."""
        for conv in self._logs:
            if self._kinds[conv] != ConversationKind.ACCOUNT:
                times = self.periods(conv)
                until = shared_until(times.get(one, ()), times.get(other, ()))
                if until == math.inf or (since is not None and until > since.get(conv, 0)):
                    return True
        return False

    def marks(self, conv: int) -> dict[int, tuple[int, int]]:
        """user -> (delivered, read)."""
        return self._marks[conv]

    def stamped_before(self, user: int, horizon: int) -> Iterator[tuple[int, int, int]]:
        """(conv, highest seq, highest receipt counter) that a user may know of, stamped below the horizon."""
        for conv, stamps in self._stamps.items():
            times = self.periods(conv).get(user, ())
            for start, end in reversed(times):
                last = len(stamps) if end is None else end
                head = next((seq for seq in range(last, start - 1, -1) if stamps[seq - 1] < horizon), 0)
                if head:
                    yield conv, head, self._receipts_before(conv, horizon) if end is None else 0
                    break

    def _receipts_before(self, conv: int, horizon: int) -> int:
        return max((rrev for rrev, rstamp in self._receipts[conv] if rstamp < horizon), default=0)

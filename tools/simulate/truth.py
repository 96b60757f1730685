"""What the server has really committed: read from its database after each job of its lanes, before anybody is told
of the result.

The truth outlives the server: an entry that was once committed must still be there after a crash.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import apsw

from tools.simulate.history import ACCOUNT_LOG, Entry, History, Periods, Violation, periods
from tools.simulate.reference import deleted
from wirechat import wire
from wirechat.wire.registries import ConversationKind, EntryKind

ENTRIES = "SELECT seq, ts, sender, kind, content, ref, users, cid FROM entry WHERE conv = ? AND seq > ? ORDER BY seq"

STORED = """
    SELECT seq FROM entry WHERE conv = ?1 AND (seq = ?2 OR (ref = ?2 AND kind = 2))
        AND (content IS NOT NULL OR latest IS NOT NULL)
"""


def said(content: wire.Content | None) -> str | bytes | None:
    """What a content says, whatever its type."""
    return None if content is None else content.data


def _rows(db: apsw.Connection, sql: str, *values: int) -> list[Any]:
    return db.execute(sql, values).fetchall()


class Truth:
    """Every log as it was committed, with the stamps of its entries, and every watermark."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._db: apsw.Connection | None = None
        self._version = -1
        self._logs: dict[int, list[Entry]] = {}
        self._stamps: dict[int, list[int]] = {}
        self._receipts: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        self._marks: defaultdict[int, dict[int, tuple[int, int]]] = defaultdict(dict)
        self._periods: dict[int, dict[int, Periods]] = {}
        self._kinds: dict[int, int] = {}
        self._account_logs: dict[int, int] = {}

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
        for conv, head, stamp, kind in _rows(self._db, "SELECT conv, head, stamp, kind FROM conv ORDER BY conv"):
            self._kinds[conv] = kind
            if head != len(self._logs.get(conv, ())):
                self._take_entries(self._db, conv, stamp)
        self._take_receipts(self._db)

    def _take_entries(self, db: apsw.Connection, conv: int, stamp: int) -> None:
        log, stamps = self._logs.setdefault(conv, []), self._stamps.setdefault(conv, [])
        for seq, ts, sender, kind, content, ref, users, cid in _rows(db, ENTRIES, conv, len(log)):
            said_now = None if content is None else said(wire.Content.unpack(content))
            entry = Entry(conv, seq, ts, sender, kind, said_now, ref, tuple(json.loads(users)) if users else (), cid)
            self._history.logged(entry)
            log.append(entry)
            stamps.append(stamp)
            if kind in ACCOUNT_LOG:
                self._account_logs[sender] = conv
        self._periods.pop(conv, None)

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

    def check_account_logs(self) -> None:
        """P5: whom and what the server keeps away is what the account logs say."""
        assert self._db is not None
        hidden = {(user, place) for user in self._account_logs for place in self.hidden(user)}
        blocked = {(user, other) for user in self._account_logs for other in self._blocked(user)}
        rows = {(user, (conv, seq)) for user, conv, seq in _rows(self._db, "SELECT user_id, conv, seq FROM hidden")}
        pairs = set(_rows(self._db, "SELECT user_id, blocked FROM block"))
        for what, stored, said_so in (("hidden", rows, hidden), ("blocked", pairs, blocked)):
            for each in sorted(stored ^ said_so):
                self._blame("P5", "not as in the account log", f"{each} is {what} in only one of the two")

    def _blocked(self, user: int) -> set[int]:
        blocked: set[int] = set()
        for entry in self.log(self._account_logs[user]):
            if entry.kind == EntryKind.BLOCK:
                blocked.update(entry.users)
            elif entry.kind == EntryKind.UNBLOCK:
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
            if entry.kind == EntryKind.HIDE and isinstance(entry.content, bytes):
                hidden = wire.Hidden.unpack(entry.content)
                found.update((hidden.conv, seq) for seq in hidden.seqs)
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

"""Is what is stored consistent? Logs without gaps, projections equal to the fold of their logs, watermarks sane.

Runs on one snapshot, also beside a running server. Memory is that of one conversation's records, not of the store.
Deleted content is gone, so of a deleted message only its absence can be checked.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import attrs

from wirechat.store.features import sync
from wirechat.store.features.journal import unpack_users
from wirechat.store.records import DIRECT, GROUP, OWNER, Kind
from wirechat.store.tx import Tx

PAGE = 1000
"""Entries read at a time."""

PROBLEMS_MAX = 20
"""Told of one conversation; a broken log would fill the screen."""

RECORDS = (Kind.MSG, Kind.CREATE, Kind.ADD, Kind.REMOVE)


@attrs.define
class Report:
    """What was found."""

    conversations: int = 0
    entries: int = 0
    problems: list[str] = attrs.Factory(list)


@attrs.define
class _Record:
    """A record as the fold of the entries says."""

    seq: int
    kind: int
    sender: int
    rev: int
    edited: int | None = None
    edit: bytes | None = None
    deleted: bool = False
    reactions: dict[int, bytes] = attrs.Factory(dict)


@attrs.define
class _Folded:
    """A conversation as its entries say."""

    head: int = 0
    last_ts: int = 0
    version: int = 0
    records: dict[int, _Record] = attrs.Factory(dict)
    periods: dict[int, list[tuple[int, int | None]]] = attrs.Factory(dict)
    creator: int = 0


class _Conversation:
    """Checks one conversation."""

    def __init__(self, tx: Tx, conv: int, report: Report) -> None:
        self._tx = tx
        self._conv = conv
        self._report = report
        self._told = 0
        self._folded = _Folded()

    def _tell(self, text: str) -> None:
        self._told += 1
        if self._told <= PROBLEMS_MAX:
            self._report.problems.append(f"conversation {self._conv}: {text}")
        elif self._told == PROBLEMS_MAX + 1:
            self._report.problems.append(f"conversation {self._conv}: and more")

    async def check(self, horizon: int) -> None:
        """Everything there is to check."""
        async for row in self._entries():
            self._fold(*row)
        await self._check_head(horizon)
        await self._check_records()
        await self._check_members()
        await self._check_receipts(horizon)

    async def _entries(self) -> AsyncIterator[tuple[int, int, int, int, bytes | None, int | None, str | None, int]]:
        after = 0
        while True:
            rows = await self._tx.fetch(
                "SELECT seq, ts, sender, kind, content, ref, users, target FROM entry"
                " WHERE conv = $1 AND seq > $2 ORDER BY seq LIMIT $3",
                self._conv, after, PAGE,
            )  # fmt: skip
            for row in rows:
                yield row
            if len(rows) < PAGE:
                return
            after = rows[-1][0]

    def _fold(
        self,
        seq: int,
        ts: int,
        sender: int,
        kind: int,
        content: bytes | None,
        ref: int | None,
        users: str | None,
        target: int,
    ) -> None:
        folded = self._folded
        self._report.entries += 1
        if seq != folded.head + 1:
            self._tell(f"entry {folded.head + 1} is missing")
        if ts < folded.last_ts:
            self._tell(f"entry {seq} is older than the one before it")
        folded.head, folded.last_ts = seq, max(ts, folded.last_ts)
        if target != (seq if kind in RECORDS else ref):
            self._tell(f"entry {seq} points at {target}")
        if kind in RECORDS:
            folded.records[seq] = _Record(seq, kind, sender, seq)
            self._fold_members(seq, sender, kind, unpack_users(users))
        elif ref not in folded.records:
            self._tell(f"entry {seq} is about {ref}, which is no message before it")
        else:
            _change(folded.records[ref], seq, ts, sender, kind, content)

    def _fold_members(self, seq: int, sender: int, kind: int, users: tuple[int, ...]) -> None:
        folded = self._folded
        if kind == Kind.MSG:
            periods = folded.periods.get(sender, [])
            if not periods or periods[-1][1] is not None:
                self._tell(f"entry {seq} is by {sender}, who was no member")
            return
        folded.version = seq
        if kind == Kind.CREATE:
            folded.creator = sender
        for user in users:
            periods = folded.periods.setdefault(user, [])
            if kind == Kind.REMOVE:
                if periods and periods[-1][1] is None:
                    periods[-1] = (periods[-1][0], seq)
                else:
                    self._tell(f"entry {seq} removes {user}, who was no member")
            elif periods and periods[-1][1] is None:
                self._tell(f"entry {seq} adds {user}, who was a member")
            else:
                periods.append((seq, None))

    async def _check_head(self, horizon: int) -> None:
        row = await self._tx.fetchrow("SELECT head, last_ts, version, stamp FROM conv WHERE conv = $1", self._conv)
        if row is None:
            self._tell("has entries but is not listed")
            return
        head, last_ts, version, stamp = row
        folded = self._folded
        if (head, last_ts, version) != (folded.head, folded.last_ts, folded.version):
            self._tell(
                f"is listed with head {head}, time {last_ts}, members of {version};"
                f" its log says {folded.head}, {folded.last_ts}, {folded.version}"
            )
        if stamp >= horizon:
            self._tell("is stamped in the future")

    async def _check_records(self) -> None:
        """Latest content, rev, edit time and reactions against the fold."""
        for seq, user, content in await self._tx.fetch(
            "SELECT seq, user_id, content FROM reaction WHERE conv = $1", self._conv
        ):
            record = self._folded.records.get(seq)
            if record is None or record.reactions.pop(user, None) != content:
                self._tell(f"message {seq} has a reaction of {user} that its log does not have")
        for record in self._folded.records.values():
            for user in record.reactions:
                self._tell(f"message {record.seq} lacks the reaction of {user}")
        after = 0
        while rows := await self._tx.fetch(
            "SELECT seq, rev, edited, content, latest FROM entry"
            " WHERE conv = $1 AND seq > $2 AND target = seq ORDER BY seq LIMIT $3",
            self._conv, after, PAGE,
        ):  # fmt: skip
            for seq, rev, edited, content, latest in rows:
                self._check_record(seq, rev, edited, content, latest)
            after = rows[-1][0]

    def _check_record(
        self, seq: int, rev: int, edited: int | None, content: bytes | None, latest: bytes | None
    ) -> None:
        record = self._folded.records.get(seq)
        if record is None:
            return
        if (rev, edited) != (record.rev, record.edited):
            self._tell(f"message {seq} is of rev {rev}, edited {edited}; its log says {record.rev}, {record.edited}")
        if record.deleted and (content is not None or latest is not None):
            self._tell(f"message {seq} was deleted and its text is still there")
        if record.kind == Kind.MSG and not record.deleted and content is None:
            self._tell(f"message {seq} has lost its text")
        if not record.deleted and latest != record.edit:
            self._tell(f"message {seq} does not show its newest edit")

    async def _check_members(self) -> None:
        conv, periods = self._conv, self._folded.periods
        stored: dict[int, list[tuple[int, int | None]]] = {}
        for user, since, until in await self._tx.fetch(
            "SELECT user_id, since, until FROM past_period WHERE conv = $1 ORDER BY user_id, since", conv
        ):
            stored.setdefault(user, []).append((since, until))
        row = await self._tx.fetchrow("SELECT kind FROM conv WHERE conv = $1", conv)
        kind = row[0] if row else None
        for user, role, since, until in await self._tx.fetch(
            "SELECT user_id, role, since, until FROM member WHERE conv = $1", conv
        ):
            stored.setdefault(user, []).append((since, until))
            if (role == OWNER) != (kind == GROUP and user == self._folded.creator):
                self._tell(f"member {user} has role {role}")
        for user in sorted(stored.keys() | periods.keys()):
            if stored.get(user) != periods.get(user):
                self._tell(f"member {user} is listed for {stored.get(user)}; the log says {periods.get(user)}")
        if kind == DIRECT:
            pair = await self._tx.fetchrow("SELECT low, high FROM direct WHERE conv = $1", conv)
            if pair is None or list(pair) != sorted(periods):
                self._tell("is direct, and its pair is not listed")

    async def _check_receipts(self, horizon: int) -> None:
        counter = await self._tx.fetchrow("SELECT rrev, rstamp FROM conv_rc WHERE conv = $1", self._conv)
        if counter is None:
            self._tell("has no receipt counter")
            return
        if counter[1] >= horizon:
            self._tell("has receipts stamped in the future")
        seen: set[int] = set()
        for user, delivered, read, rrev in await self._tx.fetch(
            "SELECT user_id, delivered, read, rrev FROM mark WHERE conv = $1", self._conv
        ):
            if not 0 <= read <= delivered <= self._folded.head:
                self._tell(f"member {user} has read {read} of {delivered} delivered of {self._folded.head}")
            if user not in self._folded.periods:
                self._tell(f"{user} has receipts and was never a member")
            if rrev > counter[0] or rrev in seen:
                self._tell(f"receipt {rrev} of {user} is counted twice or beyond {counter[0]}")
            seen.add(rrev)


def _change(record: _Record, seq: int, ts: int, sender: int, kind: int, content: bytes | None) -> None:
    """One entry about a message."""
    record.rev = seq
    if kind == Kind.EDIT:
        record.edit, record.edited = content, ts
    elif kind == Kind.DELETE:
        record.deleted, record.edit, record.edited = True, None, None
        record.reactions.clear()
    elif kind == Kind.REACT and content is not None:
        record.reactions[sender] = content
    elif kind == Kind.REACT:
        record.reactions.pop(sender, None)


async def verify(tx: Tx) -> Report:
    """Check the whole store."""
    report = Report()
    horizon = await sync.horizon(tx)
    after = -1
    while rows := await tx.fetch(
        "SELECT conv FROM (SELECT conv FROM conv UNION SELECT conv FROM entry) AS every"
        " WHERE conv > $1 ORDER BY conv LIMIT $2",
        after, PAGE,
    ):  # fmt: skip
        for (conv,) in rows:
            report.conversations += 1
            await _Conversation(tx, conv, report).check(horizon)
        after = rows[-1][0]
    await _check_accounts(tx, report)
    return report


async def _check_accounts(tx: Tx, report: Report) -> None:
    for what, sql in (
        ("member {} of conversation {} has no account",
         "SELECT m.user_id, m.conv FROM member m LEFT JOIN account a ON a.user_id = m.user_id WHERE a.user_id IS NULL"),
        ("device {} belongs to {}, who has no account",
         "SELECT d.device, d.user_id FROM device d LEFT JOIN account a ON a.user_id = d.user_id"
         " WHERE a.user_id IS NULL"),
        ("user {} made conversation {}, which does not exist",
         "SELECT n.creator, n.conv FROM creation n LEFT JOIN conv c ON c.conv = n.conv WHERE c.conv IS NULL"),
    ):  # fmt: skip
        report.problems += [what.format(*row) for row in (await tx.fetch(sql + " LIMIT 20"))]

"""The resume algorithm: what a device does with what it is told, and what it asks next.

Rules, numbered as in docs/protocol.md:
R9  the token is stored no earlier than the evidence that came before it: both are changes of the same cache.
R10 evidence (`want`, `rwant`) is durable by itself: a gap that was seen once is never forgotten.
R11 a live entry is applied only when it is the next one and no paged CHANGES is unfinished.
R12 a late HISTORY page rewinds the position to the head it reflects, and everything after is fetched again.
R13 an ACK speaks of durable state only: take `acks` and `questions` right after a commit.
No clock, no network, no waiting; messages go in, requests and news come out.
"""

from collections.abc import Iterable, Sequence

import attrs

from wirechat import wire
from wirechat.client.account_log import KINDS, AccountLog, hidden
from wirechat.client.acks import Acks
from wirechat.client.cache import Cache
from wirechat.client.events import (
    AccountChanged,
    ConversationChanged,
    DevicesChanged,
    Event,
    MessageAdded,
    MessagesHidden,
    ReceiptChanged,
    RecordChanged,
    Resynced,
)
from wirechat.client.log import Log
from wirechat.client.outbox import Entry
from wirechat.wire import fold
from wirechat.wire.registries import EntryKind, SyncMode

__all__ = ["Question", "Sync"]

JUMP_ENTRIES = 2000  # a longer gap is not fetched: the device jumps to the newest entry
FILLS_MAX = 16  # questions of this module under way at once
DESCRIBE_MAX = 64  # conversations in one CONV_GET: 256 with the longest descriptions would be no frame
MEMBERSHIP = frozenset({EntryKind.CREATE, EntryKind.ADD, EntryKind.REMOVE})
DESCRIBED = MEMBERSHIP | {EntryKind.META, EntryKind.ROLE}  # what CONV_GET says changes with these


@attrs.frozen(eq=False)
class Question:
    """A request whose answer moves logs. It is void once a log was replaced by a jump or a reset."""

    request: wire.Request
    logs: tuple[Log, ...]
    told: int = 0
    """The evidence that made us ask."""

    @property
    def stalled(self) -> bool:
        """The answer brought nothing although there is more."""
        return any(type(self.request) in log.stalled for log in self.logs)


class Sync:
    """The logs of one device. `me` is its user; `news` collects events for publishing after the next commit."""

    def __init__(self, cache: Cache, *, jump_entries: int = JUMP_ENTRIES) -> None:
        self.me = 0
        self.complete = False
        """The digest of this connection has been received in full."""
        self.started = False
        """Its first page has come, so what a seq means is known."""
        self.resets = 0
        """How often seqs have lost their meaning."""
        self.lost_entries = False
        """The server lost entries that this device holds: only a new connection, without token, helps."""
        self.acks = Acks(0)
        self.news: list[Event] = []
        self.account = AccountLog(cache.account_log, cache.account_records())
        self.own_profile_changed = False
        """Somebody should ask for the own account."""
        self._cache = cache
        self._jump_entries = jump_entries
        self._delivered_members = 0
        self._page = 0
        self._fills_max = 0
        self._under_way = 0
        self._lacking: dict[int, None] = {}

    @property
    def logs(self) -> dict[int, Log]:
        """Where this device stands, by conversation."""
        return self._cache.logs

    # --- one connection

    def begin(self, me: int, limits: wire.Limits, window: int) -> wire.Sync:
        """A connection is logged in. Returns its first request."""
        self.me = me
        self.complete = self.started = self.lost_entries = False
        self.acks = Acks(min(window, limits.window))
        self._delivered_members = limits.delivered_members
        self._page = limits.page
        self._fills_max = max(1, min(FILLS_MAX, limits.inflight // 4))
        self._under_way = 0
        self._lacking = dict.fromkeys(self.logs)
        for log in self.logs.values():
            log.asking, log.stalled, log.start = set(), set(), log.pos
        return wire.Sync(0, self._cache.token)

    def sync_ok(self, reply: wire.SyncOk) -> wire.Sync | None:
        """A page of the digest. Returns the request for the next one."""
        if not self.started and reply.mode != SyncMode.DIGEST:
            self._reset()
        self.started = True
        for row in reply.rows:
            self.row(row)
        if reply.cursor is not None:
            return wire.Sync(0, cursor=reply.cursor)
        self._token(reply.token)
        self.complete = True
        self._report_unflushed()
        return None

    def _reset(self) -> None:
        """The server's log is another one: a position at or below its head proves nothing."""
        if self.logs or self._cache.token is not None:
            self.resets += 1
            self.news.append(Resynced())
        self._cache.wipe()
        self.account = AccountLog()
        self._lacking.clear()

    def _report_unflushed(self) -> None:
        """A server that crashed may have lost delivered watermarks we acknowledged: say them again."""
        infos = self._cache.infos()
        for conv, log in self.logs.items():
            info = infos.get(conv)
            small = info is None or info.members <= self._delivered_members
            if log.held > log.delivered and small and not log.former and conv != self.account.conv:
                self.acks.report(conv)

    @property
    def idle(self) -> bool:
        """Nothing that is known to exist is missing or being asked for."""
        return self.complete and not self._lacking and not self._under_way

    # --- what the server says by itself

    def row(self, row: wire.Row) -> None:
        """R10: evidence of a head and a receipt counter."""
        if row.account:
            self._found_account_log(row.conv)
        log = self._log(row.conv)
        if row.state == 0 and row.head < log.start:  # compared with then: a row may be older than what came since
            self.lost_entries, self.started = True, False
            self._cache.drop_token()
        self._membership(log, row.head, row.state != 0)
        if row.head - log.pos > self._jump_entries and not row.account:
            log = self._jump(log, row.head)
        self._entries_to(log, row.head)
        self._receipts_to(log, row.rrev)
        log.delivered = max(log.delivered, row.delivered)
        log.read = max(log.read, row.read)

    def rows(self, push: wire.Rows) -> None:
        """Counted push: rows outside of SYNC."""
        self.acks.pushed()
        for row in push.rows:
            self.row(row)
        self._token(push.token)

    def event(self, push: wire.Event) -> None:
        """Counted push: one entry."""
        self.acks.pushed((push.conv, push.seq))
        self._entry(push)

    def receipt(self, push: wire.Receipt) -> None:
        """Counted push: watermarks."""
        self.acks.pushed()
        log = self._log(push.conv)
        if push.after > log.rpos:
            self._receipts_to(log, push.upto)
        elif push.upto > log.rpos:
            self._marks(log, push.marks)
            log.rpos = push.upto

    def counted(self) -> None:
        """Counted push of a kind this version does not know."""
        self.acks.pushed()

    def pong(self, message: wire.Pong) -> None:
        """The session's horizon; before the digest is complete it would vouch for rows that have not come."""
        if self.complete:
            self._token(message.token)

    def _token(self, token: bytes | None) -> None:
        if token is not None and not self.lost_entries:
            self._cache.set_token(token)

    # --- what the server says about our own entries

    def sent(self, entry: Entry, reply: wire.SendOk) -> None:
        """The reply stands for the EVENT that this connection does not get. It is not a counted push."""
        self._cache.remove_entry(entry)
        if entry.forward is not None:
            self.exists(entry.conv, reply.seq)  # its text is the server's copy
            return
        users = entry.mentions or None
        self._entry(
            wire.Event(entry.conv, reply.seq, reply.ts, self.me, entry.kind, entry.content, entry.ref, users, entry.cid)
        )

    def exists(self, conv: int, seq: int) -> None:
        """An entry we caused by another request is at this place."""
        self._entries_to(self._log(conv), seq)

    def marked(self, conv: int, read: int) -> None:
        """The server holds our read watermark here; delivered rises with it."""
        log = self._log(conv)
        log.read = max(log.read, read)
        log.delivered = max(log.delivered, read)

    # --- asking

    def questions(self) -> list[Question]:
        """What to ask now; every question must come back by answer(), unanswered() or denied()."""
        if not self.started:
            return []
        found: list[Question] = []
        for conv in list(self._lacking):
            log = self.logs.get(conv)
            if log is None or not self._ask(log, found):
                del self._lacking[conv]
            if self._under_way >= self._fills_max:
                break
        return found

    def _ask(self, log: Log, found: list[Question]) -> bool:
        """Adds what can be asked about this log; True when something must wait."""
        for kind in (wire.Changes, wire.Marks, wire.ConvGet):
            if not log.lacks(kind):
                continue
            if self._under_way >= self._fills_max:
                return True
            found.append(self._question(kind, log))
            self._under_way += 1
        return False

    def _question(self, kind: type[wire.Request], log: Log) -> Question:
        if kind is wire.Changes:
            question = Question(wire.Changes(0, log.conv, log.pos, min(200, self._page)), (log,), log.want)
        elif kind is wire.Marks:
            question = Question(wire.Marks(0, log.conv, log.rpos, min(500, self._page)), (log,), log.rwant)
        else:
            logs = tuple(self._undescribed(log))
            question = Question(wire.ConvGet(0, tuple(log.conv for log in logs)), logs)
        for log in question.logs:
            log.asking.add(kind)
            log.outdated = log.outdated and kind is not wire.ConvGet
        return question

    def _undescribed(self, first: Log) -> Iterable[Log]:
        """As many as one request may name, `first` among them."""
        yield first
        others = (self.logs[conv] for conv in self._lacking if conv in self.logs and conv != first.conv)
        for count, log in enumerate((log for log in others if log.lacks(wire.ConvGet)), 2):
            if count > DESCRIBE_MAX:
                return
            yield log

    def ask_history(self, conv: int, hi: int | None, limit: int) -> Question:
        """A page backwards, for somebody who wants to see it."""
        log = self.logs.get(conv)
        return Question(wire.History(0, conv, hi, limit), () if log is None else (log,))

    def answer(self, question: Question, reply: wire.Reply) -> bool:
        """Applies an answer. False when the question had become void: ask again if you still want to know."""
        request = question.request
        if isinstance(request, wire.History) and isinstance(reply, wire.HistoryOk):
            return self._history_ok(request.conv, question.logs, reply)
        self._close(question)
        if isinstance(request, wire.ConvGet) and isinstance(reply, wire.ConvGetOk):
            self._conv_get_ok(question, reply)
        elif not self._valid(question):
            return False
        elif isinstance(request, wire.Changes) and isinstance(reply, wire.ChangesOk):
            self._changes_ok(question.logs[0], request.since, question.told, reply)
        elif isinstance(request, wire.Marks) and isinstance(reply, wire.MarksOk):
            self._marks_ok(question.logs[0], request.since, question.told, reply)
        return True

    def ask_again(self, question: Question) -> None:
        """Enough time has passed since a question brought nothing."""
        for log in question.logs:
            log.stalled.discard(type(question.request))
            self._lacking[log.conv] = None

    def unanswered(self, question: Question, *, again: bool) -> None:
        """The server gave no answer. `again`: it may next time; otherwise wait for new evidence."""
        self._close(question)
        if not again:
            for log in question.logs:
                log.stalled.add(type(question.request))

    def denied(self, question: Question) -> None:
        """4002: the conversation does not exist for us, so neither does what we hold of it."""
        self._close(question)
        if self._valid(question):
            for log in question.logs:
                self._cache.forget(log.conv)
                self.news.append(ConversationChanged(log.conv))

    def _close(self, question: Question) -> None:
        self._under_way -= 1
        for log in question.logs:
            log.asking.discard(type(question.request))
            self._lacking[log.conv] = None

    def _valid(self, question: Question) -> bool:
        return all(self.logs.get(log.conv) is log for log in question.logs)

    # --- answers

    def _changes_ok(self, log: Log, since: int, told: int, reply: wire.ChangesOk) -> None:
        for record in reply.records:
            self._upsert(log, record)
        if not since <= log.pos <= reply.upto:
            return
        if reply.upto == since and log.want == told:
            log.stalled.add(wire.Changes)  # no way forward yet: asking again at once would never end
        log.pos, log.catch = reply.upto, reply.more
        log.want = max(log.want, log.pos)
        self.acks.report(log.conv)
        self._touch(log)

    def _history_ok(self, conv: int, asked: tuple[Log, ...], reply: wire.HistoryOk) -> bool:
        log = asked[0] if asked else None
        if self.logs.get(conv) is not log:
            return False
        if log is not None:
            self._page_back(log, reply)
        return True

    def _page_back(self, log: Log, reply: wire.HistoryOk) -> None:
        for record in reply.records:
            self._upsert(log, record, news=False)
        if reply.lo < log.low <= reply.hi + 1:
            log.low = reply.lo
            self.acks.report(log.conv)
        if reply.rev < log.pos:  # R12
            log.want = max(log.want, log.pos)
            log.pos, log.catch = reply.rev, True
            log.stalled.discard(wire.Changes)
        self._touch(log)

    def _marks_ok(self, log: Log, since: int, told: int, reply: wire.MarksOk) -> None:
        self._marks(log, reply.marks)
        if since > log.rpos:
            return
        log.rpos = max(log.rpos, reply.upto)
        if reply.upto == since and log.rwant == told:
            log.rwant = log.rpos  # a former member is told no more
        log.rwant = max(log.rwant, log.rpos)
        self._touch(log)

    def _conv_get_ok(self, question: Question, reply: wire.ConvGetOk) -> None:
        """Those in neither list do not exist for us; asking again would not help."""
        for info in reply.infos:
            self._cache.put_info(info)
            self.news.append(ConversationChanged(info.conv))
        left = reply.left or () if reply.infos else ()
        for log in question.logs:
            if self.logs.get(log.conv) is log and not log.outdated and log.conv not in left:
                log.described = True
                self._cache.put_log(log)

    # --- changing a log

    def _log(self, conv: int) -> Log:
        """The log, made when it is new; whoever asks is going to change it."""
        log = self.logs.get(conv)
        if log is None:
            log = Log(conv, described=conv == self.account.conv)
            if conv != self.account.conv:
                self.news.append(ConversationChanged(conv))
        self._touch(log)
        return log

    def _touch(self, log: Log) -> None:
        self._cache.put_log(log)
        self._lacking[log.conv] = None

    def _jump(self, log: Log, head: int) -> Log:
        """Gives up what lies before `head`. The new object makes answers to earlier questions void."""
        self._cache.drop_records(log.conv)
        fresh = attrs.evolve(log, pos=head, low=head + 1, catch=False, described=False)
        self._touch(fresh)
        self.acks.report(log.conv)
        self.news.append(ConversationChanged(log.conv))
        return fresh

    def _entries_to(self, log: Log, head: int) -> None:
        if head > log.want:
            log.want = head
            log.stalled.discard(wire.Changes)

    def _receipts_to(self, log: Log, rrev: int) -> None:
        if rrev > log.rwant:
            log.rwant = rrev
            log.stalled.discard(wire.Marks)

    def _entry(self, entry: wire.Event) -> None:
        if entry.kind in KINDS:
            self._found_account_log(entry.conv)
        log = self._log(entry.conv)
        if entry.seq == log.pos + 1 and not log.catch:  # R11
            self._fold(log, entry)
            log.pos = entry.seq
        self._entries_to(log, entry.seq)

    def _fold(self, log: Log, entry: wire.Event) -> None:
        if self.account.hides(log.conv, entry.seq):
            return
        seqs = {seq for seq in (entry.seq, entry.ref) if seq is not None and not self.account.hides(log.conv, seq)}
        held = {seq: record for seq in seqs if (record := self._cache.record(log.conv, seq)) is not None}
        known = set(held)
        if fold.apply_event(held, entry):
            self._store(log, [record for record in held.values() if record.rev == entry.seq], known)

    def _upsert(self, log: Log, record: wire.Record, *, news: bool = True) -> None:
        if self.account.hides(log.conv, record.seq):
            return
        mine = self._cache.record(log.conv, record.seq)
        held = {} if mine is None else {record.seq: mine}
        known = set(held)
        if fold.upsert(held, record):
            self._store(log, [held[record.seq]], known, news=news)

    def _store(self, log: Log, records: Sequence[wire.Record], known: set[int], *, news: bool = True) -> None:
        for record in records:
            self._cache.put_record(log.conv, record)
            if log.conv == self.account.conv:
                self._account_entry(record)
            elif record.seq in known:
                self.news.append(RecordChanged(log.conv, record))
            elif news:
                self.news.append(MessageAdded(log.conv, record))
            if record.kind in DESCRIBED and record.seq not in known:
                if record.kind in MEMBERSHIP and self.me in (record.users or ()):
                    self._membership(log, record.seq, record.kind == EntryKind.REMOVE)
                if news or record.seq > log.pos:
                    self._describe_again(log)

    # --- the account log

    def _found_account_log(self, conv: int) -> None:
        if conv != self.account.conv:
            self.account = AccountLog(conv)
            self._cache.set_account_log(conv)

    def _account_entry(self, record: wire.Record) -> None:
        self.account.apply(record)
        if record.kind == EntryKind.HIDE:
            found = hidden(record)
            if found is not None:
                self._hide(found.conv, found.seqs)
        else:
            self.own_profile_changed |= record.kind == EntryKind.PROFILE
            self.news.append(DevicesChanged() if record.kind == EntryKind.DEVICE else AccountChanged())

    def _hide(self, conv: int, seqs: tuple[int, ...]) -> None:
        """Also in what was not told yet."""
        self._cache.hide(conv, seqs)
        gone = {(conv, seq) for seq in seqs}
        self.news = [event for event in self.news if _place(event) not in gone]
        self.news.append(MessagesHidden(conv, seqs))

    def _membership(self, log: Log, seq: int, former: bool) -> None:
        """The newest evidence decides, in whatever order it comes: who was removed may have been added again."""
        if seq < log.former_at:
            return
        log.former_at = seq
        if former != log.former:
            log.former = former
            self._describe_again(log)

    def _describe_again(self, log: Log) -> None:
        """What CONV_GET says has changed; an answer under way may be older than that."""
        log.described = False
        log.outdated = wire.ConvGet in log.asking
        log.stalled.discard(wire.ConvGet)

    def _marks(self, log: Log, marks: tuple[wire.Watermark, ...]) -> None:
        self._cache.put_marks(log.conv, marks)
        for mark in marks:
            if mark.user == self.me:
                log.delivered = max(log.delivered, mark.delivered)
                log.read = max(log.read, mark.read)
        if marks:
            self.news.append(ReceiptChanged(log.conv, marks))


def _place(event: Event) -> tuple[int, int] | None:
    """(conv, seq) of the message an event shows."""
    return (event.conv, event.record.seq) if isinstance(event, MessageAdded | RecordChanged) else None

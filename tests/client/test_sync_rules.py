"""The resume algorithm by itself, rule by rule: messages in, questions and ACKs out (P5).

Each test drives Sync by hand, so the orders that a network hardly ever produces are forced.
"""

from collections.abc import Callable
from typing import cast

import attrs
import pytest

from tests.client.stage import LIMITS, ME, OTHER, edit, entry, record, row, text
from wirechat import wire
from wirechat.client.acks import Acks
from wirechat.client.cache import Cache
from wirechat.client.events import MessageAdded, RecordChanged, Resynced
from wirechat.client.log import Log
from wirechat.client.outbox import Entry
from wirechat.client.sync import Question, Sync

CONV = 5


class Device:
    """A Sync over a cache in memory, with what a session does around it."""

    def __init__(self, jump_entries: int = 2000) -> None:
        self.cache = Cache(None, b"o" * 16)
        self.sync = Sync(self.cache, jump_entries=jump_entries)

    def connect(self, *rows: wire.Row, mode: int = 1, token: bytes | None = b"H1") -> wire.Sync:
        request = self.sync.begin(ME, LIMITS, 64)
        self.sync.sync_ok(wire.SyncOk(request.rid, mode, rows, None, token))
        return request

    @property
    def log(self) -> Log:
        return self.sync.logs[CONV]

    def commit(self) -> None:
        self.cache.write(self.cache.take())
        self.cache.written()

    def asked(self, kind: type[wire.Request]) -> list[Question]:
        """Commits, takes all questions, and gives those of this kind."""
        self.commit()
        return [question for question in self.sync.questions() if isinstance(question.request, kind)]

    def ack(self) -> wire.Ack | None:
        self.commit()
        return self.sync.acks.take(self.sync.logs)

    def texts(self) -> dict[int, str | None]:
        self.commit()
        records = self.cache.view(CONV).records
        return {seq: cast(str, r.content.data) if r.content else None for seq, r in records.items()}


class Server:
    """One conversation as the server holds it: the truth to compare with, and the maker of answers."""

    def __init__(self) -> None:
        self.entries: list[wire.Event] = []
        self.records: dict[int, wire.Record] = {}

    def append(self, event: wire.Event) -> wire.Event:
        event = attrs.evolve(event, seq=len(self.entries) + 1)
        self.entries.append(event)
        wire.fold.apply_event(self.records, event)
        return event

    def write(self, count: int) -> list[wire.Event]:
        return [self.append(entry(CONV, 0, f"text {len(self.entries) + 1}")) for _ in range(count)]

    def changes(self, question: Question, limit: int) -> wire.ChangesOk:
        assert isinstance(question.request, wire.Changes)
        since = question.request.since
        found = sorted((r for r in self.records.values() if r.rev > since), key=lambda r: r.rev)
        page, more = found[:limit], len(found) > limit
        return wire.ChangesOk(0, page[-1].rev if more else len(self.entries), tuple(page), more)

    def history(self, lo: int, hi: int) -> wire.HistoryOk:
        found = tuple(r for seq, r in sorted(self.records.items()) if lo <= seq <= hi)
        return wire.HistoryOk(0, lo, hi, found, len(self.entries))

    def texts(self) -> dict[int, str | None]:
        return {seq: cast(str, r.content.data) if r.content else None for seq, r in self.records.items()}


def settle(device: Device, server: Server, limit: int = 100) -> None:
    """Answers CHANGES until the device asks no more."""
    for _ in range(100):
        questions = device.asked(wire.Changes)
        if not questions:
            return
        for question in questions:
            device.sync.answer(question, server.changes(question, limit))
    raise AssertionError("the device asks for ever")


# --- R10: evidence


def test_r10_evidence_is_durable_by_itself() -> None:
    """A gap that was seen once is asked about after a restart, although its content never came."""
    device = Device()
    device.connect(row(CONV, head=9, rrev=4))
    device.commit()
    assert [(log[1], log[2], log[6]) for log in device.cache._all("SELECT * FROM log")] == [(0, 9, 4)]


def test_r10_rows_never_lower_what_is_known() -> None:
    """Evidence may come twice and in any order."""
    device = Device()
    device.connect(row(CONV, 9, 4, delivered=3, read=2))
    device.sync.row(row(CONV, 5, 1, delivered=1, read=1))
    log = device.log
    assert (log.want, log.rwant, log.delivered, log.read) == (9, 4, 3, 2)


# --- R11: live entries


def test_r11_the_next_entry_is_applied() -> None:
    device = Device()
    device.connect(row(CONV, 0))
    device.sync.event(entry(CONV, 1))
    assert (device.log.pos, device.log.want, device.texts()) == (1, 1, {1: "m1"})


def test_r11_a_gap_is_remembered_and_asked_for() -> None:
    """An entry beyond the next one is not applied: its predecessors would be skipped for ever."""
    device, server = Device(), Server()
    device.connect(row(CONV, 0))
    events = server.write(3)
    device.sync.event(events[2])
    assert (device.log.pos, device.log.want, device.texts()) == (0, 3, {})
    settle(device, server)
    assert device.texts() == server.texts()


def test_r11_repeated_entries_are_ignored() -> None:
    device = Device()
    device.connect(row(CONV, 0))
    device.sync.event(entry(CONV, 1))
    device.sync.event(entry(CONV, 1, "again"))
    assert device.texts() == {1: "m1"}


@pytest.mark.parametrize("rule", [True, False], ids=["with the rule", "without it"])
def test_r11_forced_race_edit_leaves_the_page_while_live_entries_arrive(rule: bool) -> None:
    """A paged CHANGES misses a record whose rev left the page; live entries applied meanwhile would hide the miss.

    Without `catch` the position reaches the head by live entries and the edited record is never fetched: the test
    shows that, so it can fail.
    """
    device, server = Device(), Server()
    server.write(12)
    device.connect(row(CONV, 12))
    [question] = device.asked(wire.Changes)
    changed = server.append(edit(CONV, 0, 3, "edited"))
    device.sync.answer(question, server.changes(question, limit=5))
    assert device.log.catch
    if not rule:
        device.log.catch = False
    for event in [*server.entries[device.log.pos : 12], changed]:
        device.sync.event(event)
    settle(device, server, limit=5)
    assert (device.texts() == server.texts()) is rule


# --- R12: late history


@pytest.mark.parametrize("rule", [True, False], ids=["with the rule", "without it"])
def test_r12_forced_race_late_history_rewinds(rule: bool) -> None:
    """A page computed before an edit arrives after the edit: the edit was not applied, its record was not there."""
    device, server = Device(jump_entries=6), Server()
    server.write(10)
    device.connect(row(CONV, 10))
    assert device.log.low == 11
    question = device.sync.ask_history(CONV, 8, 6)
    late = server.history(3, 8)
    device.sync.event(server.append(edit(CONV, 0, 5, "edited")))
    assert device.log.pos == 11
    device.sync.answer(question, late if rule else attrs.evolve(late, rev=11))
    assert (device.log.pos == 10) is rule
    settle(device, server)
    assert (device.texts()[5] == "edited") is rule


def test_r12_forced_race_changes_asked_from_above_do_not_undo_the_rewind() -> None:
    """An answer that begins above the position lacks what lies between: here the edit that the page had not seen."""
    device, server = Device(jump_entries=6), Server()
    server.write(10)
    device.connect(row(CONV, 10))
    page, late = device.sync.ask_history(CONV, 8, 6), server.history(3, 8)
    device.sync.event(server.append(edit(CONV, 0, 5, "edited")))
    device.sync.event(server.write(2)[-1])
    [question] = device.asked(wire.Changes)
    device.sync.answer(page, late)
    assert device.log.pos == 10
    device.sync.answer(question, server.changes(question, 100))
    assert device.log.pos == 10
    settle(device, server)
    assert device.texts()[5] == "edited"


def test_r12_history_extends_what_is_held_only_without_a_hole() -> None:
    device, server = Device(jump_entries=6), Server()
    server.write(20)
    device.connect(row(CONV, 20))
    device.sync.answer(device.sync.ask_history(CONV, 10, 5), server.history(6, 10))
    assert device.log.low == 21
    device.sync.answer(device.sync.ask_history(CONV, 20, 10), server.history(11, 20))
    assert device.log.low == 11
    device.sync.answer(device.sync.ask_history(CONV, 10, 10), server.history(1, 10))
    assert (device.log.low, device.texts()) == (1, server.texts())


# --- jump


def test_jump_gives_up_a_long_gap() -> None:
    """The position goes to the head, the records go, and nothing below is claimed."""
    device = Device(jump_entries=6)
    device.connect(row(CONV, 1))
    device.sync.event(entry(CONV, 1))
    device.connect(row(CONV, 8))
    log = device.log
    assert (log.pos, log.want, log.low, log.catch, device.texts()) == (8, 8, 9, False, {})


def test_jump_voids_questions_asked_before() -> None:
    """The answer may hold a text that was deleted since; below `low` nothing would ever correct it (P8)."""
    device, server = Device(jump_entries=6), Server()
    server.write(3)
    device.connect(row(CONV, 3))
    [question] = device.asked(wire.Changes)
    late = server.changes(question, 100)
    device.sync.row(row(CONV, 20))
    assert device.sync.answer(question, late) is False
    assert (device.log.pos, device.log.low, device.texts()) == (20, 21, {})


def test_jump_keeps_evidence_above_the_row() -> None:
    """A row may be older than an entry that was pushed before it."""
    device = Device(jump_entries=6)
    device.connect(row(CONV, 0))
    device.sync.event(entry(CONV, 30))
    device.sync.row(row(CONV, 20))
    assert (device.log.pos, device.log.want) == (20, 30)


# --- CHANGES


def test_changes_are_asked_once_per_log() -> None:
    device = Device()
    device.connect(row(CONV, 3))
    [question] = device.asked(wire.Changes)
    device.sync.event(entry(CONV, 9))
    assert device.asked(wire.Changes) == []
    device.sync.unanswered(question, again=True)
    assert len(device.asked(wire.Changes)) == 1


def test_changes_that_cannot_join_move_nothing() -> None:
    """since <= pos <= upto: live entries went past the answer, so it proves nothing about where we are."""
    device, server = Device(), Server()
    server.write(2)
    device.connect(row(CONV, 2))
    [question] = device.asked(wire.Changes)
    late = server.changes(question, 100)
    for event in [*server.entries, *server.write(1)]:
        device.sync.event(event)
    assert device.log.pos == 3
    device.sync.answer(question, late)
    assert (device.log.pos, device.texts()) == (3, server.texts())


def test_changes_without_progress_are_not_asked_for_ever() -> None:
    """A server that has nothing more is not asked again before there is new evidence."""
    device = Device()
    device.connect(row(CONV, 5))
    [question] = device.asked(wire.Changes)
    device.sync.answer(question, wire.ChangesOk(0, 0, (), False))
    assert device.asked(wire.Changes) == []
    assert device.log.want == 5
    device.sync.row(row(CONV, 6))
    assert len(device.asked(wire.Changes)) == 1


@pytest.mark.parametrize("kind", [wire.Changes, wire.Marks])
def test_a_denied_conversation_is_forgotten(kind: type[wire.Request]) -> None:
    """4002: it does not exist for us, so nothing of it stays; what the outbox holds for it gets its own answer."""
    device = Device()
    device.cache.add_entry(Entry(CONV, b"12345678", 1, text("unsent")))
    device.connect(row(CONV, 0), row(6, 0))
    device.sync.event(entry(CONV, 1))
    device.sync.row(row(CONV, 5, rrev=5))
    [question] = device.asked(kind)
    device.sync.denied(question)
    device.commit()
    assert (list(device.sync.logs), device.texts()) == ([6], {})
    assert device.cache._all("SELECT conv FROM log") == [(6,)]
    assert device.cache._all("SELECT cid FROM outbox") == [(b"12345678",)]
    assert device.ack() == wire.Ack(1, (wire.Held(CONV, 0),))
    assert [q for q in device.sync.questions() if CONV in (log.conv for log in q.logs)] == []


def test_a_denial_asked_before_a_jump_is_void() -> None:
    device = Device(jump_entries=6)
    device.connect(row(CONV, 3))
    [question] = device.asked(wire.Changes)
    device.sync.row(row(CONV, 20))
    device.sync.denied(question)
    assert device.log.pos == 20


def test_fills_are_bounded() -> None:
    """At most 16 questions are under way, however many conversations changed."""
    device = Device()
    device.connect(*(row(conv, 3, 3) for conv in range(1, 200)))
    device.commit()
    questions = device.sync.questions()
    assert len(questions) == 16
    assert device.sync.questions() == []
    device.sync.unanswered(questions[0], again=True)
    assert len(device.sync.questions()) == 1


def test_an_older_record_never_replaces_a_newer_one() -> None:
    """Rev never falls: a late page does not bring back what was edited since."""
    device = Device()
    device.connect(row(CONV, 0))
    device.sync.event(entry(CONV, 1))
    device.sync.event(edit(CONV, 2, 1, "edited"))
    device.sync.answer(device.sync.ask_history(CONV, None, 10), wire.HistoryOk(0, 1, 1, (record(1),), 2))
    assert device.texts() == {1: "edited"}


# --- receipts


def watermark(delivered: int, read: int = 0, user: int = OTHER) -> wire.Watermark:
    return wire.Watermark(user, delivered, read)


def marks(device: Device) -> dict[int, wire.Watermark]:
    device.commit()
    return device.cache.view(CONV).marks


def test_receipt_that_joins_is_merged_by_maximum() -> None:
    """P7: watermarks never move back, even when an older receipt comes late."""
    device = Device()
    device.connect(row(CONV, 0))
    device.sync.receipt(wire.Receipt(CONV, 0, 2, (watermark(5, 3),)))
    device.sync.receipt(wire.Receipt(CONV, 0, 1, (watermark(2, 1),)))
    device.sync.receipt(wire.Receipt(CONV, 2, 3, (watermark(4, 4),)))
    assert (device.log.rpos, marks(device)) == (3, {OTHER: watermark(5, 4)})


def test_receipt_beyond_a_gap_is_fetched() -> None:
    device = Device()
    device.connect(row(CONV, 0))
    device.sync.receipt(wire.Receipt(CONV, 4, 5, (watermark(5),)))
    assert (device.log.rpos, device.log.rwant, marks(device)) == (0, 5, {})
    [question] = device.asked(wire.Marks)
    device.sync.answer(question, wire.MarksOk(0, 5, (watermark(5),), False))
    assert (device.log.rpos, marks(device)) == (5, {OTHER: watermark(5)})
    assert device.asked(wire.Marks) == []


def test_former_member_stops_asking_for_receipts() -> None:
    """He is told no more, and must not ask for ever."""
    device = Device()
    device.connect(row(CONV, 0, rrev=5))
    [question] = device.asked(wire.Marks)
    device.sync.answer(question, wire.MarksOk(0, 0, (), False))
    assert (device.log.rwant, device.asked(wire.Marks)) == (0, [])


def test_own_watermarks_are_learned_from_receipts() -> None:
    device = Device()
    device.connect(row(CONV, 0))
    device.sync.receipt(wire.Receipt(CONV, 0, 1, (watermark(4, 2, ME),)))
    assert (device.log.delivered, device.log.read) == (4, 2)


# --- token


def test_r9_token_of_pong_waits_for_the_digest() -> None:
    """Before the last page it would vouch for rows that have not come."""
    device = Device()
    request = device.sync.begin(ME, LIMITS, 64)
    device.sync.sync_ok(wire.SyncOk(request.rid, 1, (row(1, 1),), b"next", None))
    device.sync.pong(wire.Pong(0, 0, b"H9"))
    assert device.cache.token is None
    device.sync.sync_ok(wire.SyncOk(request.rid, 1, (), None, b"H1"))
    device.sync.pong(wire.Pong(0, 0, b"H9"))
    assert device.cache.token == b"H9"


def test_r9_the_next_page_carries_the_cursor_and_no_token_is_taken_early() -> None:
    device = Device()
    request = device.sync.begin(ME, LIMITS, 64)
    following = device.sync.sync_ok(wire.SyncOk(request.rid, 1, (row(1, 1),), b"next", b"early"))
    assert following is not None
    assert (following.cursor, following.token, device.cache.token) == (b"next", None, None)
    assert not device.sync.complete


def test_rows_outside_of_sync_bring_evidence_and_the_token() -> None:
    device = Device()
    device.connect()
    device.sync.rows(wire.Rows((row(CONV, 4),), None))
    assert device.cache.token == b"H1"
    device.sync.rows(wire.Rows((row(6, 1),), b"H2"))
    assert (device.log.want, device.cache.token, device.sync.acks.received) == (4, b"H2", 2)


# --- membership


def membership(seq: int, kind: int, user: int = ME) -> wire.Event:
    return entry(CONV, seq, kind=kind, users=(user,), content=None)


def test_who_is_removed_and_added_again_is_a_member_again() -> None:
    """The entries say it themselves; the row comes only with the next digest."""
    device = Device()
    device.connect(row(CONV, 0))
    states = []
    for event in [
        membership(1, 6), membership(2, 8, OTHER), membership(3, 8), membership(4, 7, OTHER), membership(5, 7)
    ]:  # fmt: skip
        device.sync.event(event)
        states.append(device.log.former)
    assert states == [False, False, True, True, False]


def test_a_row_that_says_member_is_not_undone_by_entries_before_it() -> None:
    """The page still holds the old REMOVE; the newest evidence decides (10-11)."""
    device, server = Device(), Server()
    for event in [membership(1, 6), membership(2, 8), membership(3, 7), entry(CONV, 4)]:
        server.append(event)
    device.connect(row(CONV, 4))
    [question] = device.asked(wire.Changes)
    device.sync.answer(question, server.changes(question, limit=2))
    assert (device.log.pos, device.log.former) == (2, False)


def test_a_row_older_than_an_entry_does_not_decide() -> None:
    device = Device()
    device.connect(row(CONV, 0))
    device.sync.event(membership(1, 6))
    device.sync.event(membership(2, 8))
    device.sync.row(row(CONV, 1, state=0))
    assert device.log.former
    device.sync.event(membership(3, 7))
    device.sync.row(row(CONV, 2, state=1))
    assert not device.log.former


def test_history_does_not_end_a_membership_that_began_again() -> None:
    device, server = Device(jump_entries=2), Server()
    for event in [membership(1, 6), membership(2, 8), membership(3, 7), entry(CONV, 4)]:
        server.append(event)
    device.connect(row(CONV, 4))
    device.sync.answer(device.sync.ask_history(CONV, None, 10), server.history(1, 4))
    assert (device.log.low, device.log.former) == (1, False)


def test_the_newest_evidence_of_membership_is_durable() -> None:
    device = Device()
    device.connect(row(CONV, 3, state=1))
    device.commit()
    assert device.cache._all("SELECT former, former_at FROM log") == [(1, 3)]


# --- RESET


def test_reset_wipes_everything_but_the_outbox() -> None:
    """After a restore a position at or below the head proves nothing: seqs were used twice."""
    device = Device()
    device.cache.add_entry(Entry(CONV, b"12345678", 1, text("unsent")))
    device.connect(row(CONV, 0), row(6, 0))
    device.sync.event(entry(CONV, 1))
    device.commit()
    device.cache.add_entry(Entry(CONV, b"87654321", 1, text("not even stored")))
    device.connect(row(CONV, 1), mode=2, token=b"H2")
    device.commit()
    assert (list(device.sync.logs), device.log.pos, device.texts()) == ([CONV], 0, {})
    assert device.cache._all("SELECT cid FROM outbox") == [(b"12345678",), (b"87654321",)]
    assert device.cache.token == b"H2"
    assert Resynced() in device.sync.news


def test_after_a_reset_nothing_old_is_compared_with() -> None:
    """A record of the other history may have a higher rev; it must not keep out the one of this history."""
    device = Device()
    device.connect(row(CONV, 0))
    device.sync.event(entry(CONV, 1))
    device.sync.event(edit(CONV, 2, 1, "other history"))
    device.commit()
    device.connect(row(CONV, 1), mode=2, token=b"H2")
    [question] = [each for each in device.sync.questions() if isinstance(each.request, wire.Changes)]
    device.sync.answer(question, wire.ChangesOk(0, 1, (record(1, content="this history"),), False))
    assert device.texts() == {1: "this history"}


def test_reset_voids_questions_asked_before() -> None:
    device = Device()
    device.connect(row(CONV, 3))
    [question] = device.asked(wire.Changes)
    device.sync.begin(ME, LIMITS, 64)
    device.sync.sync_ok(wire.SyncOk(0, 2, (row(CONV, 1),), None, b"H2"))
    assert device.sync.answer(question, wire.ChangesOk(0, 3, (record(1),), False)) is False
    assert device.texts() == {}


def test_unknown_sync_mode_is_a_reset() -> None:
    """P11: an unknown mode is handled as the registry says."""
    device = Device()
    device.connect(row(CONV, 0), row(6, 1))
    device.connect(row(CONV, 0), mode=77)
    assert list(device.sync.logs) == [CONV]


# --- own entries


def sent(device: Device, seq: int, dup: bool = False) -> None:
    queued = Entry(CONV, b"c" * 8, 1, text("mine"))
    device.cache.add_entry(queued)
    device.sync.sent(queued, wire.SendOk(0, seq, 5000, dup))


@pytest.mark.parametrize("dup", [False, True])
def test_send_ok_stands_for_the_event(dup: bool) -> None:
    """The sending connection gets no EVENT; the reply folds the entry, and is no counted push."""
    device = Device()
    device.connect(row(CONV, 0))
    sent(device, 1, dup)
    device.commit()
    mine = device.cache.view(CONV).records[1]
    assert (device.log.pos, device.sync.acks.received) == (1, 0)
    assert (mine.sender, mine.ts, mine.cid, mine.content) == (ME, 5000, b"c" * 8, text("mine"))
    assert device.cache._all("SELECT * FROM outbox") == []


def test_send_ok_beyond_a_gap_is_evidence() -> None:
    device = Device()
    device.connect(row(CONV, 0))
    sent(device, 4)
    assert (device.log.pos, device.log.want, device.texts()) == (0, 4, {})


def test_send_ok_waits_like_an_event_while_changes_are_paged() -> None:
    device = Device()
    device.connect(row(CONV, 0))
    device.log.catch = True
    sent(device, 1)
    assert (device.log.pos, device.log.want) == (0, 1)


def test_replies_that_made_entries_are_evidence() -> None:
    device = Device()
    device.connect()
    device.sync.exists(CONV, 1)
    assert (device.log.want, len(device.asked(wire.Changes))) == (1, 1)


# --- news


def test_news_say_what_is_new_and_what_changed() -> None:
    device = Device()
    device.connect(row(CONV, 0))
    device.sync.event(entry(CONV, 1))
    device.sync.event(edit(CONV, 2, 1, "edited"))
    kinds = [type(news) for news in device.sync.news if isinstance(news, MessageAdded | RecordChanged)]
    assert kinds == [MessageAdded, RecordChanged]


def test_membership_changes_ask_for_a_new_description() -> None:
    """An answer that was under way when the membership changed does not count as current."""
    device = Device()
    device.connect(row(CONV, 0))
    [question] = device.asked(wire.ConvGet)
    device.sync.event(entry(CONV, 1, kind=7, users=(9,), content=None))
    device.sync.answer(question, wire.ConvGetOk(0, (wire.Info(CONV, 2, 1, 2),)))
    [again] = device.asked(wire.ConvGet)
    device.sync.answer(again, wire.ConvGetOk(0, (wire.Info(CONV, 2, 1, 3),)))
    assert device.asked(wire.ConvGet) == []
    device.commit()
    info = device.cache.info(CONV)
    assert info is not None
    assert info.members == 3


def test_descriptions_that_were_left_are_asked_for_again() -> None:
    """Those that are in neither list do not exist; a server that describes nothing is not asked for ever."""
    device = Device()
    device.connect(*(row(conv, 0) for conv in (1, 2, 3)))
    [question] = device.asked(wire.ConvGet)
    device.sync.answer(question, wire.ConvGetOk(0, (wire.Info(1, 2, 1, 2),), (3,)))
    [question] = device.asked(wire.ConvGet)
    assert cast(wire.ConvGet, question.request).convs == (3,)
    device.sync.answer(question, wire.ConvGetOk(0, (), (3,)))
    assert device.asked(wire.ConvGet) == []


def test_descriptions_are_asked_for_together() -> None:
    """As many as fit into a frame, however long they are (2.4): who has put one into many groups must not cut him off
    (P10).
    """
    device = Device()
    device.connect(*(row(conv, 0) for conv in range(1, 151)))
    questions = device.asked(wire.ConvGet)
    assert [len(cast(wire.ConvGet, question.request).convs) for question in questions] == [64, 64, 22]
    longest = wire.Info(2**53 - 1, 2, 1, 2**32 - 1, "x" * 256, 2**53 - 1, "x" * 1024)
    assert len(wire.ConvGetOk(2**31 - 1, (longest,) * 64).encode()) <= wire.limits.SERVER_FRAME_BYTES


# --- ACK


def held(ack: wire.Ack | None) -> dict[int, int] | None:
    return None if ack is None else {pair.conv: pair.pos for pair in ack.held or ()}


def test_ack_of_applied_pushes_lists_nothing() -> None:
    device = Device()
    device.connect(row(CONV, 0))
    device.sync.event(entry(CONV, 1))
    assert device.ack() == wire.Ack(1, None)
    assert device.ack() is None


def test_ack_lists_a_push_that_was_not_applied() -> None:
    """Otherwise delivered would run ahead of the device (P7)."""
    device = Device()
    device.connect(row(CONV, 0))
    device.sync.event(entry(CONV, 1))
    device.sync.event(entry(CONV, 3))
    ack = device.ack()
    assert (ack and ack.n, held(ack)) == (2, {CONV: 1})


def test_ack_lists_what_changes_moved() -> None:
    """What was pulled is delivered, too; no push says so."""
    device, server = Device(), Server()
    server.write(3)
    device.connect(row(CONV, 3))
    settle(device, server)
    ack = device.ack()
    assert (ack and ack.n, held(ack)) == (0, {CONV: 3})


def test_ack_lists_zero_after_a_jump_until_the_hole_is_filled() -> None:
    """A device that jumped does not hold what lies between."""
    device, server = Device(jump_entries=6), Server()
    server.write(10)
    device.connect(row(CONV, 10, delivered=2))
    assert held(device.ack()) == {CONV: 0}
    device.sync.event(*server.write(1))
    assert held(device.ack()) == {CONV: 0}
    device.sync.answer(device.sync.ask_history(CONV, 10, 8), server.history(3, 10))
    assert held(device.ack()) == {CONV: 11}


def test_ack_counts_pushes_it_does_not_know() -> None:
    """P11: every push of the counted range counts, known or not."""
    device = Device()
    device.connect()
    device.sync.counted()
    device.sync.receipt(wire.Receipt(CONV, 0, 1, ()))
    ack = device.ack()
    assert ack is not None
    assert ack.n == 2


def test_ack_lists_at_most_256_and_the_rest_follows_with_the_same_n() -> None:
    logs = {conv: Log(conv, pos=1, want=1) for conv in range(1, 601)}
    acks = Acks(1024)
    for conv in logs:
        acks.report(conv)
    taken = drain(acks, logs)
    assert [(ack.n, len(ack.held or ())) for ack in taken] == [(0, 256), (0, 256), (0, 88)]


def test_ack_covers_a_push_only_together_with_its_listed_position() -> None:
    """n stops before the push whose conversation finds no room in the list."""
    logs = {conv: Log(conv, pos=0, want=1) for conv in range(1, 301)}
    acks = Acks(1024)
    for conv in logs:
        acks.pushed((conv, 1))
    taken = drain(acks, logs)
    assert [(ack.n, len(ack.held or ())) for ack in taken] == [(256, 256), (300, 44)]


def drain(acks: Acks, logs: dict[int, Log]) -> list[wire.Ack]:
    taken = []
    while (ack := acks.take(logs)) is not None:
        taken.append(ack)
    return taken


@pytest.mark.parametrize(("window", "pushes"), [(1024, 32), (64, 32), (16, 8), (1, 1)])
def test_ack_is_urgent_before_half_the_window_is_used(window: int, pushes: int) -> None:
    """P6: a server whose window is full stops pushing."""
    acks = Acks(window)
    for _ in range(pushes - 1):
        acks.pushed()
        assert not acks.urgent
    acks.pushed()
    assert acks.urgent


def unflushed(device: Device) -> None:
    """A device that holds three entries, of which the server knows none as delivered."""
    device.connect(row(CONV, 0))
    for seq in (1, 2, 3):
        device.sync.event(entry(CONV, seq))
    device.commit()


def do_nothing(device: Device) -> None:
    """The case in which the device speaks."""


def deliver(device: Device) -> None:
    device.log.delivered = 3


def leave(device: Device) -> None:
    device.log.former = True


def jump(device: Device) -> None:
    device.log.low = 3


def crowd(device: Device) -> None:
    device.cache.put_info(wire.Info(CONV, 2, 1, LIMITS.delivered_members + 1))


@pytest.mark.parametrize(
    ("prepare", "expected"), [(do_nothing, {CONV: 3}), (deliver, None), (leave, None), (jump, None), (crowd, None)]
)
def test_ack_repeats_watermarks_a_crashed_server_may_have_lost(
    prepare: Callable[[Device], None], expected: dict[int, int] | None
) -> None:
    """Once on each connection, only where a watermark is kept and truly lower than what is held."""
    device = Device()
    unflushed(device)
    prepare(device)
    device.commit()
    device.connect()
    assert held(device.ack()) == expected
    assert device.ack() is None


def test_ack_lists_zero_while_a_catch_up_is_unfinished() -> None:
    """A record that was edited later has left the first page: it would count as delivered and is not here (P7)."""
    device, server = Device(), Server()
    server.write(12)
    server.append(edit(CONV, 0, 3, "edited"))
    device.connect(row(CONV, 13))
    [question] = device.asked(wire.Changes)
    device.sync.answer(question, server.changes(question, limit=5))
    assert 3 not in device.texts()
    assert held(device.ack()) == {CONV: 0}
    settle(device, server)
    assert held(device.ack()) == {CONV: 13}

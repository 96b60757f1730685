"""Each of the 13 invariants of docs/proof.md is broken alone, and blamed for exactly that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.history.world import events
from tools.history.checker import ADD, CREATE, EDIT, MSG, REMOVE, Entry, History, Holding, Op, Record
from tools.history.entries import DELETE, PIN, REACT
from tools.history.reference import fold

ANN, BOB, CAT = 1, 2, 3
LOG = [
    Entry(1, 1, 100, ANN, CREATE, "room", users=(ANN, BOB, CAT)),
    Entry(1, 2, 110, ANN, MSG, "a"),
    Entry(1, 3, 120, BOB, MSG, "b"),
    Entry(1, 4, 130, BOB, EDIT, "c", ref=3),
    Entry(1, 5, 140, ANN, REMOVE, users=(CAT,)),
    Entry(1, 6, 150, ANN, MSG, "d"),
]


def played(log: Sequence[Entry] = LOG) -> History:
    """Everything of this log was asked for, acknowledged and pushed, one after the other."""
    history = History()
    for entry in log:
        ask(history, entry)
        history.ok(f"op {entry.seq}", entry.seq, entry.ts)
        for user in (ANN, BOB):
            history.saw(f"device {user}", user, entry)
            history.held(user, 1, 1, entry.seq)
            history.reached(f"device {user}", user, 1, entry.seq, float(entry.ts))
    return history


def ask(history: History, entry: Entry, name: str | None = None) -> None:
    op = Op(entry.conv, entry.sender, entry.kind, entry.content, entry.ref, users=entry.users)
    history.invoke(name or f"op {entry.seq}", op)


def holding(user: int, log: Sequence[Entry] = LOG, **more: object) -> Holding:
    records = fold(log, log[-1].seq)
    marks = {ANN: (6, 6), BOB: (6, 0)}
    return attrs.evolve(Holding(f"device {user}", user, 1, 1, log[-1].seq, records, marks, final=True), **more)  # type: ignore[arg-type]


def ended(history: History, log: Sequence[Entry] = LOG, *holdings: Holding) -> set[str]:
    """What is blamed when the log was read and both devices were looked at."""
    history.marked(ANN, 1, 6)
    history.receipt("device 2", 1, ANN, 6, 6)
    history.receipt("device 1", 1, BOB, 6, 0)
    for device in holdings or (holding(ANN, log), holding(BOB, log)):
        history.holds(device)
    for entry in log:
        history.logged(entry)
    history.headed(1, log[-1].seq)
    return {f"{violation.promise} {violation.rule}" for violation in history.finish()}


def added(entry: Entry, asked: bool = True) -> set[str]:
    """The log has one entry more, which everybody has."""
    history = played()
    if asked:
        ask(history, entry)
    for user in (ANN, BOB):
        history.saw(f"device {user}", user, entry)
        history.held(user, 1, 1, entry.seq)
    return ended(history, [*LOG, entry])


def changed(records: dict[int, Record], seq: int, **change: object) -> dict[int, Record]:
    return {**records, seq: attrs.evolve(records[seq], **change)}  # type: ignore[arg-type]


def test_the_right_history_is_clean() -> None:
    assert ended(played()) == set()


@pytest.mark.parametrize(("mentioned", "blamed"), [((BOB,), set()), ((CAT,), {"P5 not the fold"})])
def test_what_was_deleted_before_anybody_saw_it_said_what_was_asked_for(
    mentioned: tuple[int, ...], blamed: set[str]
) -> None:
    """Its author's device had it, with whom it mentioned; the log has neither text nor mentions any more."""
    said = [*LOG[:2], Entry(1, 3, 120, ANN, EDIT, "b", ref=2, users=(BOB,)), Entry(1, 4, 130, ANN, DELETE, ref=2)]
    history = History()
    for entry in said:
        ask(history, entry)
        history.ok(f"op {entry.seq}", entry.seq, entry.ts)
    records = changed(fold(said, 3), 2, users=mentioned)
    history.recorded("device 1", ANN, 1, records[2])
    history.holds(attrs.evolve(holding(ANN, said[:3]), records=records, final=False))
    for entry in said:
        history.logged(attrs.evolve(entry, content=None, users=()) if entry.seq in (2, 3) else entry)
    history.headed(1, 4)
    assert {f"{violation.promise} {violation.rule}" for violation in history.finish()} == blamed


def acknowledged_and_gone() -> set[str]:
    history = played()
    ask(history, Entry(1, 7, 160, ANN, MSG, "e"))
    history.ok("op 7", 7, 160)
    return ended(history)


def not_on_a_device() -> set[str]:
    records = {seq: record for seq, record in fold(LOG, 6).items() if seq != 2}
    return ended(played(), LOG, holding(ANN), holding(BOB, records=records))


def there_twice() -> set[str]:
    return added(Entry(1, 7, 160, ANN, MSG, "a"), asked=False)


def announced_twice() -> set[str]:
    history = played()
    history.announced("screen", 1, 2)
    history.announced("screen", 1, 2)
    return ended(history)


def another_entry_for_bob() -> set[str]:
    history = played()
    history.saw("another device", BOB, attrs.evolve(LOG[1], content="b"))
    return ended(history)


def a_hole() -> set[str]:
    return added(Entry(1, 8, 160, ANN, MSG, "e"))


def receipt_back() -> set[str]:
    history = played()
    history.receipt("device 1", 1, BOB, 5, 0)
    history.receipt("device 1", 1, BOB, 4, 0)
    return ended(history)


def receipt_of_what_nobody_has() -> set[str]:
    history = played()
    history.promised("device 1", 1, CAT, 3, 0)
    return ended(history)


def old_answer_to_whom_it_was_acknowledged() -> set[str]:
    history = played()
    history.asks("page", BOB, 1)
    history.answers("page", 5)
    return ended(history)


def old_answer_after_a_push() -> set[str]:
    """What Bob saw was acknowledged to nobody."""
    entry = Entry(1, 7, 160, ANN, MSG, "e")
    history = played()
    ask(history, entry)
    history.saw("device 2", BOB, entry)
    history.asks("page", BOB, 1)
    history.answers("page", 6)
    history.saw("device 1", ANN, entry)
    return ended(history, [*LOG, entry])


def not_as_if_he_had_never_left() -> set[str]:
    """The edit was missed."""
    records = {**fold(LOG, 6), 3: fold(LOG, 3)[3]}
    return ended(played(), LOG, holding(ANN), holding(BOB, records=records))


def two_states_of_an_edit() -> set[str]:
    """Nobody can read the log itself, and nobody saw the entry: the devices still contradict each other."""
    history = History()
    history.invoke("op 4", Op(1, BOB, EDIT, "c", 3))
    for user, content in ((ANN, "c"), (BOB, "x")):
        records = changed(fold(LOG, 4), 3, content=content)
        history.recorded(f"device {user}", user, 1, records[3])
    return {f"{violation.promise} {violation.rule}" for violation in history.finish()}


def back_from_the_grave() -> set[str]:
    log = [*LOG, Entry(1, 7, 160, BOB, DELETE, ref=3)]
    records = changed(fold(log, 7), 3, content="c")
    return ended(played(log), log, holding(ANN, log), holding(BOB, log, records=records))


def overtaken() -> set[str]:
    """It began after 6 was acknowledged, and stands at 5 of another history."""
    log = [*LOG[:4], Entry(1, 5, 140, BOB, MSG, "late"), attrs.evolve(LOG[5], ts=150)]
    history = played([*LOG[:4], LOG[5]])
    ask(history, log[4])
    history.ok("op 5", 5, 140)
    return ended(history, log)


def out_of_order() -> set[str]:
    history = played()
    for name, content in (("one", "e"), ("other", "f")):
        history.invoke(name, Op(1, ANN, MSG, content, order="device 1"))
    history.ok("other", 7, 160)
    history.ok("one", 8, 160)
    log = [*LOG, Entry(1, 7, 160, ANN, MSG, "f"), Entry(1, 8, 160, ANN, MSG, "e")]
    return ended(history, log)


def never_asked_for() -> set[str]:
    return added(Entry(1, 7, 160, ANN, MSG, "e"), asked=False)


def refused() -> set[str]:
    entry = Entry(1, 7, 160, ANN, MSG, "a")
    history = played()
    ask(history, entry)
    history.saw("device 1", ANN, entry)
    history.failed("op 7")
    return ended(history, [*LOG, entry])


def shown_to_who_left() -> set[str]:
    history = played()
    history.saw("device 3", CAT, LOG[5])
    return ended(history)


def never_there() -> set[str]:
    history = played()
    history.reached("device 4", BOB, 1, 5, 140.0)
    history.healed(200.0)
    return ended(history)


def too_late() -> set[str]:
    history = played()
    history.reached("device 4", BOB, 1, 6, 330.0)
    history.healed(200.0)
    return ended(history)


def shown_and_gone() -> set[str]:
    history = played()
    ask(history, Entry(1, 7, 160, ANN, MSG, "e"))
    history.saw("device 2", BOB, Entry(1, 7, 160, ANN, MSG, "e"))
    return ended(history)


def at_another_place() -> set[str]:
    """Two that were under way at once were told each other's seq."""
    log = [*LOG, Entry(1, 7, 160, ANN, MSG, "e"), Entry(1, 8, 160, ANN, MSG, "f")]
    history = played()
    ask(history, log[6])
    ask(history, log[7])
    history.ok("op 7", 8, 160)
    history.ok("op 8", 7, 160)
    return ended(history, log)


def at_another_time() -> set[str]:
    entry = Entry(1, 7, 160, ANN, MSG, "e")
    history = played()
    ask(history, entry)
    history.ok("op 7", 7, 161)
    return ended(history, [*LOG, entry])


def answers_the_future() -> set[str]:
    return added(Entry(1, 7, 160, ANN, MSG, "e", ref=7))


def receipt_beyond_the_log() -> set[str]:
    history = played()
    history.marked(CAT, 1, 9)
    history.promised("device 1", 1, CAT, 9, 9)
    return ended(history)


def receipt_that_never_came() -> set[str]:
    return ended(played(), LOG, holding(ANN), holding(BOB, marks={ANN: (5, 5), BOB: (6, 0)}))


def device_that_stands_still() -> set[str]:
    return ended(played(), LOG, holding(ANN), holding(BOB, pos=5, records=fold(LOG, 5)))


def pinned_without_a_change() -> set[str]:
    return ended(played(), LOG, holding(ANN), holding(BOB, records=changed(fold(LOG, 6), 2, pinned=2)))


BROKEN: list[tuple[int, Callable[[], set[str]], str]] = [
    (1, acknowledged_and_gone, "P1 lost"),
    (1, not_on_a_device, "P5 lacks"),
    (1, shown_and_gone, "P1 shown and gone"),
    (2, there_twice, "P2 doubled"),
    (2, announced_twice, "P2 shown twice"),
    (3, another_entry_for_bob, "P4 one order"),
    (3, at_another_place, "P4 moved"),
    (3, at_another_time, "P4 two times"),
    (3, answers_the_future, "P4 answers what comes later"),
    (4, a_hole, "P3 gap"),
    (5, receipt_back, "P7 receipt moved back"),
    (5, receipt_of_what_nobody_has, "P7 delivered beyond a device"),
    (5, receipt_beyond_the_log, "P7 beyond the log"),
    (5, receipt_that_never_came, "P7 behind in receipts"),
    (6, old_answer_to_whom_it_was_acknowledged, "P5 misses what was acknowledged"),
    (7, old_answer_after_a_push, "P5 read runs back"),
    (8, not_as_if_he_had_never_left, "P5 not the fold"),
    (8, device_that_stands_still, "P5 behind"),
    (8, pinned_without_a_change, "P5 changed without a rev"),
    (9, two_states_of_an_edit, "P5 two states"),
    (9, back_from_the_grave, "P5 not the fold"),
    (10, overtaken, "P4 order against real time"),
    (10, out_of_order, "P4 order of one connection"),
    (11, never_asked_for, "P2 never asked for"),
    (11, refused, "P12 refused but there"),
    (12, shown_to_who_left, "P9 outside membership"),
    (13, never_there, "P5 does not converge"),
    (13, too_late, "P5 converges late"),
]


@pytest.mark.parametrize(
    ("number", "broken", "blamed"), BROKEN, ids=[f"{each[0]}-{each[1].__name__}" for each in BROKEN]
)
def test_a_broken_invariant_is_blamed_alone(number: int, broken: Callable[[], set[str]], blamed: str) -> None:
    assert broken() == {blamed}


def test_every_invariant_is_broken_once() -> None:
    assert {number for number, _, _ in BROKEN} == set(range(1, 14))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 80), st.booleans())
def test_whatever_gets_no_answer_is_not_blamed(seed: int, steps: int, read: bool) -> None:
    """Each answer may be missing: a timeout is unknown, and never a failure."""
    chance, history = Random(seed), History()
    for event, arguments in events(seed, steps, read):
        if event not in ("ok", "failed") or chance.random() < 0.3:
            getattr(history, event)(*arguments)
    assert history.finish() == []


def test_who_was_removed_reads_up_to_his_leaving() -> None:
    """What was acknowledged later is not for him, so the answer that lacks it misses nothing."""
    history = played()
    history.asks("page", CAT, 1)
    history.answers("page", 5)
    assert ended(history) == set()


def test_after_a_restored_backup_the_same_seqs_are_given_again() -> None:
    """What stood above is gone by right; the messages in flight may be there again."""
    history = played()
    history.restored({1: 4})
    log = [*LOG[:4], Entry(1, 5, 160, BOB, MSG, "e"), Entry(1, 6, 170, ANN, MSG, "d")]
    ask(history, log[4], "op 7")
    history.ok("op 7", 5, 160)
    history.again("op 6")
    history.ok("op 6", 6, 170)
    for user in (ANN, BOB):
        history.held(user, 1, 1, 6)
        history.asks(f"page {user}", user, 1)
        history.answers(f"page {user}", 6)
    assert ended(history, log) == set()


def test_a_restored_backup_excuses_nothing_below() -> None:
    history = played()
    history.restored({1: 4})
    history.holds(holding(ANN, LOG[:2]))
    assert ended(history, LOG[:3], holding(ANN, LOG[:3]), holding(BOB, LOG[:3])) >= {"P1 lost"}


def test_who_had_left_is_a_member_again_after_a_restored_backup() -> None:
    """An answer from before reached to his leaving; that the backup knows nothing of it makes it no short one."""
    history = played()
    history.asks("page", CAT, 1)
    history.answers("page", 5)
    history.restored({1: 4})
    assert history.finish() == []


def test_what_was_withheld_before_a_backup_was_restored_was_not_lacking_then() -> None:
    """Cat's device was not given the message that was edited after she had left; in the backup it is not edited."""
    log = [*LOG, Entry(1, 7, 160, BOB, EDIT, "e", ref=3)]
    for lacking, rules in ((3, set()), (2, {"P5 lacks"})):
        history = played(log)
        had = {seq: record for seq, record in fold(log, 5).items() if seq not in (3, lacking)}
        history.holds(Holding("device 3", CAT, 1, 1, 5, had))
        history.restored({1: 6})
        assert ended(history, log[:6]) == rules


def test_who_was_away_and_came_back_need_not_have_had_what_was_withheld() -> None:
    """While he was away his device was not given the message that had been edited; it has it since he is back."""
    log = [*LOG, Entry(1, 7, 160, BOB, EDIT, "e", ref=3), Entry(1, 8, 170, ANN, ADD, users=(CAT,))]
    away = {seq: record for seq, record in fold(log, 5).items() if seq != 3}
    back = {seq: record for seq, record in fold(log, 8).items() if seq != 6}
    for lacking, rules in ((3, set()), (2, {"P5 lacks"})):
        history = played(log)
        had = {seq: record for seq, record in away.items() if seq != lacking}
        history.holds(Holding("device 3", CAT, 1, 1, 5, had))
        history.holds(Holding("device 3", CAT, 1, 1, 8, back))
        assert ended(history, log) == rules


@pytest.mark.parametrize(("hidden", "rules"), [([3], set()), ([], {"P5 two states"})])
def test_a_message_that_its_reader_has_hidden_is_in_no_state(hidden: list[int], rules: set[str]) -> None:
    """[10-29]: pages are silent about the pin, the reaction comes, and that it is hidden has not come yet."""
    log = [*LOG, Entry(1, 7, 160, BOB, PIN, ref=3), Entry(1, 8, 170, BOB, REACT, "+", ref=3)]
    history = played(log)
    history.holds(holding(BOB, log))
    records = fold(log, 8)
    records[3] = attrs.evolve(records[3], pinned=None)
    history.holds(Holding("device 1", ANN, 1, 1, 8, records, hidden=frozenset(hidden)))
    assert ended(history, log) == rules


def test_a_change_that_nobody_saw_is_no_gap() -> None:
    """Two edits of one message: who comes back between pages is shown the second alone."""
    history = History()
    log = [*LOG[:4], Entry(1, 5, 140, BOB, EDIT, "x", ref=3)]
    for entry in log:
        ask(history, entry)
    for seq, record in fold(log, 5).items():
        history.recorded("device 1", ANN, 1, record)
        assert seq != 4
    assert history.finish() == []
    history = History()
    for entry in (log[0], log[1], log[2], log[4]):
        ask(history, entry)
    for record in fold(log, 5).values():
        history.recorded("device 1", ANN, 1, record)
    history.recorded("device 1", ANN, 1, Record(8, 8, 150, ANN, MSG, "a", None, ()))
    assert {violation.rule for violation in history.finish()} == {"gap", "doubled"}


def test_of_a_log_that_is_known_in_part_nothing_is_guessed() -> None:
    """Nobody looked at the beginning, so whoever was invited there is no outsider, and what others marked may be beyond
    what was seen.
    """
    history = History()
    ask(history, LOG[5])
    history.saw("device 2", BOB, LOG[5])
    history.marked(ANN, 1, 9)
    history.receipt("device 2", 1, ANN, 9, 9)
    history.asks("page", BOB, 1)
    history.answers("page", 9)
    assert history.finish() == []

"""The judge itself: it must find each kind of broken promise in a history made for it, and nothing in a sound one."""

from __future__ import annotations

import attrs
import pytest

from tools.history.checker import Entry, History, Op, periods

MSG = 1
LOG = [
    Entry(1, 1, 100, 1, 6, users=(1, 2)),
    Entry(1, 2, 110, 1, MSG, "a", cid=b"a"),
    Entry(1, 3, 110, 2, MSG, "b", cid=b"b"),
    Entry(1, 4, 120, 1, 8, users=(2,)),
    Entry(1, 5, 130, 1, MSG, "c", cid=b"c"),
]


def sound() -> History:
    """Two users, three messages, one removal; everything as promised."""
    history = History()
    history.invoke("a", Op(1, 1, MSG, "a", order="d1"))
    history.invoke("b", Op(1, 2, MSG, "b", order="d2"))
    history.invoke("remove", Op(1, 1, 8))
    for entry in LOG[:4]:
        history.logged(entry)
    history.ok("a", 2, 110)
    history.invoke("c", Op(1, 1, MSG, "c", order="d1"))
    history.logged(LOG[4])
    history.ok("c", 5, 130)
    history.held(2, 1, 1, 3)
    history.receipt("log", 1, 2, 3, 0)
    for entry in LOG[:4]:
        history.saw("d2", 2, entry)
    return history


def rules(history: History) -> set[str]:
    return {violation.rule for violation in history.finish()}


def test_a_sound_history_has_no_violation() -> None:
    assert sound().finish() == []


def test_an_unknown_outcome_may_be_there_or_not() -> None:
    """b was never answered: that is no failure, whether its entry exists (as here) or not."""
    history = sound()
    history.invoke("nowhere", Op(1, 1, MSG, "nowhere"))
    assert history.finish() == []


def test_p1_an_acknowledged_entry_that_nobody_has_is_lost() -> None:
    history = sound()
    history.invoke("d", Op(1, 1, MSG, "d"))
    history.ok("d", 6, 140)
    assert rules(history) == {"lost"}


def test_p1_an_acknowledged_entry_with_another_text_is_lost() -> None:
    history = sound()
    history.invoke("d", Op(1, 1, MSG, "d"))
    history.invoke("e", Op(1, 1, MSG, "e"))
    history.ok("d", 6, 140)
    history.logged(Entry(1, 6, 140, 1, MSG, "e"))
    assert rules(history) == {"lost"}


@pytest.mark.parametrize("cid", [None, b"a"])
def test_p2_an_entry_that_is_there_twice_is_doubled(cid: bytes | None) -> None:
    """Found by its cid where that is visible, by counting where it is not."""
    history = sound()
    history.logged(Entry(1, 6, 140, 1, MSG, "a", cid=cid))
    assert rules(history) == {"doubled"}


def test_p2_an_entry_nobody_asked_for() -> None:
    history = sound()
    history.logged(Entry(1, 6, 140, 2, MSG, "from nowhere"))
    assert rules(history) == {"never asked for"}


def test_p2_the_same_text_sent_twice_is_two_entries() -> None:
    """Counting must not blame people who repeat themselves."""
    history = sound()
    history.invoke("again", Op(1, 1, MSG, "a"))
    history.logged(Entry(1, 6, 140, 1, MSG, "a", cid=b"d"))
    assert history.finish() == []


def test_p2_a_retry_that_pretends_to_be_another_operation() -> None:
    """Where everything that is said is distinct, the same words under another cid are a retry gone wrong."""
    history = History(distinct=True)
    history.invoke("a", Op(1, 1, MSG, "a"))
    history.invoke("b", Op(1, 1, MSG, "a"))
    assert rules(history) == {"asked for twice"}


def test_p2_two_answers_for_one_operation() -> None:
    history = sound()
    history.ok("a", 3, 110)
    assert "two answers" in rules(history)


def test_p3_a_hole_in_the_log() -> None:
    history = sound()
    history.invoke("d", Op(1, 1, MSG, "d"))
    history.logged(Entry(1, 7, 140, 1, MSG, "d"))
    assert rules(history) == {"gap"}


def test_p4_two_people_see_different_entries_at_one_seq() -> None:
    history = sound()
    history.saw("d2", 2, attrs.evolve(LOG[1], content="b", sender=2, cid=None))
    assert rules(history) == {"one order"}


def test_p4_an_entry_may_not_precede_what_was_acknowledged_before_it_began() -> None:
    history = sound()
    history.invoke("d", Op(1, 1, MSG, "d"))
    history.ok("d", 4, 120)
    assert "order against real time" in rules(history)


def test_p4_one_connection_keeps_its_order() -> None:
    history = sound()
    history.invoke("d", Op(1, 2, MSG, "d", order="d2"))
    history.invoke("e", Op(1, 2, MSG, "e", order="d2"))
    history.ok("e", 6, 140)
    history.ok("d", 7, 140)
    assert "order of one connection" in rules(history)


def test_p4_an_entry_that_was_put_off_and_sent_again_may_be_overtaken() -> None:
    """Order is that of the attempts that were accepted, and nobody can tell which attempt that was."""
    history = sound()
    history.invoke("d", Op(1, 2, MSG, "d", order="d2"))
    history.invoke("e", Op(1, 2, MSG, "e", order="d2"))
    history.again("d")
    history.ok("e", 6, 140)
    history.ok("d", 7, 140)
    assert "order of one connection" not in rules(history)


def test_p4_server_time_never_runs_against_seq() -> None:
    history = sound()
    history.invoke("d", Op(1, 1, MSG, "d"))
    history.logged(Entry(1, 6, 129, 1, MSG, "d"))
    assert rules(history) == {"time runs back"}


def test_p7_a_receipt_moved_back() -> None:
    history = sound()
    history.receipt("log", 1, 2, 2, 0)
    assert rules(history) == {"receipt moved back"}


def test_p7_delivered_needs_a_device_that_holds_it_without_a_hole() -> None:
    history = sound()
    history.held(2, 1, 5, 5)
    history.receipt("log", 1, 2, 5, 0)
    assert rules(history) == {"delivered beyond a device"}


def test_p7_read_needs_a_mark() -> None:
    history = sound()
    history.receipt("log", 1, 2, 3, 3)
    assert rules(history) == {"read beyond a mark"}


def test_p2_a_forward_is_counted_whatever_text_it_brings() -> None:
    """Its text is the server's copy: one for each that was asked for, and no more."""
    history = sound()
    history.invoke("f", Op(1, 1, MSG, source=(1, 2)))
    history.logged(Entry(1, 6, 140, 1, MSG, "a", cid=b"f", origin=(1, 110)))
    history.ok("f", 6, 140)
    assert history.finish() == []
    history.logged(Entry(1, 7, 140, 1, MSG, "b", cid=b"g", origin=(2, 110)))
    assert rules(history) == {"doubled"}


def test_p4_two_people_see_other_mentions_or_another_origin() -> None:
    history = sound()
    history.saw("d2", 2, attrs.evolve(LOG[1], users=(2,), cid=None))
    assert rules(history) == {"one order"}
    history = sound()
    history.saw("d2", 2, attrs.evolve(LOG[1], origin=(9, 9), cid=None))
    assert rules(history) == {"one order"}


def test_p8_what_was_deleted_mentions_nobody() -> None:
    """Content and mentions are withheld together."""
    history = sound()
    history.saw("d2", 2, attrs.evolve(LOG[1], content=None, cid=None))
    assert history.finish() == []
    history.saw("d2", 2, attrs.evolve(LOG[1], content=None, users=(2,), cid=None))
    assert rules(history) == {"deleted and yet there"}


def test_p9_nothing_is_shown_after_the_removal() -> None:
    history = sound()
    history.saw("d2", 2, attrs.evolve(LOG[4], cid=None))
    assert rules(history) == {"outside membership"}


@pytest.mark.parametrize("first", ["failed", "seen"])
def test_p12_what_was_refused_never_appears(first: str) -> None:
    history = sound()
    history.invoke("d", Op(1, 1, MSG, "d"))
    if first == "failed":
        history.failed("d")
    history.logged(Entry(1, 6, 140, 1, MSG, "d"))
    if first == "seen":
        history.failed("d")
    assert rules(history) & {"refused but there", "never asked for"}


def test_p12_what_was_refused_may_be_tried_again() -> None:
    """A client that crashed before it noted the refusal repeats the operation; each attempt may end otherwise."""
    history = sound()
    history.invoke("d", Op(1, 1, MSG, "d"))
    history.failed("d")
    history.again("d")
    history.failed("d")
    history.again("d")
    history.logged(Entry(1, 6, 140, 1, MSG, "d"))
    history.ok("d", 6, 140)
    assert history.finish() == []


@pytest.mark.parametrize(("clustered", "rule"), [(False, {"never asked for"}), (True, set())])
def test_p12_of_several_nodes_one_may_carry_out_late_what_another_refused(clustered: bool, rule: set[str]) -> None:
    """14-4: the earlier attempt waited in a node. There is one entry all the same."""
    history = History(clustered=clustered)
    history.invoke("d", Op(1, 1, MSG, "d"))
    history.again("d")
    history.failed("d")
    history.logged(Entry(1, 1, 140, 1, MSG, "d", cid=b"d"))
    assert rules(history) == rule
    history.logged(Entry(1, 2, 140, 1, MSG, "d", cid=b"e"))
    assert rules(history) == {*rule, "never asked for" if rule else "doubled"}


def test_periods_follow_joining_leaving_and_coming_back() -> None:
    log = [*LOG, Entry(1, 6, 140, 1, 7, users=(2, 3))]
    assert periods(log) == {1: ((1, None),), 2: ((1, 4), (6, None)), 3: ((6, None),)}

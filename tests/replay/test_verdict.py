"""The comparison sees every way in which a promise can be broken, and nothing where none is."""

import copy

import attrs
import pytest

from tools.replay.evidence import Account, Evidence, Fact, Holding, Promise, periods
from tools.replay.sabotage import Sabotage, spoil
from tools.replay.verdict import JOINS, LEAVES, Verdict, judge

OWNER, ANN, BOB = 1, 2, 3
MSG, CREATE, ADD, REMOVE = 1, 6, 7, 8

PROMISES = [
    Promise(-1, 1, 100, OWNER, CREATE, "room", users=(OWNER,)),
    Promise(0, 2, 101, OWNER, ADD, users=(ANN,)),
    Promise(1, 3, 102, ANN, MSG, "anybody here?"),
    Promise(2, 4, 103, OWNER, ADD, users=(BOB,)),
    Promise(3, 5, 104, BOB, MSG, "me", ref=3),
    Promise(4, 6, 105, ANN, MSG, "lol"),
    Promise(5, 7, 106, BOB, REMOVE, users=(BOB,)),
    Promise(6, 8, 107, ANN, MSG, "lol"),
]
READ = {ANN: 8, OWNER: 8}


def fact(promise: Promise) -> Fact:
    return Fact(
        promise.seq, promise.seq, promise.ts, promise.sender, promise.kind, promise.text, promise.ref, promise.users
    )


def held(user: int, name: str, *seqs: int) -> Holding:
    return Holding(user, name, {seq: fact(PROMISES[seq - 1]) for seq in seqs}, READ)


def truth() -> tuple[Evidence, Account]:
    evidence = Evidence("room", 77, list(PROMISES), dict(READ))
    evidence.holdings = [
        held(OWNER, "owner", *range(1, 9)),
        held(ANN, "ann", *range(2, 9)),
        held(BOB, "bob", 4, 5, 6, 7),
    ]
    facts = {promise.seq: fact(promise) for promise in PROMISES}
    return evidence, Account(8, facts, {ANN: (8, 8), OWNER: (8, 8)}, [])


def counts(verdict: Verdict) -> dict[str, int]:
    return {name: len(lines) for name, lines in attrs.asdict(verdict).items() if lines}


def test_the_truth_is_clean() -> None:
    verdict = judge(*truth())
    assert verdict.clean, verdict


def test_p1_an_acknowledged_entry_that_is_gone_is_lost() -> None:
    evidence, account = truth()
    del account.facts[5]
    verdict = judge(evidence, account)
    assert "room: acknowledged at seq 5 and gone: kind 1 by 3: 'me'" in verdict.lost
    assert verdict.gaps == ["room: nothing at seq 5"]


def test_p1_the_second_of_two_equal_lines_is_missed() -> None:
    """ "lol" still stands at seq 6, which is no excuse for seq 8."""
    evidence, account = truth()
    del account.facts[8]
    account.head = 7
    assert any("acknowledged at seq 8" in line for line in judge(evidence, account).lost)


def test_p2_an_entry_nobody_asked_for_is_a_double() -> None:
    evidence, account = truth()
    account.facts[9] = attrs.evolve(account.facts[8], seq=9, rev=9)
    account.head = 9
    assert judge(evidence, account).duplicated == ["room: seq 9 repeats an entry: kind 1 by 2: 'lol'"]


def test_p2_one_place_promised_twice_loses_a_line() -> None:
    evidence, account = truth()
    evidence.promises.append(attrs.evolve(PROMISES[7], step=7))
    assert "room: seq 8 was promised to 2 entries" in judge(evidence, account).lost


def test_p3_a_hole_is_a_gap() -> None:
    evidence, account = truth()
    account.head = 10
    assert judge(evidence, account).gaps == ["room: nothing at seq 9", "room: nothing at seq 10"]


def test_p4_an_entry_at_another_place_is_reordered() -> None:
    evidence, account = truth()
    account.facts[3] = attrs.evolve(account.facts[5], seq=3, rev=3, ts=102)
    account.facts[5] = attrs.evolve(fact(PROMISES[2]), seq=5, rev=5, ts=104)
    assert len(judge(evidence, account).reordered) == 2


def test_p4_a_speaker_out_of_order_is_reordered() -> None:
    evidence, account = truth()
    evidence.promises[2] = attrs.evolve(PROMISES[2], step=4)
    evidence.promises[5] = attrs.evolve(PROMISES[5], step=1)
    assert judge(evidence, account).reordered == ["room: seq 3 came after seq 6 for user 2"]


def test_p4_an_answer_before_its_question_is_reordered() -> None:
    evidence, account = truth()
    for entries in (evidence.promises, account.facts, evidence.holdings[0].facts, evidence.holdings[1].facts):
        place = 2 if entries is evidence.promises else 3
        entries[place] = attrs.evolve(entries[place], ref=5)  # type: ignore[index]
    assert judge(evidence, account).reordered == ["room: seq 3 answers seq 5"]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"text": "you"}, "differences"),
        ({"ts": 1}, "differences"),
        ({"sender": ANN}, "differences"),
        ({"ref": None}, "differences"),
        ({"rev": 8}, "differences"),
    ],
)
def test_p4_an_entry_with_other_content_differs(change: dict[str, object], where: str) -> None:
    evidence, account = truth()
    account.facts[5] = attrs.evolve(account.facts[5], **change)  # type: ignore[arg-type]
    assert where in counts(judge(evidence, account))


def test_p5_a_device_that_lacks_an_entry_lost_it() -> None:
    evidence, account = truth()
    evidence.holdings[1] = held(ANN, "ann", 2, 3, 4, 6, 7, 8)
    assert judge(evidence, account).lost == ["room: ann lacks seq 5: kind 1 by 3: 'me'"]


def test_p5_a_device_that_holds_something_else_differs() -> None:
    evidence, account = truth()
    evidence.holdings[1].facts[6] = attrs.evolve(fact(PROMISES[5]), text="LOL")  # type: ignore[index]
    assert judge(evidence, account).differences == ["room: ann holds seq 6 as kind 1 by 2: 'LOL'"]


def test_p1_what_the_server_forgot_is_lost_once() -> None:
    """Those who still hold it are no second finding; what was never promised is one."""
    evidence, account = truth()
    del account.facts[8]
    account.head = 7
    assert counts(judge(evidence, account)) == {"lost": 1}
    ghost = attrs.evolve(fact(PROMISES[7]), seq=9, rev=9)
    evidence.holdings[1].facts[9] = ghost  # type: ignore[index]
    assert judge(evidence, account).duplicated == ["room: ann alone holds seq 9: kind 1 by 2: 'lol'"]


def test_p9_a_former_member_with_a_later_entry_differs() -> None:
    evidence, account = truth()
    evidence.holdings[2] = held(BOB, "bob", 4, 5, 6, 7, 8)
    assert len(judge(evidence, account).differences) == 1


def test_p7_a_watermark_that_is_not_the_promised_one_differs() -> None:
    evidence, account = truth()
    account.marks[ANN] = (8, 7)
    found = judge(evidence, account).differences
    assert "room: user 2 was promised read 8, it is 7" in found
    assert "room: owner believes that user 2 read 8, it is 7" in found


def test_p7_who_left_is_told_no_more() -> None:
    """Not even when his leaving is the newest entry."""
    evidence, account = truth()
    evidence.promises, account.head = PROMISES[:7], 7
    del account.facts[8]
    evidence.marked = {ANN: 7, OWNER: 7}
    account.marks = {ANN: (7, 7), OWNER: (7, 7)}
    read = {ANN: 7, OWNER: 7}
    for place, (user, name, seqs) in enumerate([(OWNER, "owner", range(1, 8)), (ANN, "ann", range(2, 8))]):
        evidence.holdings[place] = attrs.evolve(held(user, name, *seqs), read=read)
    evidence.holdings[2] = attrs.evolve(held(BOB, "bob", 4, 5, 6, 7), read={})
    assert judge(evidence, account).clean, judge(evidence, account)


def test_p7_read_but_not_delivered_differs() -> None:
    """Zero means that the group keeps no delivered watermark."""
    evidence, account = truth()
    account.marks[ANN] = (0, 8)
    assert judge(evidence, account).clean
    account.marks[ANN] = (7, 8)
    assert judge(evidence, account).differences == ["room: user 2 read 8, but got only 7"]


def test_what_never_got_an_answer_and_what_the_reader_found_is_reported() -> None:
    evidence, account = truth()
    evidence.unfinished.append("line 9 has no answer")
    account.faults.append("time runs back")
    assert judge(evidence, account).differences == ["room: line 9 has no answer", "room: time runs back"]


@pytest.mark.parametrize(
    ("kind", "where"), [(Sabotage.LOSE, "lost"), (Sabotage.REORDER, "reordered"), (Sabotage.GAP, "gaps")]
)
def test_sabotage_is_found_and_named(kind: Sabotage, where: str) -> None:
    evidence, account = truth()
    spoil(account, evidence, kind)
    assert where in counts(judge(evidence, account))


def test_periods_end_with_leaving_and_begin_again() -> None:
    """The last entry one sees is one's own leaving."""
    again = [*PROMISES, Promise(7, 9, 108, OWNER, ADD, users=(BOB,))]
    assert periods(again, BOB, joins=JOINS, leaves=LEAVES) == [range(4, 8), range(9, 2**53)]
    assert periods(again, 99, joins=JOINS, leaves=LEAVES) == []


def test_judging_changes_nothing() -> None:
    evidence, account = truth()
    before = copy.deepcopy((evidence, account))
    judge(evidence, account)
    assert (evidence, account) == before

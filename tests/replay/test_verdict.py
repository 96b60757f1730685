"""The columns of a replay: the judge sees every way in which a promise can be broken, and nothing where none is."""

from collections.abc import Mapping, Sequence

import attrs
import pytest

from tools.history.checker import Op, Record
from tools.replay.evidence import Account, Device, Evidence
from tools.replay.sabotage import Sabotage, spoil
from tools.replay.verdict import Verdict, judge

OWNER, ANN, BOB = 1, 2, 3
MSG, CREATE, ADD, REMOVE = 1, 6, 7, 8
ROOM = 77

RECORDS = [
    Record(1, 1, 100, OWNER, CREATE, "room", None, (OWNER,)),
    Record(2, 2, 101, OWNER, ADD, None, None, (ANN,)),
    Record(3, 3, 102, ANN, MSG, "anybody here?", None, ()),
    Record(4, 4, 103, OWNER, ADD, None, None, (BOB,)),
    Record(5, 5, 104, BOB, MSG, "me", 3, ()),
    Record(6, 6, 105, ANN, MSG, "lol", None, ()),
    Record(7, 7, 106, BOB, REMOVE, None, None, (BOB,)),
    Record(8, 8, 107, ANN, MSG, "lol", None, ()),
]
READ = {ANN: 8, OWNER: 8}


def device(user: int, name: str, *seqs: int, read: Mapping[int, int] = READ) -> Device:
    return Device(user, name, {seq: RECORDS[seq - 1] for seq in seqs}, read)


def played(told: Sequence[Record] = RECORDS, marked: Mapping[int, int] = READ) -> Evidence:
    """Everybody asked for these, and was told that they stand there."""
    evidence = Evidence("room", OWNER, ROOM)
    history = evidence.history
    for step, record in enumerate(told):
        op = Op(ROOM, record.sender, record.kind, record.content, record.ref, users=record.users)
        history.invoke(f"step {step}", op)
        history.ok(f"step {step}", record.seq, record.ts)
    for user, read in marked.items():
        history.marked(user, ROOM, read)
        history.promised("its answer", ROOM, user, None, read)
    return evidence


def truth(evidence: Evidence | None = None) -> tuple[Evidence, Account]:
    evidence = evidence or played()
    evidence.devices = [
        device(OWNER, "owner", *range(1, 9)),
        device(ANN, "ann", *range(2, 9)),
        device(BOB, "bob", 4, 5, 6, 7),
    ]
    return evidence, Account(8, {record.seq: record for record in RECORDS}, {ANN: (8, 8), OWNER: (8, 8)}, [])


def changed(records: Mapping[int, Record], seq: int, **change: object) -> None:
    records[seq] = attrs.evolve(records[seq], **change)  # type: ignore[index, arg-type]


def counts(verdict: Verdict) -> dict[str, int]:
    return {name: len(lines) for name, lines in attrs.asdict(verdict).items() if lines}


def test_the_truth_is_clean() -> None:
    verdict = judge(*truth())
    assert verdict.clean, verdict


def test_p1_an_acknowledged_entry_that_is_gone_is_lost() -> None:
    evidence, account = truth()
    del account.records[5]
    verdict = judge(evidence, account)
    assert verdict.lost == ["room: lost: step 4 was acknowledged as 77/5, which nobody has"]
    assert verdict.gaps == ["room: gap: 77 lacks 5 of 8"]


def test_p1_the_second_of_two_equal_lines_is_missed() -> None:
    """ "lol" still stands at seq 6, which is no excuse for seq 8."""
    evidence, account = truth()
    del account.records[8]
    account.head = 7
    assert any("acknowledged as 77/8" in line for line in judge(evidence, account).lost)


def test_p2_an_entry_nobody_asked_for_is_a_double() -> None:
    evidence, account = truth()
    account.records[9] = attrs.evolve(account.records[8], seq=9, rev=9)
    account.head = 9
    (line,) = judge(evidence, account).duplicated
    assert line.startswith("room: doubled: the log has ")


def test_p2_one_place_promised_twice_loses_a_line() -> None:
    evidence, account = truth(played([*RECORDS, RECORDS[7]]))
    assert "room: one seq for two: step 8 and step 7 were both told seq 8 of 77" in judge(evidence, account).lost


def test_p3_a_hole_is_a_gap() -> None:
    evidence, account = truth()
    account.head = 10
    assert judge(evidence, account).gaps == ["room: gap: 77 lacks 9 of 10", "room: gap: 77 lacks 10 of 10"]


def test_p4_an_entry_at_another_place_is_reordered() -> None:
    evidence, account = truth()
    changed(account.records, 6, sender=BOB, content="me", ref=3)
    account.records[5] = attrs.evolve(RECORDS[5], seq=5, rev=5, ts=104)
    moved = [line for line in judge(evidence, account).reordered if line.startswith("room: moved: ")]
    assert len(moved) == 2


def test_p4_a_speaker_out_of_order_is_reordered() -> None:
    told = [*RECORDS[:2], RECORDS[5], *RECORDS[3:5], RECORDS[2], *RECORDS[6:]]
    evidence, account = truth(played(told))
    assert "room: order against real time: step 5 got seq 3 after 6 had been acknowledged" in (
        judge(evidence, account).reordered
    )


def test_p4_an_answer_before_its_question_is_reordered() -> None:
    told = [*RECORDS[:2], attrs.evolve(RECORDS[2], ref=5), *RECORDS[3:]]
    evidence, account = truth(played(told))
    for records in (account.records, evidence.devices[0].records, evidence.devices[1].records):
        changed(records, 3, ref=5)
    (line,) = judge(evidence, account).reordered
    assert line.startswith("room: answers what comes later: ")


@pytest.mark.parametrize("change", [{"content": "you"}, {"ts": 1}, {"sender": ANN}, {"ref": None}, {"rev": 8}])
def test_p4_an_entry_with_other_content_differs(change: dict[str, object]) -> None:
    evidence, account = truth()
    changed(account.records, 5, **change)
    assert "differences" in counts(judge(evidence, account))


def test_p5_a_device_that_lacks_an_entry_lost_it() -> None:
    evidence, account = truth()
    evidence.devices[1] = device(ANN, "ann", 2, 3, 4, 6, 7, 8)
    (line,) = judge(evidence, account).lost
    assert line.startswith("room: lacks: ann at 77/8: Record(seq=5, ")


def test_p5_a_device_that_holds_something_else_differs() -> None:
    evidence, account = truth()
    changed(evidence.devices[1].records, 6, content="LOL")
    differences = judge(evidence, account).differences
    assert any(line.startswith("room: one order: ann has Entry(conv=77, seq=6, ") for line in differences)


def test_p1_what_the_server_forgot_is_lost_once() -> None:
    """Those who still hold it are no second finding; what was never promised is one."""
    evidence, account = truth(played(marked=dict.fromkeys(READ, 7)))
    del account.records[8]
    account.head, account.marks = 7, {ANN: (7, 7), OWNER: (7, 7)}
    evidence.devices = [attrs.evolve(each, read={ANN: 7, OWNER: 7}) for each in evidence.devices]
    assert counts(judge(evidence, account)) == {"lost": 1}


def test_p2_what_a_device_alone_holds_is_a_double() -> None:
    evidence, account = truth()
    evidence.devices[1].records[9] = attrs.evolve(RECORDS[7], seq=9, rev=9)  # type: ignore[index]
    assert any(line.startswith("room: shown and gone: ") for line in judge(evidence, account).duplicated)


def test_p9_a_former_member_with_a_later_entry_differs() -> None:
    evidence, account = truth()
    evidence.devices[2] = device(BOB, "bob", 4, 5, 6, 7, 8)
    assert len(judge(evidence, account).differences) == 1


def test_p7_a_watermark_that_is_not_the_promised_one_differs() -> None:
    evidence, account = truth()
    account.marks[ANN] = (8, 7)
    (line,) = judge(evidence, account).differences
    assert line.startswith("room: behind in receipts: the server: user 2 in 77: ")


def test_p7_a_device_that_heard_of_no_watermark_differs() -> None:
    evidence, account = truth()
    evidence.devices[1] = device(ANN, "ann", *range(2, 9), read={ANN: 8})
    (line,) = judge(evidence, account).differences
    assert line.startswith("room: behind in receipts: ann: user 1 in 77: ")


def test_p7_who_left_is_told_no_more() -> None:
    """Not even when his leaving is the newest entry."""
    read = {ANN: 7, OWNER: 7}
    evidence, account = truth(played(RECORDS[:7], read))
    del account.records[8]
    account.head, account.marks = 7, {ANN: (7, 7), OWNER: (7, 7)}
    evidence.devices = [
        device(OWNER, "owner", *range(1, 8), read=read),
        device(ANN, "ann", *range(2, 8), read=read),
        device(BOB, "bob", 4, 5, 6, 7, read={}),
    ]
    verdict = judge(evidence, account)
    assert verdict.clean, verdict


@pytest.mark.parametrize(("delivered", "found"), [(0, 0), (7, 1)])
def test_p7_read_but_not_delivered_differs(delivered: int, found: int) -> None:
    """Zero means that the group keeps no delivered watermark."""
    evidence, account = truth()
    account.marks = {ANN: (delivered, 8), OWNER: (delivered and 8, 8)}
    assert len(judge(evidence, account).differences) == found


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
    spoil(account, kind)
    assert where in counts(judge(evidence, account))

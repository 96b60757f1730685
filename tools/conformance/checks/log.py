"""Section 9: the log, its fold, who sees what, deleting."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from functools import partial

from ..catalogue import check
from ..fold import Fields, Records, fold, plain
from ..lab import Lab
from ..person import DELETE, EDIT, Person, cid, entry, msg, reaction
from ..verdict import Failed, require, same


@check("9.1", "9-1")
def seqs_have_no_hole_and_no_repeat(lab: Lab) -> None:
    """A thousand messages, pipelined: 2, 3, 4 … in the order in which they were sent."""
    alice = lab.person()
    conv = alice.new_group()
    depth = min(alice.welcome["limits"]["inflight"], 50)
    seqs: list[int] = []
    for start in range(0, 1000, depth):
        rids = alice.flight(*[("SEND", msg(conv, str(start + n))) for n in range(min(depth, 1000 - start))])
        seqs += [alice.answer(rid).fields.get("seq", 0) for rid in rids]
    same(seqs, list(range(2, 1002)), "seqs")


@check("9.1", "9-1", "9-2", level="L1")
def every_member_sees_the_same_log(lab: Lab) -> None:
    """Six people write at once: seqs are dense, and everybody reads the same entries in the same places."""
    people = lab.people(6, window=1024)
    conv = people[0].new_group(*people[1:])
    problems = _at_once([partial(_say_twenty, each, conv) for each in people])
    same(problems, [], "problems while writing")
    logs = [{seq: _shared(record) for seq, record in each.records(conv).items()} for each in people]
    same(sorted(logs[0]), list(range(1, 122)), "seqs")
    for each, log in zip(people[1:], logs[1:], strict=True):
        require(log == logs[0], f"{each.who} reads what {people[0].who} reads", "something else")
    times = [logs[0][seq]["ts"] for seq in sorted(logs[0])]
    require(times == sorted(times), "ts that never decreases with seq", times)


def _say_twenty(who: Person, conv: int) -> None:
    for n in range(20):
        who.say(conv, f"{who.who} {n}")


def _shared(record: Fields) -> Fields:
    """A record without the cid, which only its sender is told."""
    return {name: value for name, value in record.items() if name != "cid"}


def _at_once(jobs: list[Callable[[], object]]) -> list[str]:
    problems: list[str] = []

    def work(job: Callable[[], object]) -> None:
        try:
            job()
        except Failed as failure:
            problems.append(str(failure))

    threads = [threading.Thread(target=work, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return problems


@check("9.1", "9-1", "9-2")
def an_event_tells_what_was_sent(lab: Lab) -> None:
    """Conversation, seq, ts, sender, kind, content and ref as they were sent and answered; no cid of another."""
    alice, bob = lab.people(2)
    conv = alice.new_direct(bob)
    first = alice.say(conv, "first")
    bob.expect("EVENT", seq=first)
    sent = alice.ask("SEND", **msg(conv, "second", ref=first))
    event = bob.expect("EVENT", conv=conv, seq=sent["seq"])
    told = tuple(event[name] for name in ("ts", "sender", "kind", "content", "ref", "cid"))
    same(told, (sent["ts"], alice.user, 1, {"type": 1, "data": "second"}, first, None), "ts, sender, kind …")


def _busy(lab: Lab, alice: Person, bob: Person, conv: int) -> None:
    """Sixty entries of both that change each other's messages."""
    draw = random.Random(9)
    texts = [alice.say(conv, "start")]
    mine = list(texts)
    for number in range(60):
        match draw.choice(("say", "say", "edit", "react", "back", "delete")):
            case "say":
                texts.append(
                    (alice if number % 2 else bob).say(conv, f"text {number}", ref=draw.choice([None, *texts]))
                )
                mine += [texts[-1]] if number % 2 else []
            case "edit":
                _tried(alice, conv, EDIT, draw.choice(mine), f"edit {number}")
            case "delete":
                if number % 3 == 0:
                    _tried(alice, conv, DELETE, draw.choice(mine), None)
            case "react":
                _reacted(draw.choice((alice, bob)), conv, draw.choice(texts), draw.choice("👍👎🎉"))
            case _:
                _reacted(bob, conv, draw.choice(texts), None)


def _tried(who: Person, conv: int, kind: int, ref: int, text: str | None) -> None:
    answer = who.answer(who.request("SEND", **entry(conv, kind, ref, text)))
    require(answer.name == "SEND_OK" or answer["code"] == 4004, "SEND_OK or ERROR 4004", answer.fields)


def _reacted(who: Person, conv: int, ref: int, emoji: str | None) -> None:
    answer = who.answer(who.request("SEND", **reaction(conv, ref, emoji)))
    require(answer.name == "SEND_OK" or answer["code"] == 4004, "SEND_OK or ERROR 4004", answer.fields)


@check("9.2", "9-3", "12-19", level="L1")
def records_are_the_fold_of_the_events(lab: Lab) -> None:
    """Messages, edits, deletes, reactions: who folds the EVENTs has what CHANGES and HISTORY tell."""
    alice, bob = lab.people(2)
    carol = lab.person(window=1024)
    conv = alice.new_group(bob)
    alice.add(conv, carol)
    _busy(lab, alice, bob, conv)
    head = alice.history(conv, limit=1)["rev"]
    folded: Records = {}
    for seq in range(2, head + 1):
        fold(folded, carol.expect("EVENT", conv=conv, seq=seq).fields)
    for told in (carol.records(conv), {record["seq"]: record for record in _whole_history(carol, conv)}):
        same(sorted(told), sorted(folded), "seqs of the records")
        for seq, record in told.items():
            same(plain(record), plain(folded[seq]), f"record {seq}")


def _whole_history(who: Person, conv: int) -> list[Fields]:
    page = who.history(conv, limit=7)
    records = list(page["records"])
    while page["lo"] > 1:
        before = page["lo"]
        page = who.history(conv, before - 1, 7)
        require(page["lo"] < before, "each page of HISTORY below the one before", page["lo"])
        records = page["records"] + records
    return records


@check("9.2", "9-5", level="L1")
def a_user_has_one_reaction_on_a_message(lab: Lab) -> None:
    """A new one replaces it, nil takes it back, and both have a seq of their own."""
    alice, bob = lab.people(2)
    conv = alice.new_direct(bob)
    seq = alice.say(conv)
    bob.react(conv, seq, "👍")
    last = bob.react(conv, seq, "🎉")
    record = alice.records(conv)[seq]
    same((record["reactions"], record["rev"]), ([{"user": bob.user, "emoji": "🎉"}], last), "reactions and rev")
    bob.react(conv, seq, None)
    same(alice.records(conv)[seq]["reactions"] or [], [], "reactions")


@check("9.3", "9-7", "9-8", level="L2")
def members_see_from_their_join_on(lab: Lab) -> None:
    """The ADD entry is the first; what was before is nowhere: HISTORY, CHANGES, replies to it, reactions on it."""
    alice, bob = lab.people(2)
    conv = alice.new_group()
    before = alice.say(conv, "before")
    added = alice.add(conv, bob)
    bob.expect("EVENT", conv=conv, seq=added, kind=7)
    after = alice.say(conv, "after")
    same(sorted(bob.records(conv)), [added, after], "seqs of CHANGES")
    same([record["seq"] for record in bob.history(conv)["records"]], [added, after], "seqs of HISTORY")
    bob.refused("SEND", 4000, **msg(conv, "re", ref=before))
    bob.refused("SEND", 4000, **reaction(conv, before, "👍"))
    bob.refused("WHO_READ", 4000, conv=conv, seq=before)


def _left(lab: Lab) -> tuple[Person, Person, int, int, int]:
    """Alice, Bob who was removed, the conversation, a message he saw, and his REMOVE."""
    alice, bob = lab.people(2)
    conv = alice.new_group(bob)
    seen = alice.say(conv, "seen")
    alice.say(conv, "also seen")
    left = alice.remove(conv, bob)
    bob.expect("EVENT", conv=conv, seq=left, kind=8)
    bob.seen.clear()
    return alice, bob, conv, seen, left


@check("9.3", "9-9", "9-11", level="L2")
def former_members_keep_what_they_saw(lab: Lab) -> None:
    """The log ends with their REMOVE: no later entry, no head above it, role 0."""
    alice, bob, conv, seen, left = _left(lab)
    alice.say(conv, "unseen")
    bob.quiet()
    page = bob.changes(conv)
    same(page["upto"], left, "upto")
    same(sorted(record["seq"] for record in page["records"]), [1, seen, seen + 1, left], "seqs")
    told = bob.history(conv)
    same((told["hi"], told["rev"]), (left, left), "hi and rev")
    same((bob.info(conv)["role"], bob.info(conv)["members"]), (0, 0), "role and members")


@check("9.3", "9-9", level="L2")
def records_changed_later_are_withheld(lab: Lab) -> None:
    """A message edited after he left is not told to a former member, neither its old nor its new text."""
    alice, bob, conv, seen, left = _left(lab)
    alice.edit(conv, seen, "changed")
    alice.delete(conv, seen + 1)
    same(sorted(bob.records(conv)), [1, left], "seqs of CHANGES")
    same([record["seq"] for record in bob.history(conv)["records"]], [1, left], "seqs of HISTORY")


@check("9.3", "9-9", "13-9", level="L2")
def former_members_get_no_receipts(lab: Lab) -> None:
    """No RECEIPT, rrev 0 in the row with state 1, and MARKS is empty with upto = since."""
    alice, bob, conv, seen, left = _left(lab)
    alice.ask("MARK", conv=conv, seq=seen)
    bob.quiet(1.5, ("RECEIPT", "EVENT"))
    page = bob.ask("MARKS", conv=conv, since=3)
    same((page["marks"], page["upto"], page["more"]), ([], 3, False), "marks, upto and more")
    row = next((row for row in lab.again(bob).sync() if row["conv"] == conv), None)
    require(row is not None, "a row of the conversation", row)
    assert row is not None
    same((row["head"], row["rrev"], row["state"]), (left, 0, 1), "head, rrev and state")


@check("9.3", "9-8", "9-9", level="L2")
def who_comes_back_has_one_more_period(lab: Lab) -> None:
    """What was written in between stays void for him; what he saw before is told again in its latest state."""
    alice, bob, conv, seen, left = _left(lab)
    between = alice.say(conv, "between")
    alice.edit(conv, seen, "changed")
    back = alice.add(conv, bob)
    bob.expect("EVENT", conv=conv, seq=back)
    later = alice.say(conv, "later")
    records = bob.records(conv)
    same(sorted(records), [1, seen, seen + 1, left, back, later], f"seqs without {between}")
    same(records[seen]["content"]["data"], "changed", "text")


REQUESTS: list[tuple[str, Callable[[int], Fields]]] = [
    ("SEND", lambda conv: msg(conv)),
    ("SEND", lambda conv: entry(conv, DELETE, 1)),
    ("CHANGES", lambda conv: {"conv": conv, "since": 0}),
    ("HISTORY", lambda conv: {"conv": conv}),
    ("MARK", lambda conv: {"conv": conv, "seq": 1}),
    ("MARKS", lambda conv: {"conv": conv, "since": 0}),
    ("WHO_READ", lambda conv: {"conv": conv, "seq": 1}),
    ("MEMBERS", lambda conv: {"conv": conv}),
    ("MEMBER_ADD", lambda conv: {"conv": conv, "cid": cid(), "users": [1]}),
    ("MEMBER_DEL", lambda conv: {"conv": conv, "cid": cid(), "user": 1}),
]


@check("9.3", "9-10", level="L2")
def outsiders_learn_nothing(lab: Lab) -> None:
    """A conversation one was never in answers to the last byte as one that does not exist (P9)."""
    alice, eve = lab.people(2)
    conv = alice.new_group()
    missing = conv ^ 1
    for name, fields in REQUESTS:
        answers = []
        for where in (conv, missing):
            error = eve.refused(name, 4002, **fields(where))
            answers.append({**error.fields, "rid": None})
        same(answers[0], answers[1], f"answer to {name}")
    same(eve.ask("CONV_GET", convs=[conv, missing])["infos"], [], "descriptions")


@check("9.3", "9-10", level="L1")
def nothing_is_pushed_to_outsiders(lab: Lab) -> None:
    """Neither entries nor rows of a conversation one was never in."""
    alice, bob, eve = lab.people(3)
    conv = alice.new_group(bob)
    alice.say(conv)
    eve.quiet(1.3, ("EVENT", "ROWS", "RECEIPT"))
    same([row for row in lab.again(eve).sync() if row["conv"] == conv], [], "rows")


@check("9.4", "9-12", level="L1")
def what_was_deleted_is_gone(lab: Lab) -> None:
    """A second after the delete no request yields the text, or that of an edit, to anybody (P8)."""
    alice, bob = lab.people(2)
    conv = alice.new_direct(bob)
    seq = alice.say(conv, "secret one")
    alice.edit(conv, seq, "secret two")
    bob.react(conv, seq, "👍")
    gone = alice.delete(conv, seq)
    time.sleep(1.0)
    for person in (alice, bob):
        fresh = lab.live_again(person)
        del fresh.received[:]
        record = fresh.records(conv)[seq]
        same((record["content"], record["reactions"] or [], record["edited"]), (None, [], None), "what is left")
        same(record["rev"], gone, "rev")
        fresh.history(conv)
        fresh.changes(conv, 1)
        told = b"".join(fresh.received)
        require(b"secret" not in told, "no byte of the text", told)


@check("9.4", "9-12", "11-6", level="L1")
def what_was_deleted_does_not_change_any_more(lab: Lab) -> None:
    """EDIT, REACT and a second DELETE: ERROR 4004. A reply may still refer to it."""
    alice = lab.person()
    conv = alice.new_group()
    seq = alice.say(conv)
    alice.delete(conv, seq)
    alice.refused("SEND", 4004, **entry(conv, EDIT, seq, "again"))
    alice.refused("SEND", 4004, **entry(conv, DELETE, seq))
    alice.refused("SEND", 4004, **reaction(conv, seq, "👍"))
    alice.say(conv, "what was it?", ref=seq)


@check("9.4", "9-13", level="L1")
def the_cid_of_a_deleted_message_stays_known(lab: Lab) -> None:
    """Sending it again is a repetition; with another text it is ERROR 3004."""
    alice = lab.person()
    conv = alice.new_group()
    fields = msg(conv, "gone soon")
    seq = alice.ask("SEND", **fields)["seq"]
    alice.delete(conv, seq)
    again = alice.ask("SEND", **fields)
    same((again["seq"], again["dup"]), (seq, True), "seq and dup")
    alice.refused("SEND", 3004, **{**fields, "content": {"type": 1, "data": "other"}})

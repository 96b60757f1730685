"""Section 11, what the first release has: cids, what a SEND contains, the order of checks, what SEND_OK means."""

from __future__ import annotations

from typing import Any

from ..catalogue import check
from ..lab import Lab
from ..person import DELETE, EDIT, MSG, REACT, cid, entry, msg, reaction
from ..verdict import same

NOBODY_KNOWS = 1


@check("11.1", "11-2", "11-3")
def a_hundred_attempts_make_one_entry(lab: Lab) -> None:
    """The same SEND ten times in one flight, over ten connections: one entry, the same answer every time (P2)."""
    alice = lab.person()
    conv = alice.new_group()
    fields = msg(conv, "once")
    answers = []
    for _ in range(10):
        alice = lab.again(alice)
        answers += [alice.answer(rid) for rid in alice.flight(*[("SEND", fields)] * 10)]
    same({(each["seq"], each["ts"]) for each in answers}, {(2, answers[0]["ts"])}, "seq and ts of all answers")
    same([each["dup"] for each in answers], [False] + [True] * 99, "dup of all answers")
    same(sorted(alice.records(conv)), [1, 2], "seqs in the log")


@check("11.1", "11-3")
def a_repetition_is_answered_as_the_first_time(lab: Lab) -> None:
    """Message, reply, edit, reaction, delete: the same seq and ts, dup, and nobody hears of it again."""
    alice, bob = lab.people(2)
    conv = alice.new_direct(bob)
    target = alice.say(conv)
    requests = [
        msg(conv, "re", ref=target),
        entry(conv, EDIT, target, "hello!"),
        reaction(conv, target, "👍"),
        reaction(conv, target, None),
        entry(conv, DELETE, target),
    ]
    first = [alice.ask("SEND", **fields) for fields in requests]
    bob.expect("EVENT", conv=conv, seq=first[-1]["seq"])
    again = [alice.ask("SEND", **fields) for fields in requests]
    same([(each["seq"], each["ts"], each["dup"]) for each in again], [(e["seq"], e["ts"], True) for e in first], "all")
    del bob.seen[:]
    bob.quiet()


@check("11.1", "11-3", level="L2")
def lists_of_users_are_sets(lab: Lab) -> None:
    """MEMBER_ADD with the same users in another order, some twice, is the same request."""
    alice, bob, carol = lab.people(3)
    conv, fresh = alice.new_group(), cid()
    first = alice.ask("MEMBER_ADD", conv=conv, cid=fresh, users=[bob.user, carol.user])
    again = alice.ask("MEMBER_ADD", conv=conv, cid=fresh, users=[carol.user, bob.user, carol.user])
    same((again["seq"], again["dup"]), (first["seq"], True), "seq and dup")


@check("11.1", "11-4")
def a_cid_with_other_content_is_refused(lab: Lab) -> None:
    """Another text, kind, ref or content type: ERROR 3004, and nothing is changed."""
    alice = lab.person()
    conv = alice.new_group()
    target = alice.say(conv)
    fields = msg(conv, "one")
    seq = alice.ask("SEND", **fields)["seq"]
    for change in (
        {"content": {"type": 1, "data": "two"}},
        {"ref": target},
        {"kind": DELETE, "content": None, "ref": target},
        {"kind": REACT, "content": {"type": 2, "data": "one"}, "ref": target},
    ):
        alice.refused("SEND", 3004, **{**fields, **change})
    same(alice.history(conv)["rev"], seq, "rev")


@check("11.1", "11-2", level="L2")
def a_cid_counts_across_requests(lab: Lab) -> None:
    """SEND, MEMBER_ADD, MEMBER_DEL and the CONV_NEW that made the conversation share the cids of a sender."""
    alice, bob = lab.people(2)
    creation, said = cid(), cid()
    conv = alice.ask("CONV_NEW", cid=creation, kind=2, members=[bob.user])["conv"]
    alice.ask("SEND", **msg(conv, "hello", cid=said))
    alice.refused("MEMBER_DEL", 3004, conv=conv, cid=said, user=bob.user)
    alice.refused("MEMBER_ADD", 3004, conv=conv, cid=said, users=[bob.user])
    alice.refused("SEND", 3004, **msg(conv, "hello", cid=creation))


@check("11.1", "11-2")
def a_cid_is_known_by_sender_and_conversation(lab: Lab) -> None:
    """The same cid of another sender, or in another conversation, is another matter."""
    alice, bob = lab.people(2)
    one, two, fresh = alice.new_group(bob), alice.new_group(bob), cid()
    for who, conv in ((alice, one), (bob, one), (alice, two)):
        same(who.ask("SEND", **msg(conv, "hello", cid=fresh))["dup"], False, f"dup for {who.who}")


@check("11.1", "11-5")
def a_refused_request_does_not_use_up_its_cid(lab: Lab) -> None:
    """After 3000, 3003 and 4000 the cid makes an entry."""
    alice = lab.person()
    conv, fresh = alice.new_group(), cid()
    alice.refused("SEND", 3000, **msg(conv, "", cid=fresh))
    alice.refused("SEND", 3003, **msg(conv, "x" * (alice.welcome["limits"]["text_bytes"] + 1), cid=fresh))
    alice.refused("SEND", 4000, **msg(conv, "re", cid=fresh, ref=99))
    same(alice.ask("SEND", **msg(conv, "right", cid=fresh))["dup"], False, "dup")


@check("11.2", "11-6")
def texts_of_every_size(lab: Lab) -> None:
    """One byte, and text_bytes; none is ERROR 3000, one more than text_bytes 3003, in bytes of UTF-8."""
    alice = lab.person()
    conv = alice.new_group()
    most = alice.welcome["limits"]["text_bytes"]
    for text in ("x", "x" * most, "ä" * (most // 2)):
        seq = alice.say(conv, text)
        same(
            alice.records(conv)[seq]["content"]["data"] == text, True, f"text of {len(text.encode())} bytes comes back"
        )
    alice.refused("SEND", 3000, **msg(conv, ""))
    alice.refused("SEND", 3003, **msg(conv, "x" * (most + 1)))
    alice.refused("SEND", 3003, **msg(conv, "ä" * (most // 2 + 1)))


@check("11.2", "11-6")
def what_does_not_go_together(lab: Lab) -> None:
    """A MSG without content, an EDIT without ref, a DELETE with content, a reaction that is text …: ERROR 3000."""
    alice = lab.person()
    conv = alice.new_group()
    seq = alice.say(conv)
    text, emoji = {"type": 1, "data": "x"}, {"type": 2, "data": "👍"}
    wrong: list[dict[str, Any]] = [
        {"kind": MSG},
        {"kind": MSG, "content": emoji},
        {"kind": MSG, "content": {"type": 1, "data": b"bytes"}},
        {"kind": EDIT, "content": text},
        {"kind": EDIT, "ref": seq},
        {"kind": EDIT, "ref": seq, "content": emoji},
        {"kind": DELETE},
        {"kind": DELETE, "ref": seq, "content": text},
        {"kind": REACT, "content": emoji},
        {"kind": REACT, "ref": seq, "content": text},
        {"kind": REACT, "ref": seq, "content": {"type": 2, "data": ""}},
        {"kind": REACT, "ref": seq, "content": {"type": 2, "data": "x" * 65}},
        {"kind": 0, "content": text},
        {"kind": 6},
        {"kind": 7},
        {"kind": 8},
    ]
    for fields in wrong:
        alice.refused("SEND", 3000, conv=conv, cid=cid(), **fields)
    same(alice.history(conv)["rev"], seq, "rev")


@check("11.2", "11-6")
def what_refers_to_no_message(lab: Lab) -> None:
    """A ref to nothing, to the CREATE, to an edit: ERROR 4000."""
    alice = lab.person()
    conv = alice.new_group()
    seq = alice.say(conv)
    edit = alice.edit(conv, seq, "new")
    for ref in (edit + 5, 1, edit, 0):
        alice.refused("SEND", 4000, 3000, **msg(conv, "re", ref=ref))
        alice.refused("SEND", 4000, 3000, **entry(conv, EDIT, ref, "new"))
        alice.refused("SEND", 4000, 3000, **entry(conv, DELETE, ref))
        alice.refused("SEND", 4000, 3000, **reaction(conv, ref, "👍"))


@check("11.2", "11-6")
def taking_back_what_is_not_there(lab: Lab) -> None:
    """A reaction that was never given is taken back: an entry all the same."""
    alice = lab.person()
    conv = alice.new_group()
    seq = alice.say(conv)
    same(alice.react(conv, seq, None), seq + 1, "seq")


@check("11.3", "11-8")
def the_conversation_comes_after_how_fields_go_together(lab: Lab) -> None:
    """In a conversation that does not exist: 3000 for what does not go together, 4002 for what does."""
    alice = lab.person(sync=False)
    alice.refused("SEND", 3000, conv=NOBODY_KNOWS, cid=cid(), kind=MSG)
    alice.refused("SEND", 4002, **msg(NOBODY_KNOWS, "x", ref=7))


@check("11.3", "11-8", level="L2")
def the_cid_comes_before_the_right(lab: Lab) -> None:
    """A repetition is answered as the first time though its sender was removed since; other content is 3004."""
    alice, bob = lab.people(2)
    conv = alice.new_group(bob)
    fields = msg(conv, "hello")
    seq = bob.ask("SEND", **fields)["seq"]
    alice.remove(conv, bob)
    again = bob.ask("SEND", **fields)
    same((again["seq"], again["dup"]), (seq, True), "seq and dup")
    bob.refused("SEND", 3004, **{**fields, "content": {"type": 1, "data": "other"}})
    bob.refused("SEND", 4001, **msg(conv, "hello"))


@check("11.3", "11-8", level="L2")
def the_right_comes_before_the_message(lab: Lab) -> None:
    """A former member is told 4001 whether the message he refers to exists or not."""
    alice, bob = lab.people(2)
    conv = alice.new_group(bob)
    seq = alice.say(conv)
    alice.remove(conv, bob)
    for ref in (seq, 99):
        bob.refused("SEND", 4001, **entry(conv, DELETE, ref))


@check("11.4", "11-10")
def the_sender_gets_the_reply_instead_of_the_event(lab: Lab) -> None:
    """On the connection that sent it; the other member gets one EVENT."""
    alice, bob = lab.people(2)
    conv = alice.new_direct(bob)
    sent = alice.ask("SEND", **msg(conv))
    bob.expect("EVENT", conv=conv, seq=sent["seq"])
    alice.quiet()
    bob.quiet()


@check("11.4", "11-10", level="L1")
def the_senders_other_device_gets_the_event_with_the_cid(lab: Lab) -> None:
    """For SEND and for CONV_NEW; strangers to the cid are not told it."""
    alice, bob = lab.person(password=True), lab.person()
    laptop = lab.other_device(alice)
    made = cid()
    conv = alice.ask("CONV_NEW", cid=made, kind=2, members=[bob.user])["conv"]
    same(laptop.expect("EVENT", conv=conv, seq=1)["cid"], made, "cid of the CREATE")
    fields = msg(conv)
    alice.ask("SEND", **fields)
    same(laptop.expect("EVENT", conv=conv, seq=2)["cid"], fields["cid"], "cid")
    same(bob.expect("EVENT", conv=conv, seq=2)["cid"], None, "cid that bob is told")
    same(laptop.records(conv)[2]["cid"], fields["cid"], "cid of the record")
    same(bob.records(conv)[2]["cid"], None, "cid of bob's record")


@check("11.4", "11-9")
def what_was_acknowledged_is_there_at_once(lab: Lab) -> None:
    """After SEND_OK another connection of the sender, opened later, reads the entry."""
    alice = lab.person()
    conv = alice.new_group()
    seq = alice.say(conv, "kept")
    fresh = lab.again(alice)
    same(fresh.records(conv)[seq]["content"]["data"], "kept", "text")

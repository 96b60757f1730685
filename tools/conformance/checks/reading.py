"""What the second release adds to messages: pins (9.5), forwards and mentions (11.2), single records (12.7), counts of
what is unread (13.3).
"""

from __future__ import annotations

import time
from typing import Any

from ..catalogue import check
from ..lab import Lab
from ..person import DELETE, EDIT, PIN, REACT, UNPIN, Person, cid, entry, msg
from ..verdict import require, same
from .conversations import unknown_user

PINS_CAPABILITY = 12
PROBES: dict[str, dict[str, Any]] = {"UNREAD": {"convs": []}, "RECORDS": {"conv": 1, "seqs": [1]}}


def offered(who: Person, name: str) -> None:
    """Raises Skipped where the server does not know this request."""
    who.skip_unless_offered(name, **PROBES.get(name, {"conv": 1}))


# pins


def pin(who: Person, conv: int, ref: int, kind: int = PIN) -> int:
    """PIN or UNPIN; its seq."""
    return int(who.ask("SEND", **entry(conv, kind, ref))["seq"])


@check("9.5", "9-14", "12-32", level="L1")
def a_pin_stands_in_the_record_and_in_the_list(lab: Lab) -> None:
    """`pinned` is the seq of the PIN; PINS tells who and when, the last one first; UNPIN takes it back."""
    alice, bob = lab.people(2)
    offered(alice, "PINS")
    conv = alice.new_direct(bob)
    one, two = alice.say(conv, "one"), alice.say(conv, "two")
    pins = [pin(alice, conv, one), pin(bob, conv, two)]
    same(bob.records(conv)[one]["pinned"], pins[0], "pinned")
    told = [(each["seq"], each["pinned"], each["user"]) for each in alice.ask("PINS", conv=conv)["pins"]]
    same(told, [(two, pins[1], bob.user), (one, pins[0], alice.user)], "pins")
    pin(alice, conv, two, UNPIN)
    same(bob.records(conv)[two]["pinned"], None, "pinned after UNPIN by another")
    same([each["seq"] for each in bob.ask("PINS", conv=conv)["pins"]], [one], "pins")


@check("9.5", "9-14", "9-16", level="L1")
def what_pin_refuses(lab: Lab) -> None:
    """Pinned already, not pinned: 4005; no message: 4000; deleted: 4004; content or no ref: 3000."""
    alice = lab.person()
    offered(alice, "PINS")
    conv = alice.new_group()
    seq, gone = alice.say(conv), alice.say(conv)
    alice.delete(conv, gone)
    alice.refused("SEND", 4005, **entry(conv, UNPIN, seq))
    pin(alice, conv, seq)
    alice.refused("SEND", 4005, **entry(conv, PIN, seq))
    for kind in (PIN, UNPIN):
        alice.refused("SEND", 4000, **entry(conv, kind, 1))
        alice.refused("SEND", 4004, **entry(conv, kind, gone))
        alice.refused("SEND", 3000, **entry(conv, kind, None))
        alice.refused("SEND", 3000, **entry(conv, kind, seq, "text"))


@check("9.5", "9-15", level="L2")
def in_a_group_moderators_pin(lab: Lab) -> None:
    """A plain member is ERROR 4001, and 4000 for a message that he does not see."""
    alice, bob = lab.people(2)
    offered(alice, "PINS")
    conv = alice.new_group()
    unseen = alice.say(conv)
    alice.add(conv, bob)
    seq = alice.say(conv)
    bob.refused("SEND", 4001, **entry(conv, PIN, seq))
    bob.refused("SEND", 4000, **entry(conv, PIN, unseen))
    pin(alice, conv, seq)
    bob.refused("SEND", 4001, **entry(conv, UNPIN, seq))


@check("9.5", "9-14", level="L1")
def an_edit_leaves_it_pinned_and_a_delete_does_not(lab: Lab) -> None:
    """DELETE unpins without an entry of its own."""
    alice = lab.person()
    offered(alice, "PINS")
    conv = alice.new_group()
    seq = alice.say(conv)
    pinned = pin(alice, conv, seq)
    alice.edit(conv, seq, "edited")
    same(alice.records(conv)[seq]["pinned"], pinned, "pinned after the edit")
    gone = alice.delete(conv, seq)
    same(alice.records(conv)[seq]["pinned"], None, "pinned after the delete")
    same((alice.ask("PINS", conv=conv)["pins"], alice.history(conv)["rev"]), ([], gone), "pins and rev")


@check("9.5", "9-17", "6-4", level="L1")
def pins_are_pushed_with_their_capability_only(lab: Lab) -> None:
    """With PINS an EVENT of kind 5; without it ROWS with the new head in its place."""
    alice, bob = lab.person("alice"), lab.person("bob")
    offered(alice, "PINS")
    able = lab.live_again(bob, caps=(PINS_CAPABILITY,))
    conv = alice.new_direct(able)
    seq = alice.say(conv)
    pinned = pin(alice, conv, seq)
    event = able.expect("EVENT", conv=conv, seq=pinned)
    same((event["kind"], event["ref"]), (PIN, seq), "kind and ref")
    plain = lab.live_again(able)
    unpinned = pin(alice, conv, seq, UNPIN)
    rows = {row["conv"]: row["head"] for row in plain.expect("ROWS")["rows"]}
    same(rows.get(conv), unpinned, "head in the row")
    plain.quiet(0.3, ("EVENT",))


# forwards


@check("11.2", "11-16", "11-17", "11-18", level="L1")
def a_forward_copies_the_text_and_names_its_author(lab: Lab) -> None:
    """The latest edit of the source; `origin` tells who and when, not where; a forward of a forward keeps it."""
    alice, bob, carol = lab.people(3)
    offered(alice, "PINS")
    source, target = alice.new_direct(bob), bob.new_direct(carol)
    seq = alice.say(source, "first")
    alice.edit(source, seq, "second")
    ts = alice.records(source)[seq]["ts"]
    sent = bob.ask("SEND", **forward(target, source, seq))
    event = carol.expect("EVENT", conv=target, seq=sent["seq"])
    origin = {"user": alice.user, "ts": ts}
    same((event["content"], event["origin"]), ({"type": 1, "data": "second"}, origin), "content and origin")
    notes = carol.new_group()
    again = carol.ask("SEND", **forward(notes, target, sent["seq"]))["seq"]
    record = carol.records(notes)[again]
    same((record["content"]["data"], record["origin"]), ("second", origin), "text and origin of the second forward")
    alice.delete(source, seq)
    same(carol.records(target)[sent["seq"]]["content"]["data"], "second", "text after the source was deleted")


def forward(conv: int, source: int, seq: int) -> dict[str, Any]:
    """The fields of SEND for a forward."""
    return {"conv": conv, "cid": cid(), "kind": 1, "forward": {"conv": source, "seq": seq}}


@check("11.2", "11-16", level="L1")
def what_a_forward_refuses(lab: Lab) -> None:
    """A source one does not see, in any conversation there is or is not: 4000; a deleted one 4004; content beside it
    3000; a target one was never in 4002."""
    alice, bob = lab.people(2)
    offered(alice, "PINS")
    foreign, target = alice.new_group(), bob.new_group()
    seq, own, gone = alice.say(foreign), bob.say(target), bob.say(target)
    bob.delete(target, gone)
    for source, ref in ((foreign, seq), (foreign ^ 1, 2), (target, 99), (target, 1)):
        bob.refused("SEND", 4000, **forward(target, source, ref))
    bob.refused("SEND", 4004, **forward(target, target, gone))
    bob.refused("SEND", 4002, **forward(foreign, target, own))
    text = {"type": 1, "data": "x"}
    bob.refused("SEND", 3000, **{**forward(target, target, own), "content": text})
    bob.refused("SEND", 3000, **{**forward(target, target, own), "mentions": [bob.user]})
    bob.refused("SEND", 3000, **{**forward(target, target, own), "kind": REACT, "ref": own})


@check("11.2", "11-16", "11-3", level="L1")
def a_forward_repeated_is_the_first_one(lab: Lab) -> None:
    """Though the source was edited or deleted since; with another source it is ERROR 3004."""
    alice = lab.person()
    offered(alice, "PINS")
    conv = alice.new_group()
    seq, other = alice.say(conv, "one"), alice.say(conv, "other")
    fields = forward(conv, conv, seq)
    first = alice.ask("SEND", **fields)
    alice.delete(conv, seq)
    again = alice.ask("SEND", **fields)
    same((again["seq"], again["dup"]), (first["seq"], True), "seq and dup")
    alice.refused("SEND", 3004, **{**fields, "forward": {"conv": conv, "seq": other}})


@check("11.2", "11-17", level="L1")
def an_edited_forward_is_ones_own(lab: Lab) -> None:
    """After an edit by its sender `origin` is gone."""
    alice, bob = lab.people(2)
    offered(alice, "PINS")
    conv = alice.new_direct(bob)
    seq = alice.ask("SEND", **forward(conv, conv, bob.say(conv, "his")))["seq"]
    alice.edit(conv, seq, "mine")
    record = bob.records(conv)[seq]
    same((record["content"]["data"], record["origin"]), ("mine", None), "text and origin")


# mentions


@check("11.2", "11-19", level="L1")
def mentions_come_back_in_their_order(lab: Lab) -> None:
    """As `users` of entry and record, of strangers too; an EDIT replaces them, and takes them away when it has none."""
    alice, bob = lab.people(2)
    offered(alice, "MENTIONS")
    conv = alice.new_direct(bob)
    users = [bob.user, unknown_user(), alice.user]
    seq = alice.say(conv, "you", mentions=users)
    same(bob.expect("EVENT", conv=conv, seq=seq)["users"], users, "users of the EVENT")
    same(bob.records(conv)[seq]["users"], users, "users of the record")
    alice.ask("SEND", **entry(conv, EDIT, seq, "only you", mentions=[bob.user]))
    same(bob.records(conv)[seq]["users"], [bob.user], "users after an EDIT")
    alice.edit(conv, seq, "nobody")
    same(bob.records(conv)[seq]["users"] or [], [], "users after an EDIT without")


@check("11.2", "11-19", "11-6", level="L1")
def what_mentions_refuse(lab: Lab) -> None:
    """The same user twice, 51 of them, with a DELETE: ERROR 3000. Fifty are taken, an empty list is none."""
    alice = lab.person()
    offered(alice, "MENTIONS")
    conv = alice.new_group()
    seq = alice.say(conv, mentions=[])
    alice.say(conv, mentions=list(range(1, 51)))
    alice.refused("SEND", 3000, **msg(conv, mentions=[7, 7]))
    alice.refused("SEND", 3000, **msg(conv, mentions=list(range(1, 52))))
    alice.refused("SEND", 3000, **entry(conv, DELETE, seq, mentions=[7]))


@check("12.7", "12-33", level="L1")
def mentions_are_found_backwards(lab: Lab) -> None:
    """The highest first, in pages; not one's own, not deleted ones, as they are after their last edit."""
    alice, bob = lab.people(2)
    offered(bob, "MENTIONS")
    conv = alice.new_direct(bob)
    seqs = [alice.say(conv, str(n), mentions=[bob.user]) for n in range(5)]
    bob.say(conv, "me", mentions=[bob.user])
    alice.delete(conv, seqs[1])
    alice.edit(conv, seqs[2], "nobody")
    page = bob.ask("MENTIONS", conv=conv, limit=2)
    same((page["seqs"], page["more"]), ([seqs[4], seqs[3]], True), "seqs and more")
    page = bob.ask("MENTIONS", conv=conv, hi=seqs[3] - 1, limit=2)
    same((page["seqs"], page["more"]), ([seqs[0]], False), "seqs and more")
    alice.refused("MENTIONS", 4002, conv=1)


# single records


@check("12.7", "12-31", level="L1")
def records_come_in_the_order_asked(lab: Lab) -> None:
    """Each once; what has no record, what one may not see and what there is not are left out alike."""
    alice, bob = lab.people(2)
    offered(alice, "RECORDS")
    conv = alice.new_group()
    unseen = alice.say(conv)
    alice.add(conv, bob)
    one, two = alice.say(conv, "one"), alice.say(conv, "two")
    void = alice.edit(conv, one, "new")
    told = bob.ask("RECORDS", conv=conv, seqs=[two, unseen, void, one, 99, two])
    same([record["seq"] for record in told["records"]], [two, one], "seqs")
    same((told["records"][1]["content"]["data"], told["more"]), ("new", False), "text and more")
    alice.refused("RECORDS", 3000, conv=conv, seqs=[])
    bob.refused("RECORDS", 4002, conv=1, seqs=[1])


@check("12.7", "12-31", "12-22", level="L1")
def records_that_do_not_fit_come_later(lab: Lab) -> None:
    """With `more` the first ones came, at least one; the rest is asked for again."""
    alice = lab.person()
    offered(alice, "RECORDS")
    conv = alice.new_group()
    text = "x" * alice.welcome["limits"]["text_bytes"]
    seqs = [alice.say(conv, text) for _ in range(12)]
    left = list(seqs)
    while left:
        page = alice.ask("RECORDS", conv=conv, seqs=left)
        found = [record["seq"] for record in page["records"]]
        require(found and found == left[: len(found)], f"the first of {left}", found)
        left = left[len(found) :]
        same(page["more"], bool(left), "more")


# counts


def counts(who: Person, *convs: int) -> dict[int, tuple[int, int]]:
    """Unread messages and mentions by conversation."""
    told = who.ask("UNREAD", convs=list(convs))["counts"]
    return {each["conv"]: (each["unread"], each["mentions"]) for each in told}


@check("13.3", "13-11", level="L1")
def unread_counts_what_others_wrote_above_read(lab: Lab) -> None:
    """Not one's own, not deleted ones, not what is no message; mentions among them as they are now."""
    alice, bob = lab.people(2)
    offered(bob, "UNREAD")
    conv = alice.new_group(bob)
    seqs = [alice.say(conv, str(n)) for n in range(6)]
    bob.say(conv, "mine")
    alice.delete(conv, seqs[5])
    alice.ask("SEND", **entry(conv, EDIT, seqs[4], "you", mentions=[bob.user]))
    same(counts(bob, conv), {conv: (5, 1)}, "unread and mentions")
    bob.ask("MARK", conv=conv, seq=seqs[1])
    same(counts(bob, conv), {conv: (3, 1)}, "unread and mentions after MARK")
    bob.ask("MARK", conv=conv, seq=10**6)
    same(counts(bob, conv), {conv: (0, 0)}, "unread and mentions when all is read")


@check("13.3", "13-12", level="L1")
def unread_leaves_out_where_one_is_no_member(lab: Lab) -> None:
    """Not there, never in, left: all alike; each conversation once."""
    alice, bob = lab.people(2)
    offered(bob, "UNREAD")
    conv, left, foreign = alice.new_group(bob), alice.new_group(bob), alice.new_group()
    alice.remove(left, bob)
    told = bob.ask("UNREAD", convs=[foreign, conv, left, 1, conv])["counts"]
    same([(each["conv"], each["head"], each["read"]) for each in told], [(conv, 1, 0)], "conv, head and read")


@check("13.3", "13-11", "12-33", "10-26", level="L1")
def what_a_blocked_user_writes_is_not_unread(lab: Lab) -> None:
    """For the blocker it counts neither in UNREAD nor in MENTIONS; unblocked it does."""
    alice, bob = lab.people(2)
    offered(bob, "UNREAD")
    conv = alice.new_group(bob)
    seq = alice.say(conv, "you", mentions=[bob.user])
    bob.ask("BLOCK", user=alice.user, on=True)
    same(counts(bob, conv), {conv: (0, 0)}, "unread and mentions")
    same(bob.ask("MENTIONS", conv=conv)["seqs"], [], "seqs of MENTIONS")
    bob.ask("BLOCK", user=alice.user, on=False)
    same(counts(bob, conv), {conv: (1, 1)}, "unread and mentions when unblocked")
    same(bob.ask("MENTIONS", conv=conv)["seqs"], [seq], "seqs of MENTIONS")


@check("9.4", "9-12", level="L1")
def what_was_deleted_is_gone_from_lists_too(lab: Lab) -> None:
    """A second after the delete neither RECORDS, PINS nor MENTIONS yields the text or whom it mentioned."""
    alice, bob = lab.people(2)
    offered(bob, "RECORDS")
    conv = alice.new_direct(bob)
    seq = alice.say(conv, "secret text", mentions=[bob.user])
    pin(alice, conv, seq)
    alice.delete(conv, seq)
    time.sleep(1.0)
    record = bob.ask("RECORDS", conv=conv, seqs=[seq])["records"][0]
    same((record["content"], record["users"] or [], record["pinned"]), (None, [], None), "content, users and pinned")
    same(bob.ask("PINS", conv=conv)["pins"], [], "pins")
    same(bob.ask("MENTIONS", conv=conv)["seqs"], [], "mentions")
    same(counts(bob, conv), {conv: (0, 0)}, "unread and mentions")

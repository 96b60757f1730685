"""Section 13, what the first release has: watermarks, the receipt counter, who has read it."""

from __future__ import annotations

import time

from ..catalogue import check
from ..lab import Lab
from ..person import Person
from ..verdict import Failed, same

SETTLE_SECONDS = 1.5


def delivered(reader: Person, conv: int, whose: Person, want: int) -> None:
    """Waits until the delivered watermark is so high: raising it may take the server a second."""
    until = time.monotonic() + 5
    while (got := reader.marks(conv).get(whose.user, (0, 0))[0]) != want:
        if time.monotonic() > until:
            raise Failed(f"delivered = {want} for {whose.who} within 5 s", f"delivered = {got}")
        time.sleep(0.1)


@check("13.1", "13-2", "12-3", level="L1")
def delivered_rises_by_ack_only(lab: Lab) -> None:
    """Not by being pushed, not by SYNC, not by writing; the ACK of the push raises it."""
    alice, bob = lab.people(2)
    conv = alice.new_direct(bob)
    seq = alice.say(conv)
    bob.expect("EVENT", conv=conv, seq=seq)
    bob.say(conv, "an answer")
    time.sleep(SETTLE_SECONDS)
    same(alice.marks(conv).get(bob.user, (0, 0)), (0, 0), "watermarks of bob before his ACK")
    bob.send("ACK", n=bob.counted)
    delivered(alice, conv, bob, seq)
    receipt = alice.expect("RECEIPT", conv=conv)
    same(receipt["marks"], [{"user": bob.user, "delivered": seq, "read": 0}], "marks")


@check("13.1", "13-3", level="L1")
def read_rises_by_mark_and_takes_delivered_along(lab: Lab) -> None:
    """MARK answers with the watermark; a lower one changes nothing, one above the head counts as the head."""
    alice, bob = lab.people(2)
    conv = alice.new_direct(bob)
    seqs = [alice.say(conv) for _ in range(3)]
    same(bob.ask("MARK", conv=conv, seq=seqs[1])["read"], seqs[1], "read")
    same(alice.marks(conv)[bob.user], (seqs[1], seqs[1]), "watermarks of bob")
    same(bob.ask("MARK", conv=conv, seq=seqs[0])["read"], seqs[1], "read after a lower MARK")
    same(bob.ask("MARK", conv=conv, seq=10**6)["read"], seqs[2], "read after a MARK above the head")
    same(alice.marks(conv)[bob.user], (seqs[2], seqs[2]), "watermarks of bob")


@check("13.1", "13-1", level="L1")
def watermarks_never_fall(lab: Lab) -> None:
    """Lower positions in later ACKs and MARKs change nothing (P7)."""
    alice, bob = lab.people(2)
    conv = alice.new_direct(bob)
    seq = alice.say(conv)
    bob.expect("EVENT", conv=conv, seq=seq)
    bob.ask("MARK", conv=conv, seq=seq)
    bob.send("ACK", n=bob.counted, held=[{"conv": conv, "pos": 1}])
    bob.ask("MARK", conv=conv, seq=0)
    time.sleep(SETTLE_SECONDS)
    same(alice.marks(conv)[bob.user], (seq, seq), "watermarks of bob")


@check("13.1", "13-3", "13-7", level="L1")
def read_reaches_the_readers_other_device(lab: Lab) -> None:
    """RECEIPT goes to all members, the one it is about included."""
    bob, alice = lab.person("bob", password=True), lab.person("alice")
    tablet = lab.other_device(bob)
    conv = alice.new_direct(bob)
    seq = alice.say(conv)
    bob.ask("MARK", conv=conv, seq=seq)
    for who in (tablet, alice):
        receipt = who.expect("RECEIPT", conv=conv)
        same(receipt["marks"], [{"user": bob.user, "delivered": seq, "read": seq}], f"marks to {who.who}")


@check("13.2", "13-6", "13-7", level="L1")
def the_receipt_counter_has_no_hole(lab: Lab) -> None:
    """RECEIPTs follow each other: `after` is the `upto` before; the row carries the last as rrev."""
    alice, bob = lab.people(2)
    conv = alice.new_direct(bob)
    position = 0
    for _ in range(4):
        seq = alice.say(conv)
        bob.ask("MARK", conv=conv, seq=seq)
        receipt = alice.expect("RECEIPT", conv=conv)
        same(receipt["after"], position, "after")
        same(receipt["upto"], position + 1, "upto")
        position = receipt["upto"]
    row = next(row for row in lab.again(alice).sync() if row["conv"] == conv)
    same(row["rrev"], position, "rrev of the row")


@check("13.2", "13-6", "12-21", level="L1")
def marks_come_in_pages_by_the_counter(lab: Lab) -> None:
    """Only what changed after `since`, each user once; `more` and `upto` go on."""
    alice, bob, carol = lab.people(3)
    conv = alice.new_group(bob, carol)
    alice.say(conv)
    for who, seq in ((bob, 1), (carol, 2), (alice, 2), (bob, 2)):
        who.ask("MARK", conv=conv, seq=seq)
    found, since, more = [], 0, True
    while more:
        page = alice.ask("MARKS", conv=conv, since=since, limit=1)
        found += [(mark["user"], mark["read"]) for mark in page["marks"]]
        since, more = page["upto"], page["more"]
    same(found, [(carol.user, 2), (alice.user, 2), (bob.user, 2)], "users in the order of their last change")
    same(since, 4, "upto of the last page")
    page = alice.ask("MARKS", conv=conv, since=2)
    same([mark["user"] for mark in page["marks"]], [alice.user, bob.user], "users after 2")


@check("13.3", "13-10", level="L2")
def who_read_tells_of_the_members_of_that_moment(lab: Lab) -> None:
    """Without its sender, without who came later, without who has left; an unknown entry is ERROR 4000."""
    alice, bob, carol, dave = lab.people(4)
    conv = alice.new_group(bob, dave)
    seq = alice.say(conv)
    alice.add(conv, carol)
    bob.ask("MARK", conv=conv, seq=seq)
    carol.ask("MARK", conv=conv, seq=seq + 1)
    alice.remove(conv, dave)
    marks = alice.ask("WHO_READ", conv=conv, seq=seq)["marks"]
    same(marks, [{"user": bob.user, "delivered": seq, "read": seq}], "marks")
    alice.refused("WHO_READ", 4000, conv=conv, seq=99)
    carol.refused("WHO_READ", 4000, conv=conv, seq=seq)

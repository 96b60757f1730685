"""Section 12.7, what the first release has: CHANGES and HISTORY."""

from __future__ import annotations

from ..catalogue import check
from ..lab import Lab
from ..person import Person
from ..verdict import require, same


@check("12.7", "12-19", level="L1")
def changes_come_by_rev_each_once(lab: Lab) -> None:
    """From any position, in pages of any size: in their latest state; upto is the last rev while more follow."""
    alice = lab.person()
    conv, revs = _changed(alice)
    head = max(revs.values())
    for limit in (1, 3, 200):
        for since in (0, 1, 7, head - 1, head):
            found, pos, more = [], since, True
            while more:
                page = alice.changes(conv, pos, limit)
                require(len(page["records"]) <= limit, f"at most {limit} records", len(page["records"]))
                require(page["records"] or not page["more"], "no empty page while more follow", page.fields)
                found += [(record["rev"], record["seq"]) for record in page["records"]]
                upto = found[-1][0] if page["more"] else head
                same(page["upto"], upto, "upto")
                pos, more = page["upto"], page["more"]
            want = sorted((rev, seq) for seq, rev in revs.items() if rev > since)
            same(found, want, f"rev and seq after {since}")


def _changed(alice: Person) -> tuple[int, dict[int, int]]:
    """A conversation whose messages were changed out of order; rev by seq of every record."""
    conv = alice.new_group()
    revs = {1: 1}
    for n in range(8):
        seq = alice.say(conv, str(n))
        revs[seq] = seq
    for seq, how in ((4, "edit"), (2, "react"), (4, "react"), (9, "delete"), (3, "edit")):
        if how == "edit":
            revs[seq] = alice.edit(conv, seq, "edited")
        elif how == "react":
            revs[seq] = alice.react(conv, seq, "👍")
        else:
            revs[seq] = alice.delete(conv, seq)
    return conv, revs


@check("12.7", "12-20", level="L1")
def history_covers_every_seq_once(lab: Lab) -> None:
    """Backwards, each page below the one before, down to 1; seqs in between without a record are void."""
    alice = lab.person()
    conv, revs = _changed(alice)
    head = max(revs.values())
    for limit in (1, 3, 200):
        for start in (None, head + 50, 5, 1):
            hi = min(head, start or head)
            page = alice.history(conv, start, limit)
            found: list[int] = []
            while True:
                seqs = [record["seq"] for record in page["records"]]
                same((page["hi"], page["rev"]), (hi, head), "hi and rev")
                inside = all(page["lo"] <= seq <= page["hi"] for seq in seqs) and seqs == sorted(seqs)
                require(inside and len(seqs) <= limit, f"at most {limit} seqs from lo to hi, in order", seqs)
                found = seqs + found
                if page["lo"] == 1:
                    break
                hi = page["lo"] - 1
                page = alice.history(conv, hi, limit)
            same(found, sorted(seq for seq in revs if seq <= min(head, start or head)), "seqs")


@check("12.7", "12-19", level="L1")
def a_position_above_the_head_stays(lab: Lab) -> None:
    """CHANGES with `since` above the head: no records, no more, upto = since."""
    alice = lab.person()
    conv = alice.new_group()
    page = alice.changes(conv, 1000)
    same((page["upto"], page["records"], page["more"]), (1000, [], False), "upto, records and more")


@check("12.7", "12-22", "2-15", level="L1")
def pages_fit_a_frame(lab: Lab) -> None:
    """Long texts: pages end by size, nothing is over 131,072 bytes, and nothing is left out."""
    alice = lab.person()
    conv = alice.new_group()
    text = "ä" * (alice.welcome["limits"]["text_bytes"] // 2)
    seqs = [1] + [alice.say(conv, text) for _ in range(14)]
    del alice.received[:]
    same(sorted(alice.records(conv)), seqs, "seqs of CHANGES")
    page = alice.history(conv, limit=200)
    found = [record["seq"] for record in page["records"]]
    while page["lo"] > 1:
        page = alice.history(conv, page["lo"] - 1, 200)
        found = [record["seq"] for record in page["records"]] + found
    same(found, seqs, "seqs of HISTORY")
    longest = max(map(len, alice.received))
    require(longest <= 131072, "frames of at most 131,072 bytes", longest)

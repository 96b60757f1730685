"""Section 10.5: blocking, and hiding messages."""

from __future__ import annotations

from ..catalogue import check
from ..lab import Lab
from ..msgpack import unpack
from ..person import DELETE, DIRECT, GROUP, cid, entry, msg, reaction
from ..verdict import same
from .account import BLOCK, HIDE, UNBLOCK, news, owner
from .conversations import unknown_user

HIDDEN_CONTENT = 12


# blocking


@check("10.5", "10-24", level="L1")
def blocking_may_be_repeated(lab: Lab) -> None:
    """Who is blocked is blocked; oneself is ERROR 3000, nobody 4000; the blocked one hears nothing."""
    alice, bob = owner(lab), lab.person("bob")
    for _ in range(2):
        alice.ask("BLOCK", user=bob.user, on=True)
    same(news(alice, 1), [BLOCK], "entries")
    alice.refused("BLOCK", 3000, user=alice.user, on=True)
    alice.refused("BLOCK", 4000, user=unknown_user(), on=True)
    bob.quiet()
    for _ in range(2):
        alice.ask("BLOCK", user=bob.user, on=False)
    same(news(alice, 1), [UNBLOCK], "entries")
    same(alice.ask("ACCOUNT")["blocked"], [], "blocked")


@check("10.5", "10-25", level="L1")
def neither_writes_into_the_direct_conversation(lab: Lab) -> None:
    """MSG, EDIT and REACT of either: ERROR 4003. Deleting, reading and marking go on; unblocked, all is as before."""
    alice, bob = lab.people(2)
    conv = alice.new_direct(bob)
    of = {alice: alice.say(conv), bob: bob.say(conv)}
    alice.ask("BLOCK", user=bob.user, on=True)
    for who in (alice, bob):
        who.refused("SEND", 4003, **msg(conv))
        who.refused("SEND", 4003, **entry(conv, 2, of[who], "changed"))
        who.refused("SEND", 4003, **reaction(conv, of[who], "👍"))
        who.ask("MARK", conv=conv, seq=2)
        who.history(conv)
    bob.ask("SEND", **entry(conv, DELETE, of[bob]))
    alice.ask("BLOCK", user=bob.user, on=False)
    bob.say(conv)


@check("10.5", "10-25", level="L2")
def neither_brings_the_other_in(lab: Lab) -> None:
    """CONV_NEW and MEMBER_ADD by one of the two that name the other: ERROR 4003, and nothing is made."""
    alice, bob, carol = lab.people(3)
    alice.ask("BLOCK", user=bob.user, on=True)
    for who, whom in ((alice, bob), (bob, alice)):
        who.refused("CONV_NEW", 4003, cid=cid(), kind=DIRECT, members=[whom.user])
        who.refused("CONV_NEW", 4003, cid=cid(), kind=GROUP, members=[carol.user, whom.user])
        conv = who.new_group()
        who.refused("MEMBER_ADD", 4003, conv=conv, cid=cid(), users=[carol.user, whom.user])
        same(who.info(conv)["members"], 1, "members")
    carol.quiet()


@check("10.5", "10-26", level="L2")
def in_groups_of_both_the_log_is_the_same(lab: Lab) -> None:
    """A third member brings them together, and each goes on seeing what the other writes (P4)."""
    alice, bob, carol = lab.people(3)
    alice.ask("BLOCK", user=bob.user, on=True)
    conv = carol.new_group(alice, bob)
    seq = bob.say(conv, "to all")
    same(alice.expect("EVENT", conv=conv, seq=seq)["content"]["data"], "to all", "text")
    alice.say(conv, "me too")


# hiding


@check("10.5", "10-28", "10-29", level="L1")
def what_is_hidden_is_gone_for_one_user_alone(lab: Lab) -> None:
    """Left out of CHANGES and HISTORY, for all others as before; upto and hi are as without it."""
    alice, bob = lab.people(2)
    conv = alice.new_direct(bob)
    seqs = [alice.say(conv, str(n)) for n in range(3)]
    bob.ask("HIDE", conv=conv, seqs=[seqs[1]])
    same(sorted(bob.records(conv)), [1, seqs[0], seqs[2]], "seqs of CHANGES")
    page = bob.history(conv)
    same(([record["seq"] for record in page["records"]], page["hi"]), ([1, seqs[0], seqs[2]], seqs[2]), "HISTORY")
    same(sorted(alice.records(conv)), [1, *seqs], "seqs that alice is told")
    alice.edit(conv, seqs[1], "again")
    same(sorted(bob.records(conv)), [1, seqs[0], seqs[2]], "seqs after an edit")


@check("10.5", "10-28", level="L1")
def what_hide_refuses(lab: Lab) -> None:
    """No seq: 3000; one that is no message, and then nothing is hidden: 4000; outsiders 4002."""
    alice, eve = lab.people(2)
    conv = alice.new_group()
    seq = alice.say(conv)
    alice.refused("HIDE", 3000, conv=conv, seqs=[])
    for wrong in (1, 99):
        alice.refused("HIDE", 4000, conv=conv, seqs=[seq, wrong])
    same(sorted(alice.records(conv)), [1, seq], "seqs")
    eve.refused("HIDE", 4002, conv=conv, seqs=[seq])


@check("10.5", "10-30", level="L1")
def a_hide_entry_tells_the_other_devices(lab: Lab) -> None:
    """Content type 12 with the conversation and the seqs, ascending; hiding the same again makes none."""
    alice, bob = owner(lab), lab.person("bob")
    conv = alice.new_direct(bob)
    seqs = [bob.say(conv), bob.say(conv)]
    for _ in range(2):
        alice.ask("HIDE", conv=conv, seqs=[seqs[1], seqs[0]])
    event = alice.expect("EVENT", kind=HIDE)
    same(event["content"]["type"], HIDDEN_CONTENT, "type of the content")
    same(unpack(event["content"]["data"]), [conv, seqs], "hidden")
    alice.quiet(0.4, ("ROWS",))
    same([each for each in alice.seen if each.name == "EVENT" and each["kind"] == HIDE], [], "further HIDE entries")

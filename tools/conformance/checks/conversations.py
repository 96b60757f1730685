"""Section 10, what the first release has: kinds, rights, making and changing, members."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..catalogue import Check, add, check
from ..lab import Lab
from ..person import DELETE, DIRECT, EDIT, GROUP, Person, cid, entry, msg, reaction
from ..verdict import same

YES = 0


def unknown_user() -> int:
    """An id that no account has, as good as surely."""
    return 2**52 + int.from_bytes(os.urandom(5), "big")


@check("10.1", "10-1", level="L2")
def two_people_have_one_direct_conversation(lab: Lab) -> None:
    """Whoever asks, with whatever cid: the same conversation, with dup."""
    alice, bob = lab.people(2)
    made = [who.ask("CONV_NEW", cid=cid(), kind=DIRECT, members=[o.user]) for who, o in ((alice, bob), (bob, alice))]
    same({(each["conv"], each["seq"], each["ts"]) for each in made}, {(made[0]["conv"], 1, made[0]["ts"])}, "answers")
    same([each["dup"] for each in made], [False, True], "dup")
    for who, peer in ((alice, bob), (bob, alice)):
        info = who.info(made[0]["conv"])
        same((info["kind"], info["members"], info["peer"]), (DIRECT, 2, peer.user), "kind, members and peer")


@check("10.1", "10-1", level="L2")
def two_people_who_ask_at_once(lab: Lab) -> None:
    """Three requests of each in flight together: one conversation, one of the answers without dup."""
    alice, bob = lab.people(2)
    rids = [
        (who, rid)
        for who, other in ((alice, bob), (bob, alice))
        for rid in who.flight(*[("CONV_NEW", {"cid": cid(), "kind": DIRECT, "members": [other.user]}) for _ in "abc"])
    ]
    made = [who.answer(rid) for who, rid in rids]
    same({each.name for each in made}, {"CONV_NEW_OK"}, "answers")
    same(len({each["conv"] for each in made}), 1, "number of conversations")
    same(sorted(each["dup"] for each in made), [False] + [True] * 5, "dup")


@check("10.1", "10-2", level="L2")
def the_creator_owns_the_group(lab: Lab) -> None:
    """Role 4 for him, 1 for the others, also in a group of one."""
    alice, bob = lab.people(2)
    conv = alice.new_group()
    same((alice.info(conv)["role"], alice.info(conv)["members"]), (4, 1), "role and members")
    alice.add(conv, bob)
    same((bob.info(conv)["role"], bob.info(conv)["members"], bob.info(conv)["title"]), (1, 2, "group"), "bob's info")
    members = alice.ask("MEMBERS", conv=conv)["members"]
    told = {member["user"]: (member["role"], member["since"]) for member in members}
    same(told, {alice.user: (4, 1), bob.user: (1, 2)}, "role and since by user")


@dataclass(frozen=True)
class Stage:
    """Who stands where for one row of the table of 10.2."""

    conv: int
    other: int
    own: int
    others: int


Fields = Callable[[Stage, Person], dict[str, Any]]
ROWS: list[tuple[str, str, Fields, tuple[int, ...]]] = [
    # what, request, fields, and the answers in: direct, group as member, as owner, as former member, as stranger
    ("msg", "SEND", lambda at, me: msg(at.conv), (YES, YES, YES, 4001, 4002)),
    ("react", "SEND", lambda at, me: reaction(at.conv, at.others, "👍"), (YES, YES, YES, 4001, 4002)),
    ("edit-own", "SEND", lambda at, me: entry(at.conv, EDIT, at.own, "new"), (YES, YES, YES, 4001, 4002)),
    ("delete-own", "SEND", lambda at, me: entry(at.conv, DELETE, at.own), (YES, YES, YES, 4001, 4002)),
    ("edit-another", "SEND", lambda at, me: entry(at.conv, EDIT, at.others, "x"), (4001, 4001, 4001, 4001, 4002)),
    ("delete-another", "SEND", lambda at, me: entry(at.conv, DELETE, at.others), (4001, 4001, -1, 4001, 4002)),
    ("mark", "MARK", lambda at, me: {"conv": at.conv, "seq": 1}, (YES, YES, YES, 4001, 4002)),
    ("who-read", "WHO_READ", lambda at, me: {"conv": at.conv, "seq": at.own}, (YES, YES, YES, 4001, 4002)),
    ("members", "MEMBERS", lambda at, me: {"conv": at.conv}, (YES, YES, YES, 4001, 4002)),
    ("changes", "CHANGES", lambda at, me: {"conv": at.conv, "since": 0}, (YES, YES, YES, YES, 4002)),
    ("history", "HISTORY", lambda at, me: {"conv": at.conv}, (YES, YES, YES, YES, 4002)),
    ("marks", "MARKS", lambda at, me: {"conv": at.conv, "since": 0}, (YES, YES, YES, YES, 4002)),
    (
        "member-add",
        "MEMBER_ADD",
        lambda at, me: {"conv": at.conv, "cid": cid(), "users": [at.other]},
        (4001, YES, YES, 4001, 4002),
    ),
    (
        "leave",
        "MEMBER_DEL",
        lambda at, me: {"conv": at.conv, "cid": cid(), "user": me.user},
        (4001, YES, YES, 4001, 4002),
    ),
]
PLACES = ("direct conversation", "member", "owner", "former member", "never in")


def _row(request: str, fields: Fields, wanted: tuple[int, ...], lab: Lab) -> None:
    """`-1`: not the same in both releases, see the checks of roles."""
    owner, member, former, never = (lab.person(who) for who in ("owner", "member", "former", "never"))
    other, another = lab.person("other", sync=False), lab.person("third", sync=False)
    conv = owner.new_group(member, former)
    own = {each.user: each.say(conv, f"of {each.who}") for each in (owner, member, former)}
    others = member.say(conv, "another's")
    of_owner = owner.say(conv, "the owner's")
    owner.remove(conv, former)
    pair = owner.new_direct(member)
    own_direct, others_direct = owner.say(pair), member.say(pair)
    stages = [
        (owner, Stage(pair, other.user, own_direct, others_direct)),
        (member, Stage(conv, other.user, own[member.user], of_owner)),
        (owner, Stage(conv, another.user, own[owner.user], others)),
        (former, Stage(conv, other.user, own[former.user], others)),
        (never, Stage(conv, other.user, others, others)),
    ]
    for place, (who, stage), want in zip(PLACES, stages, wanted, strict=True):
        if want >= 0:
            answer = who.answer(who.request(request, **fields(stage, who)))
            got = answer["code"] if answer.name == "ERROR" else YES
            same(got, want, f"answer to {request} as {place} (0 = done)")


for _name, _request, _fields, _wanted in ROWS:
    add(
        Check(
            f"10.2/{_name}",
            "10.2",
            ("10-3",),
            f"{_request} ({_name}): who may, in a direct conversation and in a group.",
            partial(_row, _request, _fields, _wanted),
            level="L2",
        )
    )


@check("10.2", "10-3", level="L2")
def the_owner_removes_members_and_members_do_not(lab: Lab) -> None:
    """MEMBER_DEL of another: ERROR 4001 for a member; the owner may."""
    alice, bob, carol = lab.people(3)
    conv = alice.new_group(bob, carol)
    bob.refused("MEMBER_DEL", 4001, conv=conv, cid=cid(), user=carol.user)
    alice.remove(conv, carol)
    carol.expect("EVENT", conv=conv, kind=8, users=[carol.user])


@check("10.3", "10-4", level="L2")
def what_is_wrong_makes_no_conversation(lab: Lab) -> None:
    """Nobody, oneself, two for a direct one; strangers; an empty title, one on a direct one; an unknown kind."""
    alice, bob = lab.people(2)
    fresh = cid()
    for code, kind, members, title in (
        (3000, DIRECT, [], None),
        (3000, DIRECT, [alice.user], None),
        (3000, DIRECT, [bob.user, alice.user], None),
        (3000, DIRECT, [bob.user], "title"),
        (4000, DIRECT, [unknown_user()], None),
        (4000, GROUP, [bob.user, unknown_user()], "title"),
        (3000, GROUP, [bob.user], ""),
        (3000, GROUP, [bob.user], "x" * 257),
        (3000, 0, [bob.user], None),
    ):
        alice.refused("CONV_NEW", code, cid=fresh, kind=kind, members=members, title=title)
    made = alice.ask("CONV_NEW", cid=fresh, kind=GROUP, members=[bob.user], title="ä" * 128)
    same(made["dup"], False, "dup of the first that was right, with the same cid")
    same(bob.expect("EVENT")["conv"], made["conv"], "the one conversation that bob hears of")


@check("10.3", "10-4", "10-5", level="L2")
def the_first_entry_names_everyone_once(lab: Lab) -> None:
    """CREATE, seq 1: the creator first, repeated ids and his own once, the title as content."""
    alice, bob = lab.people(2)
    made = alice.ask("CONV_NEW", cid=cid(), kind=GROUP, members=[bob.user, alice.user, bob.user], title="Ops")
    event = bob.expect("EVENT", conv=made["conv"])
    same((event["seq"], event["kind"], event["users"]), (1, 6, [alice.user, bob.user]), "seq, kind and users")
    same(event["content"], {"type": 1, "data": "Ops"}, "content")
    same(alice.records(made["conv"])[1]["users"], [alice.user, bob.user], "users of the record")


@check("10.3", "10-6", level="L2")
def a_cid_makes_one_conversation_of_its_creator(lab: Lab) -> None:
    """Repeated it returns the same with dup; with other content ERROR 3004; of another it is another one."""
    alice, bob = lab.people(2)
    fresh = cid()
    first = alice.ask("CONV_NEW", cid=fresh, kind=GROUP, members=[bob.user], title="one")
    again = alice.ask("CONV_NEW", cid=fresh, kind=GROUP, members=[bob.user, alice.user], title="one")
    same((again["conv"], again["ts"], again["dup"]), (first["conv"], first["ts"], True), "conv, ts and dup")
    for kind, members, title in ((GROUP, [bob.user], "two"), (GROUP, [], "one"), (DIRECT, [bob.user], None)):
        alice.refused("CONV_NEW", 3004, cid=fresh, kind=kind, members=members, title=title)
    other = bob.ask("CONV_NEW", cid=fresh, kind=GROUP, members=[alice.user], title="one")
    same((other["conv"] == first["conv"], other["dup"]), (False, False), "bob's is the same, and dup")


@check("10.3", "10-7", level="L2")
def adding_leaves_out_who_is_in(lab: Lab) -> None:
    """The ADD entry names the new ones alone; nobody new is ERROR 4005; nobody at all 3000."""
    alice, bob, carol = lab.people(3)
    conv = alice.new_group(bob)
    users = [carol.user, bob.user, carol.user, alice.user]
    seq = alice.ask("MEMBER_ADD", conv=conv, cid=cid(), users=users)["seq"]
    same(bob.expect("EVENT", conv=conv, seq=seq)["users"], [carol.user], "users of the ADD entry")
    alice.refused("MEMBER_ADD", 4005, conv=conv, cid=cid(), users=[bob.user, carol.user])
    alice.refused("MEMBER_ADD", 3000, conv=conv, cid=cid(), users=[])


@check("10.3", "10-7", level="L2")
def a_stranger_among_them_and_nobody_is_added(lab: Lab) -> None:
    """ERROR 4000, no entry, no new member."""
    alice, bob = lab.people(2)
    conv = alice.new_group()
    alice.refused("MEMBER_ADD", 4000, conv=conv, cid=cid(), users=[bob.user, unknown_user()])
    same(alice.info(conv)["members"], 1, "members")
    bob.quiet()
    same(alice.history(conv)["rev"], 1, "rev")


@check("10.3", "10-8", level="L2")
def the_remove_entry_is_the_last_one_seen(lab: Lab) -> None:
    """Who is removed gets the REMOVE and nothing after it; who is no member cannot be removed: ERROR 4000."""
    alice, bob = lab.people(2)
    conv = alice.new_group(bob)
    seq = alice.remove(conv, bob)
    same(bob.expect("EVENT", conv=conv)["users"], [bob.user], "users of the REMOVE entry")
    alice.say(conv, "after")
    bob.quiet()
    alice.refused("MEMBER_DEL", 4000, conv=conv, cid=cid(), user=bob.user)
    alice.refused("MEMBER_DEL", 4000, conv=conv, cid=cid(), user=unknown_user())
    same(bob.history(conv)["hi"], seq, "hi")


@check("10.3", "10-11", level="L2")
def who_is_added_again_is_a_member_again(lab: Lab) -> None:
    """CONV_GET, MEMBERS and the row say so, and he may write."""
    alice, bob = lab.people(2)
    conv = alice.new_group(bob)
    alice.remove(conv, bob)
    alice.add(conv, bob)
    same(bob.info(conv)["role"], 1, "role")
    row = next(row for row in lab.again(bob).sync() if row["conv"] == conv)
    same(row["state"], 0, "state")


@check("10.3", "10-4", level="L2")
def members_come_in_pages(lab: Lab) -> None:
    """By user id, each once, `after` goes on, `more` tells whether there are others."""
    people = lab.people(4)
    conv = people[0].new_group(*people[1:])
    first = people[0].ask("MEMBERS", conv=conv, limit=3)
    users = [member["user"] for member in first["members"]]
    rest = people[0].ask("MEMBERS", conv=conv, after=users[-1], limit=3)
    users += [member["user"] for member in rest["members"]]
    same(users, sorted(each.user for each in people), "users")
    same((first["more"], rest["more"]), (True, False), "more")
    people[0].refused("MEMBERS", 3000, conv=conv, limit=501)

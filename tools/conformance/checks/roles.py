"""Section 10, what the second release has: roles, succession, titles and descriptions, notes to self."""

from __future__ import annotations

from ..catalogue import check
from ..lab import Lab
from ..person import DELETE, EDIT, META, NOTES, REMOVE, ROLE, Person, cid, entry, msg
from ..verdict import require, same
from .conversations import unknown_user

MEMBER, MODERATOR, ADMIN, OWNER = 1, 2, 3, 4
TITLE, ABOUT = 10, 11


def give(who: Person, conv: int, to: Person, role: int) -> int:
    """MEMBER_SET; the seq of its entry. Raises Skipped where the server does not offer it."""
    return int(who.ask("MEMBER_SET", conv=conv, cid=cid(), user=to.user, role=role)["seq"])


def roles(who: Person, conv: int) -> dict[int, int]:
    """Role by user."""
    return {member["user"]: member["role"] for member in who.ask("MEMBERS", conv=conv)["members"]}


def ladder(lab: Lab) -> tuple[list[Person], int]:
    """Owner, admin, moderator, member and another member, and their group. Raises Skipped without roles."""
    people = [lab.person(who) for who in ("owner", "admin", "moder", "member", "other")]
    conv = people[0].new_group(*people[1:])
    give(people[0], conv, people[1], ADMIN)
    give(people[0], conv, people[2], MODERATOR)
    return people, conv


@check("10.2", "10-12", "10-13", level="L2")
def the_owner_gives_roles_and_everybody_sees_it(lab: Lab) -> None:
    """A ROLE entry with the user and his role, no content; MEMBERS and CONV_GET say it, as does the record."""
    alice, bob, carol = lab.people(3)
    conv = alice.new_group(bob, carol)
    seq = give(alice, conv, bob, ADMIN)
    for who in (bob, carol):
        event = who.expect("EVENT", conv=conv, seq=seq)
        told = tuple(event[name] for name in ("sender", "kind", "users", "role", "content"))
        same(told, (alice.user, ROLE, [bob.user], ADMIN, None), "sender, kind, users, role and content")
    same(roles(carol, conv), {alice.user: OWNER, bob.user: ADMIN, carol.user: MEMBER}, "roles")
    same(bob.info(conv)["role"], ADMIN, "role in CONV_GET")
    record = carol.records(conv)[seq]
    same((record["kind"], record["users"], record["role"]), (ROLE, [bob.user], ADMIN), "kind, users and role")


@check("10.3", "10-13", level="L2")
def an_admin_gives_what_is_below_him(lab: Lab) -> None:
    """MEMBER and MODERATOR to those two; not to an admin, not the role ADMIN, not to the owner: ERROR 4001."""
    (owner, admin, moderator, member, other), conv = ladder(lab)
    give(admin, conv, member, MODERATOR)
    give(admin, conv, member, MEMBER)
    for user, role in ((member, ADMIN), (member, OWNER), (owner, MEMBER)):
        admin.refused("MEMBER_SET", 4001, conv=conv, cid=cid(), user=user.user, role=role)
    give(owner, conv, other, ADMIN)
    admin.refused("MEMBER_SET", 4001, conv=conv, cid=cid(), user=other.user, role=MEMBER)
    for who in (moderator, member):
        who.refused("MEMBER_SET", 4001, conv=conv, cid=cid(), user=other.user, role=MEMBER)


@check("10.3", "10-13", level="L2")
def what_member_set_refuses(lab: Lab) -> None:
    """Oneself and roles that there are not: 3000; strangers 4000; the role he has already: 4005; outsiders 4002."""
    alice, bob, eve = lab.people(3)
    conv = alice.new_group(bob)
    give(alice, conv, bob, MODERATOR)
    for code, user, role in (
        (3000, alice.user, MEMBER),
        (3000, bob.user, 0),
        (3000, bob.user, 5),
        (4000, eve.user, MEMBER),
        (4005, bob.user, MODERATOR),
    ):
        alice.refused("MEMBER_SET", code, conv=conv, cid=cid(), user=user, role=role)
    eve.refused("MEMBER_SET", 4002, conv=conv, cid=cid(), user=bob.user, role=ADMIN)
    pair = alice.new_direct(bob)
    alice.refused("MEMBER_SET", 4001, conv=pair, cid=cid(), user=bob.user, role=ADMIN)


@check("10.3", "10-14", "10-2", level="L2")
def handing_a_group_on(lab: Lab) -> None:
    """Role 4 to another makes the giver an admin, in one entry: there is one owner."""
    alice, bob = lab.people(2)
    conv = alice.new_group(bob)
    seq = give(alice, conv, bob, OWNER)
    same(roles(bob, conv), {alice.user: ADMIN, bob.user: OWNER}, "roles")
    same(bob.history(conv)["rev"], seq, "rev: one entry, not two")
    alice.refused("MEMBER_SET", 4001, conv=conv, cid=cid(), user=bob.user, role=MEMBER)


@check("10.3", "10-10", level="L2")
def when_the_owner_leaves_the_highest_role_follows(lab: Lab) -> None:
    """The admin, then the moderator, then who has been in longest."""
    people, conv = ladder(lab)
    owner, admin, moderator, member, other = people
    for leaving, heir in ((owner, admin), (admin, moderator)):
        leaving.remove(conv, leaving)
        same(roles(heir, conv).get(heir.user), OWNER, f"role of {heir.who} after {leaving.who} left")
    moderator.remove(conv, moderator)
    first = min(member, other, key=lambda each: each.user)
    same(roles(member, conv).get(first.user), OWNER, "role of the one with the smaller id, who came at the same time")


@check("10.3", "10-10", "10-12", level="L2")
def who_comes_back_is_a_plain_member(lab: Lab) -> None:
    """The former owner, added again, has role 1."""
    alice, bob = lab.people(2)
    conv = alice.new_group(bob)
    give(alice, conv, bob, ADMIN)
    alice.remove(conv, alice)
    bob.add(conv, alice)
    same(roles(bob, conv), {alice.user: MEMBER, bob.user: OWNER}, "roles")


@check("10.2", "10-3", level="L2")
def moderators_delete_what_those_of_lower_role_wrote(lab: Lab) -> None:
    """DELETE of another's message by role; an EDIT of it never."""
    (owner, admin, moderator, member, other), conv = ladder(lab)
    seqs = {each.who: each.say(conv, each.who) for each in (owner, admin, moderator, member, other)}
    member.refused("SEND", 4001, **entry(conv, DELETE, seqs["other"]))
    give(owner, conv, other, MODERATOR)
    moderator.refused("SEND", 4001, **entry(conv, DELETE, seqs["other"]))
    moderator.refused("SEND", 4001, **entry(conv, DELETE, seqs["admin"]))
    admin.refused("SEND", 4001, **entry(conv, DELETE, seqs["owner"]))
    for who, whose in ((moderator, "member"), (admin, "moder"), (owner, "admin")):
        who.refused("SEND", 4001, **entry(conv, EDIT, seqs[whose], "changed"))
        who.delete(conv, seqs[whose])
        same(other.records(conv)[seqs[whose]]["content"], None, f"content of what {whose} wrote")


@check("10.2", "10-3", level="L2")
def moderators_remove_those_of_lower_role(lab: Lab) -> None:
    """MEMBER_DEL by role: equals and higher ones are ERROR 4001."""
    (owner, admin, moderator, member, other), conv = ladder(lab)
    give(owner, conv, other, MODERATOR)
    for who, whom in ((member, other), (moderator, other), (moderator, admin), (admin, owner)):
        who.refused("MEMBER_DEL", 4001, conv=conv, cid=cid(), user=whom.user)
    for who, whom in ((moderator, member), (admin, moderator), (owner, admin)):
        seq = who.remove(conv, whom)
        same(other.expect("EVENT", conv=conv, seq=seq)["kind"], REMOVE, "kind")


@check("10.3", "10-8", level="L2")
def who_may_remove_nobody_learns_nothing(lab: Lab) -> None:
    """A plain member is told 4001 for somebody who is not in, as for somebody who is."""
    people, conv = ladder(lab)
    people[3].refused("MEMBER_DEL", 4001, conv=conv, cid=cid(), user=unknown_user())


@check("10.3", "10-16", level="L2")
def titles_and_descriptions(lab: Lab) -> None:
    """CONV_SET makes a META entry of content type 10 or 11; CONV_GET shows the newest, and none where it is empty."""
    alice, bob = lab.people(2)
    conv = alice.new_group(bob, title="first")
    seq = alice.ask("CONV_SET", conv=conv, cid=cid(), title="second")["seq"]
    event = bob.expect("EVENT", conv=conv, seq=seq)
    same((event["kind"], event["content"]), (META, {"type": TITLE, "data": "second"}), "kind and content")
    seq = alice.ask("CONV_SET", conv=conv, cid=cid(), about="what it is for")["seq"]
    same(bob.expect("EVENT", conv=conv, seq=seq)["content"], {"type": ABOUT, "data": "what it is for"}, "content")
    same((bob.info(conv)["title"], bob.info(conv)["about"]), ("second", "what it is for"), "title and about")
    for fields in ({"title": ""}, {"about": ""}):
        alice.ask("CONV_SET", conv=conv, cid=cid(), **fields)
    same((bob.info(conv)["title"], bob.info(conv)["about"]), (None, None), "title and about")


@check("10.3", "10-16", level="L2")
def what_conv_set_refuses(lab: Lab) -> None:
    """Neither of the two or both, and longer ones: ERROR 3000; without the role 4001; outsiders 4002."""
    alice, bob, eve = lab.people(3)
    conv = alice.new_group(bob)
    bob.refused("CONV_SET", 4001, conv=conv, cid=cid(), title="mine")
    for fields in ({}, {"title": "x", "about": "y"}, {"title": "x" * 257}, {"about": "x" * 1025}):
        alice.refused("CONV_SET", 3000, conv=conv, cid=cid(), **fields)
    eve.refused("CONV_SET", 4002, conv=conv, cid=cid(), title="mine")
    pair = alice.new_direct(bob)
    alice.refused("CONV_SET", 4001, conv=pair, cid=cid(), title="us")
    alice.ask("CONV_SET", conv=conv, cid=cid(), title="ä" * 128)


@check("10.3", "10-17", level="L2")
def former_members_are_told_the_title_of_then(lab: Lab) -> None:
    """What was changed after they left stays unknown to them (P9)."""
    alice, bob = lab.people(2)
    conv = alice.new_group(bob, title="then")
    alice.ask("CONV_SET", conv=conv, cid=cid(), about="of then")
    alice.remove(conv, bob)
    alice.ask("CONV_SET", conv=conv, cid=cid(), title="now")
    alice.ask("CONV_SET", conv=conv, cid=cid(), about="of now")
    info = bob.info(conv)
    told = (info["title"], info["about"], info["role"], info["members"])
    same(told, ("then", "of then", 0, 0), "title, about, role and members")


@check("11.1", "11-3", level="L2")
def repetitions_of_conv_set_and_member_set(lab: Lab) -> None:
    """The same cid again: the seq of the first time and dup; with other content ERROR 3004."""
    alice, bob = lab.people(2)
    conv = alice.new_group(bob)
    for name, fields, other in (
        ("CONV_SET", {"title": "x"}, {"title": "y"}),
        ("MEMBER_SET", {"user": bob.user, "role": ADMIN}, {"user": bob.user, "role": MODERATOR}),
    ):
        fresh = cid()
        first = alice.ask(name, conv=conv, cid=fresh, **fields)
        again = alice.ask(name, conv=conv, cid=fresh, **fields)
        same((again["seq"], again["ts"], again["dup"]), (first["seq"], first["ts"], True), f"{name}: seq, ts and dup")
        alice.refused(name, 3004, conv=conv, cid=fresh, **other)


def notes(lab: Lab, who: Person) -> int:
    """The notes to self. Raises Skipped on a server of the first release."""
    who.skip_unless_offered("CONV_SET", conv=1, cid=cid(), title="x")
    return int(who.ask("CONV_NEW", cid=cid(), kind=NOTES, members=[])["conv"])


@check("10.3", "10-19", level="L2")
def a_user_has_one_notes_to_self(lab: Lab) -> None:
    """Asking again returns it with dup; he is its one member, with role 1; others know nothing of it."""
    alice, eve = lab.people(2)
    conv = notes(lab, alice)
    again = alice.ask("CONV_NEW", cid=cid(), kind=NOTES, members=[])
    same((again["conv"], again["dup"]), (conv, True), "conv and dup")
    info = alice.info(conv)
    same((info["kind"], info["role"], info["members"]), (NOTES, MEMBER, 1), "kind, role and members")
    seq = alice.say(conv, "remember the milk")
    same(alice.records(conv)[seq]["content"]["data"], "remember the milk", "text")
    eve.refused("HISTORY", 4002, conv=conv)
    require(notes(lab, eve) != conv, "another conversation for another user", conv)


@check("10.3", "10-19", "10-4", level="L2")
def nobody_joins_or_leaves_notes_to_self(lab: Lab) -> None:
    """MEMBER_ADD, MEMBER_DEL, CONV_SET: ERROR 4001; members or a title at CONV_NEW: 3000."""
    alice, bob = lab.people(2)
    conv = notes(lab, alice)
    alice.refused("MEMBER_ADD", 4001, conv=conv, cid=cid(), users=[bob.user])
    alice.refused("MEMBER_DEL", 4001, conv=conv, cid=cid(), user=alice.user)
    alice.refused("CONV_SET", 4001, conv=conv, cid=cid(), title="mine")
    alice.refused("CONV_NEW", 3000, cid=cid(), kind=NOTES, members=[bob.user])
    alice.refused("CONV_NEW", 3000, cid=cid(), kind=NOTES, members=[], title="mine")


@check("10.2", "10-3", level="L2")
def roles_are_judged_in_front_of_the_entry(lab: Lab) -> None:
    """Of two requests in one flight the second is judged by what the first has changed."""
    alice, bob = lab.people(2)
    conv = alice.new_group(bob)
    give(alice, conv, bob, MODERATOR)
    one, two = alice.flight(
        ("MEMBER_SET", {"conv": conv, "cid": cid(), "user": bob.user, "role": OWNER}),
        ("MEMBER_SET", {"conv": conv, "cid": cid(), "user": bob.user, "role": MEMBER}),
    )
    same(alice.answer(one).name, "MEMBER_SET_OK", "answer to handing on")
    alice.error(two, 4001)
    bob.ask("SEND", **msg(conv))

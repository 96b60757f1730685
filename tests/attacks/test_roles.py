"""Attack 14: climbing. Who may do what to whom, role against role, and what a race of two deeds may not do."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from tests.attacks.victim import Attacker, Victim
from wirechat import wire

ROLES = {"owner": 4, "admin": 3, "moderator": 2, "member": 1}
LADDER = """
what          asker      owner  admin  moderator  member
remove        owner      -      ok     ok         ok
remove        admin      4001   4001   ok         ok
remove        moderator  4001   4001   4001       ok
remove        member     4001   4001   4001       4001
delete        owner      -      ok     ok         ok
delete        admin      4001   4001   ok         ok
delete        moderator  4001   4001   4001       ok
delete        member     4001   4001   4001       4001
to-owner      owner      -      ok     ok         ok
to-owner      admin      4001   4001   4001       4001
to-owner      moderator  4001   4001   4001       4001
to-owner      member     4001   4001   4001       4001
to-admin      owner      -      4005   ok         ok
to-admin      admin      4001   4001   4001       4001
to-admin      moderator  4001   4001   4001       4001
to-admin      member     4001   4001   4001       4001
to-moderator  owner      -      ok     4005       ok
to-moderator  admin      4001   4001   4005       ok
to-moderator  moderator  4001   4001   4001       4001
to-moderator  member     4001   4001   4001       4001
to-member     owner      -      ok     ok         4005
to-member     admin      4001   4001   ok         4005
to-member     moderator  4001   4001   4001       4001
to-member     member     4001   4001   4001       4001
to-nobody     owner      -      3000   3000       3000
to-nobody     admin      3000   3000   3000       3000
to-fifth      owner      -      3000   3000       3000
to-fifth      member     3000   3000   3000       3000
"""
"""The last columns: the role of the one it is done to."""


def _cells() -> list[tuple[str, str, str, str]]:
    head, *rows = [line.split() for line in LADDER.strip().splitlines()]
    return [
        (what, asker, target, outcome)
        for what, asker, *outcomes in rows
        for target, outcome in zip(head[2:], outcomes, strict=True)
        if outcome != "-"
    ]


class Group:
    """An owner, and two of each other role. Made again when a role in it is not what it was."""

    def __init__(self, victim: Victim) -> None:
        self.people = [victim.person(f"person{number}") for number in range(7)]
        self.outsider = victim.person("outsider")
        self.conv = 0
        self._messages: dict[int, int] = {}

    def of(self, role: str, but: Attacker | None = None) -> Attacker:
        """Somebody of this role."""
        first = {"owner": 0, "admin": 1, "moderator": 3, "member": 5}[role]
        return self.people[first + (self.people[first] is but)]

    def ready(self) -> None:
        """The group as it should be."""
        if self.conv:
            return
        owner, *others = self.people
        made = owner.ask(wire.ConvNew(0, os.urandom(8), 2, tuple(other.user for other in others)), wire.ConvNewOk)
        self.conv = made.conv
        for role, person in zip((3, 3, 2, 2), others, strict=False):
            owner.ask(wire.MemberSet(0, self.conv, os.urandom(8), person.user, role), wire.MemberSetOk)
        self._messages = {person.user: person.say(self.conv, "mine") for person in self.people}

    def request(self, what: str, target: Attacker) -> Any:
        """What is attempted on somebody."""
        cid = os.urandom(8)
        if what == "remove":
            return wire.MemberDel(0, self.conv, cid, target.user)
        if what == "delete":
            return wire.Send(0, self.conv, cid, 3, None, self._messages[target.user])
        role = ROLES.get(what.removeprefix("to-"), 0 if what == "to-nobody" else 5)
        return wire.MemberSet(0, self.conv, cid, target.user, role)


@pytest.fixture(scope="module")
def group(victim: Victim) -> Group:
    """One for all cells."""
    return Group(victim)


@pytest.mark.parametrize(("what", "role", "other", "outcome"), _cells())
def test_a14_a_role_does_what_is_below_it(
    victim: Victim, group: Group, what: str, role: str, other: str, outcome: str
) -> None:
    """A14: and where it may not, nothing is stored."""
    group.ready()
    asker = group.of(role)
    request = group.request(what, group.of(other, but=asker))
    before = victim.stored()
    answer = asker.answer(request)
    if outcome == "ok":
        assert not isinstance(answer, wire.Error)
        group.conv = 0
    else:
        assert answer.code == int(outcome)
        assert victim.stored() == before


RACES: dict[str, Callable[[Group], tuple[Any, Any]]] = {
    "a demoted admin removes": lambda g: (g.request("to-member", g.of("admin")), g.request("remove", g.of("member"))),
    "a demoted admin renames": lambda g: (
        g.request("to-member", g.of("admin")),
        wire.ConvSet(0, g.conv, os.urandom(8), "mine now"),
    ),
    "a removed admin adds": lambda g: (
        g.request("remove", g.of("admin")),
        wire.MemberAdd(0, g.conv, os.urandom(8), (g.outsider.user,)),
    ),
    "a removed admin speaks": lambda g: (
        g.request("remove", g.of("admin")),
        wire.Send(0, g.conv, os.urandom(8), 1, wire.Content(1, "one more thing")),
    ),
}


@pytest.mark.parametrize("race", RACES)
def test_a14_of_two_deeds_at_once_the_second_is_judged_by_the_first(group: Group, race: str) -> None:
    """A14 [10-3]: whatever order they come in, the log tells of no deed behind the loss of the right to it."""
    for _ in range(5):
        group.conv = 0
        group.ready()
        owner, admin = group.of("owner"), group.of("admin")
        loss, deed = RACES[race](group)
        loss.rid = deed.rid = 1_000_000
        owner.send(loss)
        admin.send(deed)
        lost = owner.expect(wire.Message, lambda m: getattr(m, "rid", 0) == 1_000_000)
        done = admin.expect(wire.Message, lambda m: getattr(m, "rid", 0) == 1_000_000)
        if isinstance(done, wire.Error):
            assert done.code == 4001
        else:
            assert done.seq < lost.seq  # type: ignore[attr-defined]
        for each in (owner, admin):
            each.pushes()

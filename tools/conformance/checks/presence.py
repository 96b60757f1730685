"""Section 13.5: presence and typing."""

from __future__ import annotations

import time
from contextlib import suppress

from ..catalogue import check
from ..decoder import Frame
from ..lab import Lab
from ..person import Person
from ..verdict import Failed, require, same
from .conversations import unknown_user

EPHEMERAL = ("PRESENCE", "TYPING")
NOBODY = 2
MINUTE_MS = 60_000
AGAIN_SECONDS = 3.0
"""After so long the same TYPING is passed on again (13-22)."""


def watch(who: Person, *users: int) -> list[tuple[int, bool]]:
    """PRESENCE_SUB: user and online of each, in the order of the answer. Raises Skipped where it is not offered."""
    told = who.ask("PRESENCE_SUB", users=list(users))["users"]
    return [(status["user"], status["online"]) for status in told]


def becomes(who: Person, user: int, online: bool, seconds: float = 6) -> dict[str, object]:
    """Waits for a PRESENCE that says so."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        frame = who.expect("PRESENCE", max(until - time.monotonic(), 0.1))
        for status in frame["users"]:
            if status["user"] == user and status["online"] == online:
                found: dict[str, object] = status
                return found
    raise Failed(f"PRESENCE of user {user} with online {online}", "none in time")


@check("13.5", "13-15", "13-16", level="L1")
def presence_is_told_and_kept_up(lab: Lab) -> None:
    """Online while a connection is active: STATE and the end of the connection change it."""
    alice, bob = lab.people(2)
    watch(alice)
    alice.new_direct(bob)
    same(watch(alice, bob.user), [(bob.user, True)], "user and online")
    bob.send("STATE", active=False)
    becomes(alice, bob.user, False)
    bob.send("STATE", active=True)
    becomes(alice, bob.user, True)
    bob.drop()
    status = becomes(alice, bob.user, False)
    require(status["seen"] is None or int(str(status["seen"])) % MINUTE_MS == 0, "seen in whole minutes", status)


@check("13.5", "13-15", level="L1")
def the_answer_has_one_status_for_each_id(lab: Lab) -> None:
    """In the order asked, unknown ids too; a new list replaces the one before."""
    alice, bob, carol = lab.people(3)
    watch(alice)
    alice.new_group(bob, carol)
    nobody = unknown_user()
    told = watch(alice, carol.user, nobody, bob.user)
    same(told, [(carol.user, True), (nobody, False), (bob.user, True)], "user and online")
    watch(alice, carol.user)
    bob.send("STATE", active=False)
    carol.send("STATE", active=False)
    becomes(alice, carol.user, False)
    alice.quiet(1.5, ("EVENT",))
    told_of = {status["user"] for frame in alice.seen if frame.name == "PRESENCE" for status in frame["users"]}
    same(told_of - {carol.user}, set(), "others that alice was told of")


@check("13.5", "13-17", level="L1")
def strangers_are_not_told(lab: Lab) -> None:
    """Without a conversation in common a user is answered as one who does not exist (P9)."""
    alice, eve = lab.people(2)
    nobody = unknown_user()
    told = alice.ask("PRESENCE_SUB", users=[eve.user, nobody])["users"]
    same({**told[0], "user": 0}, {**told[1], "user": 0}, "what is told of a stranger")
    same(told[0]["online"], False, "online")


@check("13.5", "13-17", "13-18", level="L1")
def who_shows_himself_to_nobody_sees_nobody(lab: Lab) -> None:
    """Audience NOBODY, either way round, within a second or so."""
    alice, bob = lab.people(2)
    watch(alice)
    alice.new_direct(bob)
    same(watch(alice, bob.user), [(bob.user, True)], "user and online")
    bob.ask("PROFILE_SET", audience=NOBODY)
    status = becomes(alice, bob.user, False)
    same((status["seen"], status["rev"]), (None, 0), "seen and rev")
    same(watch(bob, alice.user), [(alice.user, False)], "what bob sees of alice")


@check("13.5", "13-17", "13-18", "10-25", level="L1")
def the_blocked_are_never_there(lab: Lab) -> None:
    """After BLOCK each is offline to the other; after unblocking they are there again."""
    alice, bob = lab.people(2)
    watch(alice)
    alice.new_direct(bob)
    same((watch(alice, bob.user), watch(bob, alice.user)), ([(bob.user, True)], [(alice.user, True)]), "before")
    alice.ask("BLOCK", user=bob.user, on=True)
    becomes(alice, bob.user, False)
    becomes(bob, alice.user, False)
    alice.ask("BLOCK", user=bob.user, on=False)
    becomes(bob, alice.user, True)


@check("13.5", "13-19", level="L1")
def presence_takes_no_room_in_the_window(lab: Lab) -> None:
    """PRESENCE is ephemeral: with a window of 0 it comes all the same, and ACK does not count it."""
    alice, bob = lab.people(2)
    watch(alice)
    alice.new_direct(bob)
    watch(alice, bob.user)
    before = alice.counted
    alice.send("STATE", active=True, window=alice.counted)
    bob.send("STATE", active=False)
    becomes(alice, bob.user, False)
    same(alice.counted, before, "counted pushes")


def hears(who: Person, typist: Person, conv: int, on: bool = True) -> Frame:
    """The TYPING that somebody gets of the typist. One may be lost: then it is sent again."""
    for _ in range(2):
        typist.send("TYPING", conv=conv, on=on, user=who.user)
        with suppress(Failed):
            return who.expect("TYPING", AGAIN_SECONDS)
    typist.send("TYPING", conv=conv, on=on, user=who.user)
    return who.expect("TYPING")


@check("13.5", "13-22", level="L1")
def typing_reaches_the_other_members(lab: Lab) -> None:
    """With the user filled in by the server, whatever the client says; not back to oneself."""
    alice, bob = lab.people(2)
    watch(alice)
    conv = alice.new_direct(bob)
    for on in (True, False):
        frame = hears(bob, alice, conv, on)
        told = (frame["conv"], frame["on"], frame["user"])
        same(told, (conv, on, alice.user), "conv, on and user")
    alice.quiet(0.3, EPHEMERAL)


@check("13.5", "13-22", level="L1")
def typing_elsewhere_is_ignored(lab: Lab) -> None:
    """In a conversation one is not in, or that is not there: nothing, without a word."""
    alice, bob, eve = lab.people(3)
    watch(eve)
    conv = alice.new_group(bob)
    for where in (conv, conv ^ 1):
        eve.send("TYPING", conv=where, on=True)
    eve.pong()
    bob.quiet(0.5, EPHEMERAL)
    same(eve.unasked, [], "frames to eve")


@check("13.5", "13-22", "10-25", level="L1")
def typing_is_not_told_to_who_is_blocked(lab: Lab) -> None:
    """In groups neither, in both directions; a third member hears of it."""
    alice, bob, carol = lab.people(3)
    watch(alice)
    conv = carol.new_group(alice, bob)
    alice.ask("BLOCK", user=bob.user, on=True)
    for who in (alice, bob):
        same(hears(carol, who, conv)["user"], who.user, "user")
    for who in (alice, bob):
        who.quiet(0.4, ("TYPING",))


@check("13.5", "13-22", level="L1")
def typing_is_not_stored(lab: Lab) -> None:
    """It makes no entry, and who connects later is not told."""
    alice, bob = lab.people(2)
    watch(alice)
    conv = alice.new_direct(bob)
    bob.drop()
    alice.send("TYPING", conv=conv, on=True)
    alice.pong()
    back = lab.live_again(bob)
    back.quiet(0.5, EPHEMERAL)
    same(back.history(conv)["rev"], 1, "rev")

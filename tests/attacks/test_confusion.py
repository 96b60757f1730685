"""Attacks 13 and 15: ids of things that belong to others, and what one learns of a conversation before and after one's
time in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from tests.attacks.victim import NOWHERE, Attacker, Victim
from wirechat import wire

CID = bytes(8)
TEXT = wire.Content(1, "hello")

NAMING: dict[str, Callable[[int], Any]] = {
    "SEND": lambda conv: wire.Send(0, conv, CID, 1, TEXT),
    "SEND a reply": lambda conv: wire.Send(0, conv, CID, 1, TEXT, 1),
    "SEND an edit": lambda conv: wire.Send(0, conv, CID, 2, TEXT, 1),
    "SEND a delete": lambda conv: wire.Send(0, conv, CID, 3, None, 1),
    "SEND a reaction": lambda conv: wire.Send(0, conv, CID, 4, wire.Content(2, "x"), 1),
    "SEND a pin": lambda conv: wire.Send(0, conv, CID, 5, None, 1),
    "SEND a too large text": lambda conv: wire.Send(0, conv, CID, 1, wire.Content(1, "x" * 16_384)),
    "SEND what makes no sense": lambda conv: wire.Send(0, conv, CID, 99),
    "MARK": lambda conv: wire.Mark(0, conv, 1),
    "MARK far above": lambda conv: wire.Mark(0, conv, 2**53 - 1),
    "HISTORY": lambda conv: wire.History(0, conv),
    "HISTORY of the beginning": lambda conv: wire.History(0, conv, 1, 1),
    "CHANGES": lambda conv: wire.Changes(0, conv, 0),
    "CHANGES of the future": lambda conv: wire.Changes(0, conv, 2**53 - 1),
    "MARKS": lambda conv: wire.Marks(0, conv, 0),
    "MARKS of the future": lambda conv: wire.Marks(0, conv, 2**53 - 1),
    "WHO_READ": lambda conv: wire.WhoRead(0, conv, 1),
    "MEMBERS": lambda conv: wire.Members(0, conv),
    "MEMBER_ADD of nobody": lambda conv: wire.MemberAdd(0, conv, CID, (NOWHERE,)),
    "MEMBER_DEL of nobody": lambda conv: wire.MemberDel(0, conv, CID, NOWHERE),
    "MEMBER_SET of nobody": lambda conv: wire.MemberSet(0, conv, CID, NOWHERE, 1),
    "CONV_SET": lambda conv: wire.ConvSet(0, conv, CID, "title"),
    "CONV_GET": lambda conv: wire.ConvGet(0, (conv,)),
    "HIDE": lambda conv: wire.Hide(0, conv, (1,)),
    "PINS": lambda conv: wire.Pins(0, conv),
    "RECORDS": lambda conv: wire.Records(0, conv, (1, 2, 3)),
    "MENTIONS": lambda conv: wire.Mentions(0, conv),
    "UNREAD": lambda conv: wire.Unread(0, (conv,)),
}
OBJECTS = ("group", "direct", "notes", "account log")


class Household:
    """Ann and Bob with everything that two people can have, and Eve, who belongs to nothing of it."""

    def __init__(self, victim: Victim) -> None:
        self.victim = victim
        self.ann, self.bob, self.eve = (victim.person(name) for name in ("ann", "bob", "eve"))
        self.objects = {
            "group": self._new(2, self.bob.user),
            "direct": self._new(1, self.bob.user),
            "notes": self._new(3),
        }
        for conv in self.objects.values():
            self.ann.say(conv, "a secret")
        self.ann.ask(wire.DeviceSet(0, self.ann.device, "phone"), wire.DeviceSetOk)
        self.objects["account log"] = next(
            conv for conv, kind, *_ in victim.stored()["conv"] if kind == 6
        )  # of Ann: nobody else has one yet
        for each in (self.ann, self.bob):
            each.pushes()

    def _new(self, kind: int, *members: int) -> int:
        return self.ann.ask(wire.ConvNew(0, os.urandom(8), kind, members), wire.ConvNewOk).conv


@pytest.fixture(scope="module")
def house(victim: Victim) -> Household:
    """One for all cases."""
    return Household(victim)


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("what", NAMING)
def test_a13_what_belongs_to_others_does_not_exist(house: Household, what: str, name: str) -> None:
    """A13 [9-10]: a request that names it is answered, byte for byte, as for an id that was never given."""
    before = house.victim.stored()
    answers = [house.eve.answer(NAMING[what](conv), rid=5) for conv in (house.objects[name], NOWHERE)]
    assert answers[0].encode() == answers[1].encode()
    assert house.victim.stored() == before
    assert house.ann.pushes() == house.bob.pushes() == []


@pytest.mark.parametrize("name", OBJECTS)
def test_a13_nothing_can_be_forwarded_from_there(house: Household, name: str) -> None:
    """A13 [11-16]: 4000, whether the conversation, the message or the right is missing."""
    mine = house.eve.ask(wire.ConvNew(0, os.urandom(8), 3, ()), wire.ConvNewOk).conv
    for conv, seq in ((house.objects[name], 1), (house.objects[name], 2), (NOWHERE, 2)):
        forward = wire.Send(0, mine, os.urandom(8), 1, forward=wire.Source(conv, seq))
        assert house.eve.refused(forward) == 4000


@pytest.mark.parametrize("name", OBJECTS)
def test_a13_nobody_hears_of_who_types_there(house: Household, name: str) -> None:
    """A13 [13-22]: TYPING of one who is not in it."""
    house.eve.send(wire.Typing(house.objects[name], True))
    for _ in range(3):
        house.eve.ask(wire.Account(0), wire.AccountOk)
    assert house.ann.pushes() == house.bob.pushes() == []


@pytest.mark.parametrize("name", OBJECTS)
def test_a13_an_ack_that_names_it_moves_nothing(house: Household, name: str) -> None:
    """A13 [12-28]: positions in the conversations of others are ignored, without an answer."""
    before = house.victim.stored()["mark"]
    house.eve.send(wire.Ack(0, (wire.Held(house.objects[name], 2),)))
    assert house.eve.alive()
    house.victim.run(house.victim.rig.server.receipts.flush)
    assert house.victim.stored()["mark"] == before
    assert house.ann.pushes() == []


DEVICES: dict[str, Callable[[int], Any]] = {
    "DEVICE_SET": lambda device: wire.DeviceSet(0, device, "mine"),
    "DEVICE_REVOKE": lambda device: wire.DeviceRevoke(0, device),
}


@pytest.mark.parametrize("what", DEVICES)
def test_a13_devices_of_others_do_not_exist(house: Household, what: str) -> None:
    """A13 [8-27]: alike for a device of somebody else and for none."""
    answers = [house.eve.answer(DEVICES[what](device), rid=5) for device in (house.ann.device, NOWHERE)]
    assert answers[0].encode() == answers[1].encode()
    assert answers[0].code == 4000
    assert house.ann.alive()


def test_a13_a_key_opens_one_device(house: Household) -> None:
    """A13 [8-7]: Eve's signature for Ann's device, for none, and for her own device in another's name."""
    for device in (house.ann.device, NOWHERE):
        eve = house.victim.greeted()
        proof = house.eve.key.sign(wire.auth.signed_bytes(eve.welcome.nonce, device, 0, b""))
        answer = eve.answer(wire.Auth(0, 3, proof=proof, device=device), rid=5)
        assert answer == wire.Error(5, code=2001, message="unknown device or bad signature")
        eve.close()


def test_a13_cids_of_others_tell_nothing(house: Household) -> None:
    """A13: a cid is its sender's. With that of another one makes an entry of his own, and never learns of the other."""
    conv, cid = house.objects["group"], os.urandom(8)
    first = house.ann.ask(wire.Send(0, conv, cid, 1, TEXT), wire.SendOk)
    second = house.bob.ask(wire.Send(0, conv, cid, 1, TEXT), wire.SendOk)
    assert (second.seq, second.dup) == (first.seq + 1, False)
    third = house.bob.ask(wire.Send(0, conv, os.urandom(8), 1, wire.Content(1, "other")), wire.SendOk)
    assert third.seq == second.seq + 1
    (event,) = [push for push in house.ann.pushes() if isinstance(push, wire.Event) and push.seq == second.seq]
    assert event.cid is None
    house.bob.pushes()


def test_a13_a_sync_token_of_another_brings_ones_own_rows(house: Household) -> None:
    """A13: a token is a mark in time, no key: presented by somebody else it tells him what changed for himself."""
    house.ann.send(wire.Ping(1))
    token = house.ann.expect(wire.Pong).token
    eve = house.victim.greeted()
    eve.key, eve.device = house.eve.key, house.eve.device
    proof = eve.key.sign(wire.auth.signed_bytes(eve.welcome.nonce, eve.device, 0, b""))
    eve.ask(wire.Auth(0, 3, proof=proof, device=eve.device), wire.AuthOk)
    rows = eve.ask(wire.Sync(0, token), wire.SyncOk).rows
    assert not {row.conv for row in rows} & set(house.objects.values())
    house.eve = eve


def test_a13_lists_mix_nothing_in(house: Household) -> None:
    """A13: own and foreign ids in one question: the foreign ones are left out, and what is there stays the same."""
    own = house.eve.ask(wire.ConvNew(0, os.urandom(8), 2, (), "eve's"), wire.ConvNewOk).conv
    foreign = tuple(house.objects.values())
    assert house.eve.ask(wire.ConvGet(0, (*foreign, own, NOWHERE)), wire.ConvGetOk).infos == (
        wire.Info(own, 2, 4, 1, "eve's"),
    )
    assert [each.conv for each in house.eve.ask(wire.Unread(0, (*foreign, own, NOWHERE)), wire.UnreadOk).counts] == [
        own
    ]


# before one's time, and after


@pytest.fixture
def former(victim: Victim) -> tuple[Attacker, Attacker, Attacker, int]:
    """(owner, other, one who was removed, their group), with everything in it that one may see."""
    owner, other, gone = (victim.person(f"{name}{os.urandom(4).hex()}", 12) for name in ("owner", "other", "gone"))
    members = (other.user, gone.user)
    conv = owner.ask(wire.ConvNew(0, os.urandom(8), 2, members, "before"), wire.ConvNewOk).conv
    owner.ask(wire.ConvSet(0, conv, os.urandom(8), None, "about before"), wire.ConvSetOk)
    for text in ("one", "two", "three"):
        other.say(conv, text, mentions=(gone.user,))
    owner.ask(wire.Send(0, conv, os.urandom(8), 5, None, 4), wire.SendOk)
    owner.ask(wire.MemberDel(0, conv, os.urandom(8), gone.user), wire.MemberDelOk)
    for each in (owner, other, gone):
        each.pushes()
    return owner, other, gone, conv


def _questions(conv: int) -> list[Any]:
    return [
        *(wire.History(0, conv), wire.History(0, conv, 2**53 - 1), wire.Changes(0, conv, 0), wire.Changes(0, conv, 3)),
        *(wire.Records(0, conv, tuple(range(1, 50))), wire.Pins(0, conv), wire.Mentions(0, conv)),
        *(wire.Marks(0, conv, 0), wire.ConvGet(0, (conv,)), wire.Unread(0, (conv,)), wire.WhoRead(0, conv, 3)),
        *(wire.Members(0, conv), wire.Mark(0, conv, 99)),
    ]


def test_a15_a_former_member_learns_nothing_after(
    victim: Victim, former: tuple[Attacker, Attacker, Attacker, int]
) -> None:
    """A15 [9-9]: whatever happens in it, all his questions are answered as on the day when he left, byte for byte."""
    owner, other, gone, conv = former
    before = [gone.answer(question, rid=5).encode() for question in _questions(conv)]
    later = other.say(conv, "later", mentions=(gone.user,))
    newcomer = victim.person(f"new{os.urandom(4).hex()}")
    deeds: list[Any] = [
        wire.Send(0, conv, CID, 1, wire.Content(1, "a reply"), 3),
        wire.Send(0, conv, CID, 5, None, later),
        wire.ConvSet(0, conv, CID, "after"),
        wire.ConvSet(0, conv, CID, None, "about after"),
        wire.MemberAdd(0, conv, CID, (newcomer.user,)),
        wire.MemberSet(0, conv, CID, other.user, 3),
        wire.Mark(0, conv, later),
        wire.Send(0, conv, CID, 3, None, later),
    ]
    for deed in deeds:
        if hasattr(deed, "cid"):
            deed.cid = os.urandom(8)
        assert not isinstance(owner.answer(deed), wire.Error)
        assert [gone.answer(question, rid=5).encode() for question in _questions(conv)] == before, deed.NAME
        assert gone.pushes() == []


CHANGES_OF_WHAT_HE_SAW: dict[str, Callable[[int], Any]] = {
    "an edit": lambda conv: wire.Send(0, conv, os.urandom(8), 2, wire.Content(1, "changed"), 3),
    "a deletion": lambda conv: wire.Send(0, conv, os.urandom(8), 3, None, 3),
    "a reaction": lambda conv: wire.Send(0, conv, os.urandom(8), 4, wire.Content(2, "👀"), 3),
}


@pytest.mark.parametrize("what", CHANGES_OF_WHAT_HE_SAW)
def test_a15_what_changes_after_he_left_is_withheld_altogether(
    former: tuple[Attacker, Attacker, Attacker, int], what: str
) -> None:
    """A15 [9-9]: neither the new words nor the old ones, in any answer, nor by a forward; the others stay."""
    _, other, gone, conv = former
    other.ask(CHANGES_OF_WHAT_HE_SAW[what](conv), wire.SendOk)
    answers = [gone.answer(question, rid=5).encode() for question in _questions(conv)]
    assert not [body for body in answers if b"one" in body or b"changed" in body or "👀".encode() in body]
    assert [record.seq for record in gone.ask(wire.History(0, conv), wire.HistoryOk).records] == [1, 2, 4, 5, 7]
    mine = gone.ask(wire.ConvNew(0, os.urandom(8), 3, ()), wire.ConvNewOk).conv
    assert gone.refused(wire.Send(0, mine, os.urandom(8), 1, forward=wire.Source(conv, 3))) == 4000


def test_a15_a_newcomer_learns_nothing_from_before(
    victim: Victim, former: tuple[Attacker, Attacker, Attacker, int]
) -> None:
    """A15 [9-7]: not a text, a pin, a mention or a record of what was written before he joined, edited now or not."""
    owner, other, _, conv = former
    late = victim.person(f"late{os.urandom(4).hex()}")
    other.say(conv, "before his time", mentions=(late.user,))
    joined = owner.ask(wire.MemberAdd(0, conv, os.urandom(8), (late.user,)), wire.MemberAddOk).seq
    other.ask(wire.Send(0, conv, os.urandom(8), 2, wire.Content(1, "edited in his time"), 4), wire.SendOk)
    answers = [late.answer(question, rid=5).encode() for question in _questions(conv)]
    hidden = (b"one", b"two", b"three", b"before his time")
    assert not [body for body in answers if any(text in body for text in hidden)]
    assert [record.seq for record in late.ask(wire.History(0, conv), wire.HistoryOk).records] == [joined]
    assert late.ask(wire.Pins(0, conv), wire.PinsOk).pins == ()
    assert late.ask(wire.Mentions(0, conv), wire.MentionsOk).seqs == ()
    assert late.refused(wire.WhoRead(0, conv, 3)) == 4000
    assert late.refused(wire.Send(0, conv, os.urandom(8), 4, wire.Content(2, "👀"), 3)) == 4000
    assert late.refused(wire.Send(0, conv, os.urandom(8), 1, wire.Content(1, "re"), 3)) == 4000


def test_a15_his_row_moves_once(victim: Victim, former: tuple[Attacker, Attacker, Attacker, int]) -> None:
    """A15: to a device that comes back a former conversation is what it was, whatever has happened in it since."""
    _, other, gone, conv = former

    def rows() -> tuple[wire.Row, ...]:
        back = victim.greeted()
        proof = gone.key.sign(wire.auth.signed_bytes(back.welcome.nonce, gone.device, 0, b""))
        back.ask(wire.Auth(0, 3, proof=proof, device=gone.device), wire.AuthOk)
        return back.ask(wire.Sync(0), wire.SyncOk).rows

    before = rows()
    for text in ("a", "b", "c"):
        other.say(conv, text)
    other.ask(wire.Mark(0, conv, 9), wire.MarkOk)
    assert rows() == before == (attrs.evolve(before[0], head=7, rrev=0, state=1),)

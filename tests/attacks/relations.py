"""The relations and requests of authorization.txt: how somebody comes to stand to an object as its column says, and
what exactly is asked in its row.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.attacks.victim import NOWHERE, Attacker, Victim
from wirechat import wire
from wirechat.store.features import devices
from wirechat.store.tx import Tx

KEY = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
MEMBER, MODERATOR, ADMIN, OWNER = 1, 2, 3, 4
ROLES = {"owner": OWNER, "admin": ADMIN, "moder": MODERATOR}
DIRECT = ("blocked", "blocker")
OUT = ("left", "removed", "outsider")


@attrs.define
class Scene:
    """One asker, and the object of his requests."""

    asker: Attacker
    other: Attacker
    """Stands to the object as the table says."""
    witnesses: tuple[Attacker, ...]
    """Who would be told of what happens there."""
    conv: int
    theirs: int
    """seq of a message of the other that mentions the asker."""
    mine: int
    """seq of one of the asker; for an outsider, of the other."""
    pinned: int
    notes: int
    """The asker's notes to self, with a message at seq 2."""
    later: int
    """seq of a message of after the asker left, which an outsider does not see either."""
    cid: bytes = b""
    """Of the next request."""

    def elsewhere(self) -> Scene:
        """The same with a conversation that does not exist."""
        return attrs.evolve(self, conv=NOWHERE)


class Theatre:
    """Makes scenes. Owner and other are the same people in all of them, the asker is new each time."""

    def __init__(self, victim: Victim) -> None:
        self.victim = victim
        self.owner = victim.person("owner")
        self.other = victim.person("other")
        self.newcomer = victim.person("newcomer")
        self._askers = 0

    def scene(self, relation: str) -> Scene:
        """An asker who stands to a new object as `relation` says."""
        self._askers += 1
        asker = self.victim.person(f"asker{self._askers}")
        asker.ask(wire.Mark(0, notes := _new(asker, 3), 1), wire.MarkOk)
        asker.say(notes, "a note")
        make = self._direct if relation in DIRECT else self._group
        scene = make(asker, relation, notes)
        if relation == "unknown":
            scene.asker = self.stranger(asker)
        if relation == "elsewhere":
            self.victim.run(self.victim.rig.server.store.write, _revoke_unseen, asker.device)
        for each in {*scene.witnesses, scene.asker}:
            each.pushes()
        return scene

    def stranger(self, asker: Attacker) -> Attacker:
        """A connection of his device that has not logged in."""
        asker.close()
        other = self.victim.greeted()
        other.key, other.user, other.device = asker.key, asker.user, asker.device
        return other

    def another_device(self, asker: Attacker) -> Attacker:
        """His next device, logged in; he has lost the one before."""
        asker.close()
        device = asker.device + 1
        asker.device = device
        public = asker.key.public_key().public_bytes_raw()
        self.victim.run(self.victim.rig.server.store.write, devices.create, device, asker.user, public, "", 0)
        return self.victim.again(asker)

    def _group(self, asker: Attacker, relation: str, notes: int) -> Scene:
        owner = asker if relation == "owner" else self.owner
        members = [each.user for each in (self.other, asker) if each is not owner]
        if relation == "outsider":
            members.remove(asker.user)
        conv = _new(owner, 2, *members)
        if relation in ("admin", "moder"):
            role = ROLES[relation]
            owner.ask(wire.MemberSet(0, conv, os.urandom(8), asker.user, role), wire.MemberSetOk)
        theirs = self.other.say(conv, "to you", mentions=(asker.user,))
        mine = (self.other if relation == "outsider" else asker).say(conv, "mine")
        pinned = self.other.say(conv, "pinned")
        owner.ask(wire.Send(0, conv, os.urandom(8), 5, None, pinned), wire.SendOk)
        self.other.ask(wire.Mark(0, conv, pinned), wire.MarkOk)
        if relation in ("left", "removed"):
            by = asker if relation == "left" else owner
            by.ask(wire.MemberDel(0, conv, os.urandom(8), asker.user), wire.MemberDelOk)
        later = self.other.say(conv, "later") if relation in OUT else 99
        witnesses = (self.other,) if owner is asker else (self.owner, self.other)
        return Scene(asker, self.other, witnesses, conv, theirs, mine, pinned, notes, later)

    def _direct(self, asker: Attacker, relation: str, notes: int) -> Scene:
        conv = _new(asker, 1, self.other.user)
        theirs = self.other.say(conv, "to you", mentions=(asker.user,))
        mine, pinned = asker.say(conv, "mine"), self.other.say(conv, "pinned")
        asker.ask(wire.Send(0, conv, os.urandom(8), 5, None, pinned), wire.SendOk)
        asker.ask(wire.Mark(0, conv, theirs), wire.MarkOk)
        one, two = (self.other, asker) if relation == "blocked" else (asker, self.other)
        one.ask(wire.Block(0, two.user, True), wire.BlockOk)
        return Scene(asker, self.other, (self.other,), conv, theirs, mine, pinned, notes, 99)


def _new(who: Attacker, kind: int, *members: int) -> int:
    return who.ask(wire.ConvNew(0, os.urandom(8), kind, members), wire.ConvNewOk).conv


async def _revoke_unseen(tx: Tx, device: int) -> None:
    """As another node does it, before this one has passed over the store."""
    await tx.execute("UPDATE device SET revoked = TRUE WHERE device = $1", device)


def _send(s: Scene, kind: int, text: str | None = None, ref: int | None = None, **fields: Any) -> wire.Send:
    content = None if text is None else wire.Content(2 if kind == 4 else 1, text)
    return wire.Send(0, s.conv, s.cid, kind, content, ref, **fields)


def _auth(scene: Scene) -> wire.Auth:
    asker = scene.asker
    proof = asker.key.sign(wire.auth.signed_bytes(asker.welcome.nonce, asker.device, 0, b""))
    return wire.Auth(0, 3, proof=proof, device=asker.device)


REQUESTS: dict[str, Callable[[Scene, Theatre], Any]] = {
    "AUTH key": lambda s, t: _auth(s),
    "REGISTER key": lambda s, t: wire.Register(0, "somebody", 3, KEY),
    "SYNC first": lambda s, t: wire.Sync(0),
    "SEND msg": lambda s, t: _send(s, 1, "hello"),
    "SEND reply": lambda s, t: _send(s, 1, "hello", s.theirs),
    "SEND mention": lambda s, t: _send(s, 1, "hello", mentions=(s.other.user,)),
    "SEND forward-into": lambda s, t: _send(s, 1, forward=wire.Source(s.notes, 2)),
    "SEND forward-from": lambda s, t: _send(attrs.evolve(s, conv=s.notes), 1, forward=wire.Source(s.conv, s.theirs)),
    "SEND forward-unseen": lambda s, t: _send(attrs.evolve(s, conv=s.notes), 1, forward=wire.Source(s.conv, s.later)),
    "SEND edit-own": lambda s, t: _send(s, 2, "other words", s.mine),
    "SEND edit-other": lambda s, t: _send(s, 2, "other words", s.theirs),
    "SEND delete-own": lambda s, t: _send(s, 3, ref=s.mine),
    "SEND delete-other": lambda s, t: _send(s, 3, ref=s.theirs),
    "SEND react": lambda s, t: _send(s, 4, "👍", s.theirs),
    "SEND unreact": lambda s, t: _send(s, 4, ref=s.theirs),
    "SEND pin": lambda s, t: _send(s, 5, ref=s.theirs),
    "SEND unpin": lambda s, t: _send(s, 13, ref=s.pinned),
    "HISTORY all": lambda s, t: wire.History(0, s.conv),
    "CHANGES all": lambda s, t: wire.Changes(0, s.conv, 0),
    "RECORDS other": lambda s, t: wire.Records(0, s.conv, (s.theirs, s.later)),
    "PINS all": lambda s, t: wire.Pins(0, s.conv),
    "MENTIONS all": lambda s, t: wire.Mentions(0, s.conv),
    "MARK head": lambda s, t: wire.Mark(0, s.conv, 1000),
    "MARKS all": lambda s, t: wire.Marks(0, s.conv, 0),
    "WHO_READ other": lambda s, t: wire.WhoRead(0, s.conv, s.theirs),
    "UNREAD one": lambda s, t: wire.Unread(0, (s.conv,)),
    "HIDE other": lambda s, t: wire.Hide(0, s.conv, (s.theirs,)),
    "TYPING on": lambda s, t: wire.Typing(s.conv, True),
    "CONV_GET one": lambda s, t: wire.ConvGet(0, (s.conv,)),
    "CONV_SET title": lambda s, t: wire.ConvSet(0, s.conv, s.cid, "another title"),
    "CONV_SET about": lambda s, t: wire.ConvSet(0, s.conv, s.cid, None, "what it is for"),
    "MEMBERS all": lambda s, t: wire.Members(0, s.conv),
    "MEMBER_ADD new": lambda s, t: wire.MemberAdd(0, s.conv, s.cid, (t.newcomer.user,)),
    "MEMBER_ADD self": lambda s, t: wire.MemberAdd(0, s.conv, s.cid, (s.asker.user,)),
    "MEMBER_DEL other": lambda s, t: wire.MemberDel(0, s.conv, s.cid, s.other.user),
    "MEMBER_DEL self": lambda s, t: wire.MemberDel(0, s.conv, s.cid, s.asker.user),
    "MEMBER_SET moderator": lambda s, t: wire.MemberSet(0, s.conv, s.cid, s.other.user, MODERATOR),
    "MEMBER_SET owner": lambda s, t: wire.MemberSet(0, s.conv, s.cid, s.other.user, OWNER),
    "MEMBER_SET self": lambda s, t: wire.MemberSet(0, s.conv, s.cid, s.asker.user, OWNER),
    "CONV_NEW direct": lambda s, t: wire.ConvNew(0, s.cid, 1, (s.other.user,)),
    "CONV_NEW group": lambda s, t: wire.ConvNew(0, s.cid, 2, (s.other.user,)),
    "CONV_NEW notes": lambda s, t: wire.ConvNew(0, s.cid, 3, ()),
    "USER_GET other": lambda s, t: wire.UserGet(0, (s.other.user,)),
    "USER_FIND other": lambda s, t: wire.UserFind(0, "other"),
    "PRESENCE_SUB other": lambda s, t: wire.PresenceSub(0, (s.other.user,)),
    "BLOCK other": lambda s, t: wire.Block(0, s.other.user, True),
    "ACCOUNT own": lambda s, t: wire.Account(0),
    "PROFILE_SET name": lambda s, t: wire.ProfileSet(0, name="another name"),
    "PROFILE_SET handle": lambda s, t: wire.ProfileSet(0, handle="other"),
    "SECRET_SET key": lambda s, t: wire.SecretSet(0, key=KEY),
    "DEVICES own": lambda s, t: wire.Devices(0),
    "DEVICE_SET own": lambda s, t: wire.DeviceSet(0, s.asker.device, "phone"),
    "DEVICE_SET other": lambda s, t: wire.DeviceSet(0, s.other.device, "phone"),
    "DEVICE_REVOKE own": lambda s, t: wire.DeviceRevoke(0, s.asker.device),
    "DEVICE_REVOKE other": lambda s, t: wire.DeviceRevoke(0, s.other.device),
}

SPOILERS = {"SEND delete-own", "SEND delete-other", "SEND pin", "SEND unpin", "HIDE other", "BLOCK other"}
SPOILERS |= {"MEMBER_ADD new", "MEMBER_DEL other", "MEMBER_DEL self", "MEMBER_SET moderator", "MEMBER_SET owner"}
SPOILERS |= {"CONV_NEW direct", "CONV_NEW group", "DEVICE_REVOKE own", "REGISTER key"}
"""After these, where they are done, a scene is not any more what it was."""

SEEN: dict[str, Callable[[Any], Any]] = {
    "MARKS": lambda reply: reply.marks,
    "UNREAD": lambda reply: reply.counts,
    "CONV_GET": lambda reply: reply.infos,
    "PRESENCE_SUB": lambda reply: any(each.online or each.seen or each.rev for each in reply.users),
}
"""What there is to see in the answers that say nothing of what one may not see."""


def table(path: Path) -> dict[str, dict[str, str]]:
    """row -> relation -> outcome."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    relations = lines[0].split()[1:]
    rows = {}
    for line in lines[1:]:
        frame, what, *outcomes = line.split()
        assert len(outcomes) == len(relations), f"{path.name}: {frame} {what} has {len(outcomes)} cells"
        rows[f"{frame} {what}"] = dict(zip(relations, outcomes, strict=True))
    return rows

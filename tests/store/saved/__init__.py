"""Data as earlier versions left it, and what their clients were told then.

`NNNN.db.gz` is a database whose last migration is NNNN, written by the server of that time; `NNNN.json` holds the
people in it, the very bytes they asked with, and the answers. A state is saved once, before the next migration is
added: `python -m tests.store.saved make`. It is never made again: a later program would not write what the earlier one
wrote.
"""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import apsw
import attrs
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.server.rig import PATIENCE, Client, Rig, serving
from wirechat import wire
from wirechat.server.passwords import Passwords
from wirechat.store.features import accounts
from wirechat.store.migrations import migrations
from wirechat.store.sqlite import FILE
from wirechat.wire.registries import AuthMethod, EntryKind
from wirechat.world import REAL

HERE = Path(__file__).parent
STATES = sorted(int(path.name[:4]) for path in HERE.glob("*.db.gz"))
WORLD = attrs.evolve(REAL, now_ms=lambda: 1_795_000_000_000)
"""A clock that stands, so that no resume token ever grows too old."""

PASSWORD = b"looking-glass"
NOT_COMPARED = ("rid", "token", "message", "retry_ms")
"""What may be another one each time."""


def unpack(state: int, folder: Path) -> list[dict[str, Any]]:
    """Put the database of a state into a directory; returns the people in it."""
    folder.mkdir(parents=True)
    (folder / FILE).write_bytes(gzip.decompress((HERE / f"{state:04}.db.gz").read_bytes()))
    people: list[dict[str, Any]] = json.loads((HERE / f"{state:04}.json").read_text())
    return people


async def login(rig: Rig, person: dict[str, Any]) -> Client:
    """A connection of a saved device: the resume token if it has one, else the password if it has one, else the key."""
    client = await rig.greeted()
    client.user, client.device = person["user"], person["device"]
    client.key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(person["key"]))
    if "resume" in person:
        await client.ask(wire.Auth(0, AuthMethod.RESUME, proof=bytes.fromhex(person["resume"])), wire.AuthOk)
    elif "password" in person:
        proof, handle = person["password"].encode(), person["handle"]
        await client.ask(wire.Auth(0, AuthMethod.PASSWORD, handle, proof=proof, device=client.device), wire.AuthOk)
    else:
        await client.login()
    return client


async def answer(client: Client, frame: bytes) -> dict[str, Any]:
    """Send the bytes of a request; its answer as JSON would have it."""
    await client.send(_Raw(frame))
    rid = getattr(wire.decode(frame[4:], side="client"), "rid", None)
    reply = await client.expect(wire.Message, lambda message: getattr(message, "rid", None) == rid)
    facts = attrs.asdict(reply, value_serializer=lambda _, __, value: value.hex() if type(value) is bytes else value)
    plain: dict[str, Any] = json.loads(json.dumps(facts))
    return {"frame": reply.NAME, **{name: value for name, value in plain.items() if name not in NOT_COMPARED}}


def covers(then: Any, now: Any) -> bool:
    """`now` says everything that `then` said; it may say more, in new fields."""
    if isinstance(then, dict):
        return isinstance(now, dict) and all(name in now and covers(value, now[name]) for name, value in then.items())
    if isinstance(then, list):
        return isinstance(now, list) and len(then) == len(now) and all(map(covers, then, now))
    return bool(then == now)


class _Raw(wire.Message):
    """Bytes as they are."""

    def __init__(self, frame: bytes) -> None:
        self._frame = frame

    def encode(self) -> bytes:
        return self._frame


# making one


async def make(folder: Path) -> None:
    """Save the present state. Raises FileExistsError when it is saved already."""
    state = len(migrations("sqlite"))
    if state in STATES:
        raise FileExistsError(f"state {state:04} is saved already")
    async with serving(folder, world=WORLD) as rig:
        story = Story(rig)
        await story.tell()
        people = await story.people()
    apsw.Connection(str(folder / FILE)).pragma("journal_mode", "delete")
    (HERE / f"{state:04}.db.gz").write_bytes(gzip.compress((folder / FILE).read_bytes(), mtime=0))
    (HERE / f"{state:04}.json").write_text(json.dumps(people, ensure_ascii=False, separators=(",", ":")) + "\n")


class Story:
    """What was said and done, with one of everything; extended when there is something new to say."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.clients: dict[str, Client] = {}
        self.asked: dict[str, list[wire.Request]] = {}
        self.convs: list[int] = []

    async def person(self, handle: str) -> Client:
        client = self.clients[handle] = await self.rig.person(handle, sync=False)
        (page,) = await client.sync()
        self.asked[handle] = [wire.Sync(0, page.token)]
        return client

    async def do(self, who: str, request: Any) -> Any:
        """Ask, and ask the same again when the answers are saved."""
        self.asked[who].append(request)
        return await self.clients[who].ask(request, request.REPLY)

    async def say(
        self, who: str, conv: int, text: str | None, kind: int = EntryKind.MSG, ref: int | None = None
    ) -> int:
        content = None if text is None else wire.Content(2 if kind == EntryKind.REACT else 1, text)
        sent: wire.SendOk = await self.do(who, wire.Send(0, conv, os.urandom(8), kind, content, ref))
        return sent.seq

    async def tell(self) -> None:
        """One group with members who left and came back, one conversation of two, one of everything in a log."""
        alice, bob, carol, dave = [await self.person(handle) for handle in ("alice", "bob", "carol", "dave")]
        await self.rig.server.store.write(accounts.set_password, "carol", await Passwords(REAL).hash(PASSWORD))
        new = wire.ConvNew(0, os.urandom(8), 2, (bob.user, carol.user), "Tea at six ☕")
        conv = (await self.do("alice", new)).conv
        first = await self.say("alice", conv, "Shall we?")
        second = await self.say("bob", conv, "This will be deleted")
        await self.say("alice", conv, "Shall we meet?", EntryKind.EDIT, first)
        await self.say("alice", conv, "Shall we meet at six?", EntryKind.EDIT, first)
        await self.say("bob", conv, "This, too, will be deleted", EntryKind.EDIT, second)
        await self.say("carol", conv, "👍", EntryKind.REACT, first)
        await self.say("bob", conv, "🎉", EntryKind.REACT, first)
        await self.say("bob", conv, None, EntryKind.REACT, first)
        await self.say("alice", conv, "❤", EntryKind.REACT, second)
        await self.say("bob", conv, None, EntryKind.DELETE, second)
        await self.say("carol", conv, "At six", ref=first)
        await self.do("alice", wire.MemberDel(0, conv, os.urandom(8), carol.user))
        await self.say("bob", conv, "Carol does not hear this")
        await self.do("alice", wire.MemberAdd(0, conv, os.urandom(8), (carol.user, dave.user)))
        await self.say("dave", conv, "Hello")
        await self.do("dave", wire.MemberDel(0, conv, os.urandom(8), dave.user))
        last = await self.say("carol", conv, "x" * 5000)
        other = (await self.do("bob", wire.ConvNew(0, os.urandom(8), 1, (alice.user,)))).conv
        for number in range(12):
            await self.say("bob" if number % 3 else "alice", other, f"line {number}")
        self.convs = [conv, other]
        await self.do("bob", wire.Mark(0, conv, last - 2))
        await self.do("alice", wire.Mark(0, other, 7))
        await self._acknowledge(bob, conv, last)

    async def _acknowledge(self, client: Client, conv: int, seq: int) -> None:
        """Delivered without being read; it is written a little later."""
        await client.send(wire.Ack(1, (wire.Held(conv, seq),)))
        with trio.fail_after(PATIENCE):
            while True:
                marks = (await client.ask(wire.Marks(0, conv, 0), wire.MarksOk)).marks
                if any(mark.user == client.user and mark.delivered == seq for mark in marks):
                    return
                await trio.sleep(0.1)

    async def people(self) -> list[dict[str, Any]]:
        """Everyone, with what he asks and is told."""
        return [await self._person(handle) for handle in self.clients]

    async def _person(self, handle: str) -> dict[str, Any]:
        client = self.clients[handle]
        person = {"handle": handle, "user": client.user, "device": client.device}
        person["key"] = client.key.private_bytes_raw().hex()
        asking = await self.rig.greeted()
        asking.key, asking.device = client.key, client.device
        logged_in = await asking.login()
        if handle == "carol":
            person["password"] = PASSWORD.decode()
        if handle == "dave":
            person["resume"] = logged_in.resume.hex()
        asked = []
        for rid, request in enumerate([*self.asked[handle], *self.questions()], 1000):
            request.rid = rid
            asked.append([request.encode().hex(), await answer(asking, request.encode())])
        return {**person, "asked": asked}

    def questions(self) -> list[Any]:
        """What everyone would like to know."""
        users = tuple(client.user for client in self.clients.values())
        found: list[Any] = [wire.UserGet(0, users), wire.UserFind(0, "alice"), wire.UserFind(0, "nobody")]
        found += [wire.ConvGet(0, tuple(self.convs)), wire.ConvGet(0, (424242,))]
        for conv in self.convs:
            found += [wire.Members(0, conv), wire.Marks(0, conv, 0), wire.WhoRead(0, conv, 2)]
            found += [wire.Changes(0, conv, 0), wire.Changes(0, conv, 6, 3), wire.History(0, conv, None, 5)]
        return found

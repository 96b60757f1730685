"""What the tests of the specification say often, in one word each."""

import os
import socket
from typing import Any

import trio

from tests.server.rig import Client, Rig
from wirechat import wire
from wirechat.wire.packing import pack


def frame(*items: Any) -> bytes:
    """A frame of any items, a dict in last place being the extras."""
    body = pack(list(items))
    return len(body).to_bytes(4, "big") + body


def msg(conv: int, said: str, ref: int | None = None, rid: int = 0) -> wire.Send:
    """A message, with a fresh cid."""
    return wire.Send(rid, conv, os.urandom(8), 1, wire.Content(1, said), ref)


def edit(conv: int, ref: int | None, said: str) -> wire.Send:
    return wire.Send(0, conv, os.urandom(8), 2, wire.Content(1, said), ref)


def delete(conv: int, ref: int | None) -> wire.Send:
    return wire.Send(0, conv, os.urandom(8), 3, None, ref)


def react(conv: int, ref: int | None, emoji: str | None) -> wire.Send:
    content = None if emoji is None else wire.Content(2, emoji)
    return wire.Send(0, conv, os.urandom(8), 4, content, ref)


async def done(client: Client, request: wire.Send) -> int:
    """Send it and return its seq."""
    sent: wire.SendOk = await client.ask(request, wire.SendOk)
    return sent.seq


async def add(client: Client, conv: int, *others: Client) -> int:
    request = wire.MemberAdd(0, conv, os.urandom(8), tuple(other.user for other in others))
    return int((await client.ask(request, wire.MemberAddOk)).seq)


async def remove(client: Client, conv: int, other: Client) -> int:
    return int((await client.ask(wire.MemberDel(0, conv, os.urandom(8), other.user), wire.MemberDelOk)).seq)


async def changes(client: Client, conv: int, since: int = 0, limit: int = 100) -> wire.ChangesOk:
    page: wire.ChangesOk = await client.ask(wire.Changes(0, conv, since, limit), wire.ChangesOk)
    return page


async def history(client: Client, conv: int, hi: int | None = None, limit: int = 100) -> wire.HistoryOk:
    page: wire.HistoryOk = await client.ask(wire.History(0, conv, hi, limit), wire.HistoryOk)
    return page


async def marks(client: Client, conv: int, since: int = 0, limit: int = 200) -> wire.MarksOk:
    page: wire.MarksOk = await client.ask(wire.Marks(0, conv, since, limit), wire.MarksOk)
    return page


async def pong(client: Client, t: int = 1) -> wire.Pong:
    await client.send(wire.Ping(t))
    return await client.expect(wire.Pong, lambda answer: answer.t == t)


async def row_of(rig: Rig, client: Client, conv: int) -> wire.Row:
    """What the digest says to this user now, on a connection that replaces the client's."""
    back = await rig.again(client)
    rows = [row for page in await back.sync() for row in page.rows if row.conv == conv]
    assert len(rows) == 1
    return rows[0]


async def narrow(rig: Rig, person: Client) -> Client:
    """The device again, live, with the largest window and a small receive buffer."""
    raw = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await raw.connect(("127.0.0.1", rig.listeners["tcp"].port))
    client = Client(trio.SocketStream(raw))
    await client.send(wire.Hello("WC", 1, 1, (), "narrow", 1024))
    client.welcome = await client.expect(wire.Welcome)
    client.key, client.user, client.device = person.key, person.user, person.device
    await client.login()
    await client.sync()
    return client


async def stalled(rig: Rig, client: Client, talker: Client, conv: int) -> None:
    """Fill the way to a client that does not read, until the server must wait."""
    (connection,) = [each for each in rig.server.connections if each.session and each.session.user == client.user]
    for _ in range(40):
        await talker.send(*[msg(conv, "x" * 16384, rid=100_000 + number) for number in range(20)])
        for number in range(20):
            await talker.expect(wire.SendOk, lambda ok, rid=100_000 + number: ok.rid == rid)  # type: ignore[misc]
        if connection.outbox.draining:
            return
    raise AssertionError("the way never filled")

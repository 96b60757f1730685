"""Who a measurement runs over: accounts, live connections, conversations, made before anything is measured.

Requests go out to many connections before the first answer is awaited, so that set-up costs the server's time and not
a round trip each.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator, Sequence

import attrs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench import streams
from bench.client import Account, Client
from wirechat import wire

TOGETHER = 100
"""Connections set up side by side; the server lets a stranger stay only so long."""

ASKED_TOGETHER = 50
"""Requests of one connection: below what the protocol lets it have unanswered."""
NAMED_TOGETHER = wire.limits.ARRAY_ITEMS - 1
"""Members that one frame of a client can name."""

SUBPROTOCOL = "wirechat.v1"

Connect = Callable[[], Client]


@attrs.define
class Conversation:
    """A conversation, who is in it, and the seq of its last entry."""

    conv: int
    members: list[Client]
    head: int


@attrs.frozen
class Scene:
    """Everybody, each in one pair, and some of them in a group."""

    clients: list[Client]
    pairs: list[Conversation]
    group: Conversation | None


def connector(port: int, tls: ssl.SSLContext | None = None, web: bool = False) -> Connect:
    """A function that opens a connection to a port of this machine; `web`: a WebSocket."""

    def connect() -> Client:
        stream = streams.connect(port, tls)
        return Client(streams.WebSocket(stream, SUBPROTOCOL, framed=True) if web else stream)

    return connect


def scene(connect: Connect, pairs: int, group: int) -> Scene:
    """Pairs with a direct conversation each; the first `group` people are also in one group."""
    clients = gather(connect, max(2 * pairs, group))
    directs = make_pairs(clients[: 2 * pairs])
    return Scene(clients, directs, make_group(clients[:group]) if group else None)


def gather(connect: Connect, count: int) -> list[Client]:
    """New people with a live connection each, made one after the other."""
    return log_in(connect, register(connect, count))


def make_pairs(clients: Sequence[Client]) -> list[Conversation]:
    """A direct conversation for each two that follow each other."""
    twos = [list(clients[at : at + 2]) for at in range(0, len(clients), 2)]
    for first, second in twos:
        first.send(wire.ConvNew(0, os.urandom(8), 1, (second.user,), None))
    return [_made(two) for two in twos]


def make_group(members: list[Client]) -> Conversation:
    """A group, once everybody has heard of everybody."""
    owner, *others = members
    named = [others[at : at + NAMED_TOGETHER] for at in range(0, len(others), NAMED_TOGETHER)]
    owner.send(wire.ConvNew(0, os.urandom(8), 2, tuple(each.user for each in named[0]), "group"))
    group = _made([owner, *named[0]])
    for more in named[1:]:
        owner.send(wire.MemberAdd(0, group.conv, os.urandom(8), tuple(each.user for each in more)))
        group.head = owner.expect(wire.MemberAddOk).seq
        for member in [*group.members[1:], *more]:
            while member.expect(wire.Event).seq != group.head:
                pass
        group.members += more
    return group


def _made(members: list[Client]) -> Conversation:
    """The conversation the first one asked for, once everybody has heard of it."""
    conv = members[0].expect(wire.ConvNewOk).conv
    for member in members[1:]:
        while member.expect(wire.Event).conv != conv:
            pass
    return Conversation(conv, members, 1)


def make_groups(owner: Client, others: Sequence[int], count: int) -> list[int]:
    """So many groups with the same people; returns their ids."""
    groups = []
    for together in _slices(count, ASKED_TOGETHER):
        for _ in together:
            owner.send(wire.ConvNew(0, os.urandom(8), 2, tuple(others), "group"))
        groups += [owner.expect(wire.ConvNewOk).conv for _ in together]
    return groups


def relayed(connect: Connect, pairs: int) -> Scene:
    """Pairs at the relay, which knows nobody: HELLO names the conversation."""
    conversations = []
    for number in range(pairs):
        members = [connect(), connect()]
        for member in members:
            member.greet(str(number))
            member.send(wire.Ping(0))
            member.expect(wire.Pong)
        conversations.append(Conversation(2**52 + number, members, 0))
    return Scene([member for each in conversations for member in each.members], conversations, None)


def register(connect: Connect, count: int) -> list[Account]:
    """New accounts with a device key each, made over connections of their own."""
    accounts = []
    for together in _slices(count):
        client = connect()
        client.greet()
        client.welcomed()
        keys = [Ed25519PrivateKey.generate() for _ in together]
        for key in keys:
            client.send(wire.Register(0, f"b{os.urandom(8).hex()}", 3, key.public_key().public_bytes_raw()))
        for key in keys:
            made = client.expect(wire.RegisterOk)
            accounts.append(Account(made.user, made.device or 0, key))
        client.close()
    return accounts


def log_in(connect: Connect, accounts: Sequence[Account]) -> list[Client]:
    """A live connection for each account."""
    clients: list[Client] = []
    for together in _slices(len(accounts)):
        some = [(connect(), accounts[at]) for at in together]
        for client, _ in some:
            client.greet()
        for client, account in some:
            client.welcomed()
            client.log_in(account)
        for client, _ in some:
            client.expect(wire.AuthOk)
            client.send(wire.Sync(0))
        for client, _ in some:
            client.expect(wire.SyncOk)
        clients += [client for client, _ in some]
    return clients


def sync(client: Client, horizon: bytes | None) -> tuple[int, bytes | None]:
    """The whole digest; returns how many conversations it names, and the new horizon."""
    client.send(wire.Sync(0, horizon))
    return synced(client)


def synced(client: Client) -> tuple[int, bytes | None]:
    """The same, once SYNC is sent."""
    rows = 0
    while True:
        page = client.expect(wire.SyncOk)
        rows += len(page.rows)
        if page.cursor is None:
            return rows, page.token
        client.send(wire.Sync(0, None, cursor=page.cursor))


def _slices(count: int, size: int = TOGETHER) -> Iterator[range]:
    for at in range(0, count, size):
        yield range(at, min(at + size, count))

"""What crosses the socket, both directions, counted at the socket of a real client. Of a conversation that has
just begun: numbers that grow with it take up to four bytes more.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator

from bench import people
from bench.benchmark import Benchmark, Row, Run
from bench.client import Client
from bench.login import Device, by_key
from bench.people import Connect
from bench.process import serve
from bench.streams import PATIENCE, WebSocket
from wirechat import wire

PAGE = 20
TEXT = wire.Content(1, "t" * 64)
BUDGETS = {"message": "message", "ack": "ack", "heartbeat": "heartbeat", "resume": "idle resume", "page": "page"}
"""Row -> the budget of the same name."""
_ABOUT = {
    "login": "from connecting to the end of SYNC, by resume token in one flight, nothing changed",
    "message": "64 bytes of text: SEND, SEND_OK, and the EVENT of one receiver",
    "ack": "an ACK of what was received",
    "heartbeat": "PING and PONG",
    "resume": "SYNC and SYNC_OK when nothing changed",
    "page": f"{PAGE} missed messages of 64 bytes: CHANGES and its answer",
}
ROWS = {**_ABOUT, **{f"{row}_ws": f"{about}, over WebSocket" for row, about in _ABOUT.items()}}


class Counted:
    """A socket and how many bytes went through it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.bytes = 0
        self.fileno, self.close, self.setblocking = sock.fileno, sock.close, sock.setblocking

    def send(self, data: bytes, /) -> int:
        """As of a socket."""
        sent = self._sock.send(data)
        self.bytes += sent
        return sent

    def sendall(self, data: bytes, /) -> None:
        """As of a socket."""
        self._sock.sendall(data)
        self.bytes += len(data)

    def recv(self, size: int, /) -> bytes:
        """As of a socket."""
        data = self._sock.recv(size)
        self.bytes += len(data)
        return data


class Tap:
    """Opens connections and counts what goes through all of them."""

    def __init__(self, port: int, web: bool) -> None:
        self._port = port
        self._web = web
        self._counted: list[Counted] = []

    def connect(self) -> Client:
        """One more."""
        counted = Counted(socket.create_connection(("127.0.0.1", self._port), PATIENCE))
        self._counted.append(counted)
        return Client(WebSocket(counted, people.SUBPROTOCOL, framed=True) if self._web else counted)

    def bytes_of(self, deed: Callable[[], object]) -> int:
        """What it takes."""
        before = sum(each.bytes for each in self._counted)
        deed()
        return sum(each.bytes for each in self._counted) - before


def measure(run: Run) -> Iterator[Row]:
    """Each deed, over TCP and over WebSocket."""
    budgets = json.loads((run.root / "protocol" / "budgets.json").read_text("utf-8"))["budgets"]
    allowed = {each["name"]: each["bytes"] for each in budgets}
    for listen, suffix in (("--tcp", ""), ("--ws", "_ws")):
        if not any(run.wants(name + suffix) for name in _ABOUT):
            continue
        with serve(run.root, listen, "127.0.0.1:0") as process:
            tap = Tap(process.port, web=listen == "--ws")
            for name, size in _deeds(tap):
                if run.wants(row := name + suffix):
                    budget = None if suffix else allowed.get(BUDGETS.get(name, ""))
                    yield Row(row, {"bytes": size} | ({} if budget is None else {"budget_bytes": budget}))


def _deeds(tap: Tap) -> Iterator[tuple[str, int]]:
    first, second = people.register(tap.connect, 2)
    device = Device(first, b"")
    by_key(tap.connect, [device])
    clients: list[Client] = []
    yield "login", tap.bytes_of(lambda: clients.append(_come_back(tap.connect, device)))
    ann, (bob,) = clients[0], people.log_in(tap.connect, [second])
    ann.send(wire.ConvNew(0, os.urandom(8), 1, (second.user,), None))
    conv = ann.expect(wire.ConvNewOk).conv
    bob.expect(wire.Event)
    yield "message", tap.bytes_of(lambda: _say(ann, conv, bob))
    yield "heartbeat", tap.bytes_of(lambda: _ping(ann))  # before an ACK: its RECEIPT could come just then
    yield "ack", tap.bytes_of(lambda: bob.send(wire.Ack(2)))
    for _ in range(PAGE - 1):
        _say(ann, conv, bob)
    yield "page", tap.bytes_of(lambda: _pull(bob, conv))
    ann.close()
    by_key(tap.connect, [device])
    again = tap.connect()
    again.greet()
    again.welcomed()
    again.log_in(first)
    again.expect(wire.AuthOk)
    yield "resume", tap.bytes_of(lambda: _sync(again, device))
    again.close()
    bob.close()


def _come_back(connect: Connect, device: Device) -> Client:
    client = connect()
    client.come_back(device.account, device.resume, device.horizon)
    client.expect(wire.SyncOk)
    return client


def _say(sender: Client, conv: int, receiver: Client) -> None:
    sender.send(wire.Send(0, conv, os.urandom(8), 1, TEXT))
    sender.expect(wire.SendOk)
    receiver.expect(wire.Event)


def _ping(client: Client) -> None:
    client.send(wire.Ping(100))
    client.expect(wire.Pong)


def _pull(client: Client, conv: int) -> None:
    client.send(wire.Changes(0, conv, 1))
    client.expect(wire.ChangesOk)


def _sync(client: Client, device: Device) -> None:
    client.send(wire.Sync(0, device.horizon))
    client.expect(wire.SyncOk)


BENCHMARK = Benchmark("wire_bytes", "How many bytes cross the wire?", ROWS, measure, repeat_max=1)

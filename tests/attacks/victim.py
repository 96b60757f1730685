"""A real server in a thread, and clients that block: hundreds of cases share it, each with sockets of its own.

What a case looks at is what an attacker gets (bytes), what others get (pushes), and what is stored, which is read from
the database file by a connection that the server knows nothing of.
"""

from __future__ import annotations

import itertools
import os
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import apsw
import attrs
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.server.rig import PATIENCE, Rig, serving
from wirechat import wire
from wirechat.server.config import Config, Limits
from wirechat.server.connection import Connection
from wirechat.server.listeners import Tls
from wirechat.wire.packing import pack

M = TypeVar("M", bound=wire.Message)

NOWHERE = 4_242
"""The id of a conversation, device or account that was never given: real ones are larger."""

HELLO = wire.Hello("WC", 1, 1, (), "attacker")

LIMITS = Limits(failures_per_account=1_000_000, failures_per_address=1_000_000)
"""All cases come from one address: only those about guessing may be locked out."""

COUNTED = wire.Event, wire.Receipt, wire.Rows

WRITTEN_BEHIND = {"seen"}
"""Columns that change by themselves a little later."""

COUNTER = "stamp"
"""The table that counts transactions, those in which everything was refused too."""


@attrs.define
class Victim:
    """The server that is attacked."""

    rig: Rig
    folder: Path
    token: trio.lowlevel.TrioToken
    _stored: tuple[int, dict[str, list[Any]]] = (0, {})
    _database: apsw.Connection | None = None

    def port(self, transport: str = "tcp") -> int:
        return self.rig.listeners[transport].port

    def run(self, work: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        """Await something inside the server's loop, and return what it returned."""
        return trio.from_thread.run(work, *args, trio_token=self.token)

    def stored(self) -> dict[str, list[Any]]:
        """Every row of every table, but for what is written behind. Read again only after somebody has committed."""
        if self._database is None:
            self._database = apsw.Connection(str(self.folder / "wirechat.db"), flags=apsw.SQLITE_OPEN_READONLY)
        db = self._database
        version = db.pragma("data_version")
        if version != self._stored[0]:
            names = [row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY 1")]
            names.remove(COUNTER)
            self._stored = version, {name: db.execute(_select(db, name)).fetchall() for name in names}
        return self._stored[1]

    def connections(self) -> list[Connection]:
        """The server's side of all connections."""

        async def found() -> list[Connection]:
            return list(self.rig.server.connections)

        return list(self.run(found))

    def connection(self, user: int) -> Connection:
        """The server's side of somebody's only connection."""
        (found,) = [each for each in self.connections() if each.session and each.session.user == user]
        return found

    def attacker(self, transport: str = "tcp") -> Attacker:
        """A bare connection."""
        return Attacker(socket.create_connection(("127.0.0.1", self.port(transport)), PATIENCE))

    def greeted(self, *caps: int) -> Attacker:
        """One that has said HELLO."""
        attacker = self.attacker()
        attacker.send(attrs.evolve(HELLO, caps=caps))
        attacker.welcome = attacker.expect(wire.Welcome)
        return attacker

    def person(self, handle: str, *caps: int) -> Attacker:
        """One with a new account, logged in and live."""
        client = self.greeted(*caps)
        client.key = Ed25519PrivateKey.generate()
        public = client.key.public_key().public_bytes_raw()
        made = client.ask(wire.Register(0, handle, 3, public), wire.RegisterOk)
        client.user, client.device = made.user, made.device
        client.login()
        return client

    def again(self, client: Attacker) -> Attacker:
        """Another connection of the same device, logged in and live."""
        other = self.greeted()
        other.key, other.user, other.device = client.key, client.user, client.device
        other.login()
        return other


@contextmanager
def attacked(
    folder: Path,
    config: Config | None = None,
    tls: Tls | None = None,
    trusted: frozenset[str] = frozenset(),
    opened: Callable[[Path], AbstractAsyncContextManager[Rig]] | None = None,
) -> Iterator[Victim]:
    """A server for as long as the block runs. `opened`: another way to open one."""
    ready, box = threading.Event(), []
    config = config or Config(grease=0, limits=LIMITS)

    async def main() -> None:
        opening = opened(folder) if opened else serving(folder, config, tls=tls, trusted=trusted)
        async with opening as rig:
            over = trio.Event()
            box.append((Victim(rig, folder, trio.lowlevel.current_trio_token()), over))
            ready.set()
            await over.wait()

    thread = threading.Thread(target=trio.run, args=(main,), daemon=True)
    thread.start()
    assert ready.wait(PATIENCE)
    victim, over = box[0]
    try:
        yield victim
    finally:
        victim.token.run_sync_soon(over.set)
        thread.join(PATIENCE)
        assert not thread.is_alive()


class Attacker:
    """One connection, frame by frame, that blocks."""

    welcome: wire.Welcome
    key: Ed25519PrivateKey

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sock.settimeout(PATIENCE)
        self.user = self.device = 0
        self.seen: list[wire.Message] = []
        """What came while something else was awaited."""
        self._buffer = bytearray()
        self._rids = itertools.count(1)
        self._pushed = 0

    def raw(self, data: bytes) -> None:
        """Any bytes. That the server has gone by now is no fault of the case."""
        try:
            self.sock.sendall(data)
        except OSError:
            pass

    def send(self, *messages: wire.Message) -> None:
        self.raw(b"".join(message.encode() for message in messages))

    def body(self) -> bytes | None:
        """The body of the next frame; None at the end."""
        while True:
            size = int.from_bytes(self._buffer[:4], "big")
            if len(self._buffer) >= 4 + size > 4:
                body = bytes(self._buffer[4 : 4 + size])
                del self._buffer[: 4 + size]
                return body
            try:
                data = self.sock.recv(65536)
            except ConnectionError:
                return None
            if not data:
                return None
            self._buffer += data

    def rest(self) -> bytes:
        """All bytes until the server closes, whatever they are."""
        data = b""
        try:
            while chunk := self.sock.recv(65536):
                data += chunk
        except ConnectionError:
            pass
        return data

    def recv(self) -> wire.Message | None:
        """The next frame; None at the end."""
        body = self.body()
        return None if body is None else wire.decode(body, side="server")

    def expect(self, kind: type[M], where: Callable[[M], bool] = lambda message: True) -> M:
        """The next frame of this kind."""
        for index, message in enumerate(self.seen):
            if isinstance(message, kind) and where(message):
                del self.seen[index]
                return message
        while True:
            message = self.recv()
            assert message is not None, f"the server closed while {kind.__name__} was awaited; seen {self.seen[-3:]}"
            if isinstance(message, kind) and where(message):
                return message
            self.seen.append(message)

    def answer(self, request: Any, rid: int | None = None) -> Any:
        """The reply to a request, or the ERROR; None when the server closed instead."""
        request.rid = next(self._rids) if rid is None else rid
        self.send(request)
        while (message := self.recv()) is not None:
            if getattr(message, "rid", None) == request.rid:
                return message
            self.seen.append(message)
        return None

    def ask(self, request: Any, kind: type[M]) -> M:
        """The reply to a request, which must be of this kind."""
        answer = self.answer(request)
        assert isinstance(answer, kind), answer
        return answer

    def refused(self, request: Any) -> int:
        """The code of the ERROR that a request is answered with."""
        return self.ask(request, wire.Error).code

    def login(self) -> None:
        """By the device key, and live."""
        proof = self.key.sign(wire.auth.signed_bytes(self.welcome.nonce, self.device, 0, b""))
        self.ask(wire.Auth(0, 3, proof=proof, device=self.device), wire.AuthOk)
        self.ask(wire.Sync(0), wire.SyncOk)

    def say(self, conv: int, text: str, **fields: Any) -> int:
        """Send a text; its seq."""
        return self.ask(wire.Send(0, conv, os.urandom(8), 1, wire.Content(1, text), **fields), wire.SendOk).seq

    def pushes(self) -> list[wire.Message]:
        """Everything that came so far without being asked for. It is acknowledged, but nothing counts as delivered."""
        self.send(wire.Ping(7))
        self.expect(wire.Pong)
        seen, self.seen = self.seen, []
        counted = [message for message in seen if isinstance(message, COUNTED)]
        if counted:
            self._pushed += len(counted)
            convs = {message.conv for message in counted if not isinstance(message, wire.Rows)}
            self.send(wire.Ack(self._pushed, tuple(wire.Held(conv, 0) for conv in sorted(convs))))
        return seen

    def closed(self) -> int | None:
        """Read until the server closes; the code of its ERROR without rid."""
        code = None
        while (message := self.recv()) is not None:
            if isinstance(message, wire.Error) and message.rid is None:
                code = message.code
        self.close()
        return code

    def alive(self) -> bool:
        """The server still talks to this connection."""
        self.send(wire.Ping(1))
        return self.expect(wire.Pong).t == 1

    def close(self) -> None:
        self.sock.close()


def frame(*items: Any) -> bytes:
    """A frame of any items."""
    return framed(pack(list(items)))


def framed(body: bytes) -> bytes:
    """A body with its length."""
    return len(body).to_bytes(4, "big") + body


def _select(db: apsw.Connection, table: str) -> str:
    names = [row[0] for row in db.execute("SELECT name FROM pragma_table_info(?)", (table,))]
    return f"SELECT {', '.join(name for name in names if name not in WRITTEN_BEHIND)} FROM {table}"

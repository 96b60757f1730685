"""One person with one device and one connection at a time, as far as a load needs a client.

It logs in with its key or its resume token, syncs by horizon, follows the logs of its conversations without a hole,
asks for what it lacks, acknowledges what it got, and answers PING. It keeps positions, not messages.

Rules: of the hot frames (EVENT, SEND_OK) only what is needed is looked at; everything else is decoded by
`wirechat.wire`. A push beyond the next place is not applied: it is evidence that something is lacking, and comes again
in the answer to CHANGES.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Protocol

import attrs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tools.loadgen.line import Line, Place
from tools.loadgen.loop import Loop
from wirechat import wire
from wirechat.wire.packing import unpack

CAPABILITIES = (wire.Capability.ACCOUNT_LOG, wire.Capability.PINS)
AGENT = "wirechat-loadgen"
ACK_EVERY = 64
ACK_SECONDS = 1.0
"""After a push, at the latest: until then the server keeps it."""
CHANGES_PAGE = 200
RID_FIRST = 1 << 24
RID_LAST = 2**31 - 1
"""Request ids of fixed width, so that a frame made once can be patched."""

EVENT, SEND_OK = wire.Event.CODE, wire.SendOk.CODE
Done = Callable[[Any], None]
"""Called with the reply, with the Error, or with None when the connection ended before."""


@attrs.frozen
class Account:
    """A user with one device and its key."""

    user: int
    device: int
    key: Ed25519PrivateKey


class Watcher(Protocol):
    """Who wants to know what a peer sees."""

    def live(self, peer: Peer) -> None:
        """It has logged in and synced."""

    def saw(self, peer: Peer, entry: Seen) -> None:
        """The next entry of a conversation; all before it were told."""

    def lost(self, peer: Peer, why: str) -> None:
        """Its connection ended, not by its own will."""

    def told_who_is_there(self, peer: Peer, users: tuple[wire.Status, ...]) -> None:
        """Of those whom it watches, who came or went."""

    def refused(self, peer: Peer, error: wire.Error) -> None:
        """A request failed whose asker did not say what then, or the connection did."""


@attrs.frozen(slots=True)
class Seen:
    """An entry as it arrived. `live`: pushed, not caught up with."""

    conv: int
    seq: int
    ts: int
    sender: int
    kind: int
    text: str | None
    users: tuple[int, ...]
    live: bool


class Peer:
    """One person."""

    __slots__ = (
        "_ack_is_due", "_acked", "_asked", "_changes", "_counted", "_line", "_loop", "_place", "_rid", "_unapplied",
        "_watcher", "account", "goaway", "horizon", "is_live", "name", "positions", "pushes", "received_bytes",
        "resume", "sent_bytes", "wanted", "welcome",
    )  # fmt: skip

    def __init__(self, loop: Loop, place: Place, account: Account | None, watcher: Watcher, name: str) -> None:
        self._loop = loop
        self._place = place
        self._watcher = watcher
        self._line: Line | None = None
        self._rid = RID_FIRST
        self._asked: dict[int, Done] = {}
        self._counted = self._acked = 0
        self._ack_is_due = False
        """There is a timer, perhaps of an earlier connection: then what this one got is acknowledged sooner."""
        self._unapplied: set[int] = set()
        self._changes: set[int] = set()
        self.account = account
        self.name = name
        self.resume: bytes | None = None
        self.horizon: bytes | None = None
        self.positions: dict[int, int] = {}
        """Conversation -> the seq up to which everything was seen."""
        self.wanted: dict[int, int] = {}
        """Conversation -> the highest seq there is evidence of."""
        self.welcome: wire.Welcome | None = None
        self.is_live = False
        self.pushes = 0
        self.goaway: wire.Goaway | None = None
        self.sent_bytes = self.received_bytes = 0

    # the connection

    def connect(self) -> None:
        """Connect, log in, sync; `live` or `lost` tells the end."""
        self.goaway = None
        self._line = Line(self._loop, self._place, self)

    def disconnect(self) -> None:
        """Leave without a goodbye."""
        if self._line is not None:
            self._line.close()
            self._forget()

    def opened(self) -> None:
        """The line stands."""
        self.tell(wire.Hello("WC", 1, 1, CAPABILITIES, AGENT, wire.limits.WINDOW))
        if self.resume is not None:  # everything in one flight
            self._log_in(b"")

    def ended(self, why: str) -> None:
        """The line is gone."""
        self._forget()
        self._watcher.lost(self, why)

    def _forget(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            self.sent_bytes += line.sent_bytes
            self.received_bytes += line.received_bytes
        self.is_live = False
        self._counted = self._acked = 0
        self._unapplied.clear()
        self._changes.clear()
        asked, self._asked = self._asked, {}
        for done in asked.values():
            done(None)

    @property
    def unsent(self) -> int:
        """Bytes that the server does not take."""
        return 0 if self._line is None else self._line.unsent

    @property
    def traffic(self) -> tuple[int, int]:
        """Bytes sent and received so far, with TLS and WebSocket."""
        line = self._line
        now = (0, 0) if line is None else (line.sent_bytes, line.received_bytes)
        return self.sent_bytes + now[0], self.received_bytes + now[1]

    @property
    def now(self) -> float:
        """Monotonic seconds, as of this turn of the loop."""
        return self._loop.now

    def later(self, seconds: float, call: Callable[[], object]) -> None:
        """Call so much later."""
        self._loop.after(seconds, call)

    # asking

    def tell(self, message: wire.Message) -> None:
        """Send what has no answer."""
        if self._line is not None:
            self._line.write(message.encode())

    def ask(self, request: wire.Request, done: Done) -> None:
        """Send a request; `done` gets the answer."""
        rid = self.next_rid(done)
        request.rid = rid  # type: ignore[misc]  # every request class has the slot, the base class has none
        self.tell(request)
        if self._line is None:
            self._asked.pop(rid)(None)

    def next_rid(self, done: Done) -> int:
        """A request id for a frame that the caller makes and writes itself."""
        self._rid = rid = self._rid + 1 if self._rid < RID_LAST else RID_FIRST
        self._asked[rid] = done
        return rid

    def write(self, frames: bytes) -> None:
        """Send frames that were made elsewhere."""
        if self._line is not None:
            self._line.write(frames)

    @property
    def under_way(self) -> int:
        """Requests without an answer."""
        return len(self._asked)

    # logging in

    def _log_in(self, nonce: bytes) -> None:
        account = self.account
        assert account is not None
        if self.resume is not None:
            auth = wire.Auth(0, wire.AuthMethod.RESUME, proof=self.resume, device=account.device)
        else:
            proof = account.key.sign(wire.auth.signed_bytes(nonce, account.device, 0, b""))
            auth = wire.Auth(0, wire.AuthMethod.DEVICE_KEY, proof=proof, device=account.device)
        self.ask(auth, self._logged_in)
        self.ask(wire.Sync(0, self.horizon), self._synced)

    def _logged_in(self, reply: Any) -> None:
        if isinstance(reply, wire.AuthOk):
            self.resume = reply.resume
        elif isinstance(reply, wire.Error):
            self.resume = None  # the next attempt uses the key
            self._watcher.refused(self, reply)
            self._give_up(f"the login was refused: {_said(reply)}")

    def _synced(self, reply: Any) -> None:
        if not isinstance(reply, wire.SyncOk):
            return
        if reply.mode != wire.SyncMode.DIGEST:
            self.positions = dict.fromkeys(self.positions, 0)
            self.wanted.clear()
        self._learn(reply.rows)
        if reply.cursor is not None:
            self.ask(wire.Sync(0, cursor=reply.cursor), self._synced)
            return
        self.horizon = reply.token or self.horizon
        self.is_live = True
        self._watcher.live(self)

    def _give_up(self, why: str) -> None:
        if self._line is not None:
            self._line.close()
            self.ended(why)

    # what arrives

    def received(self, bodies: list[bytes]) -> None:
        """Frames, in order."""
        for body in bodies:
            if self._line is None:
                return  # given up: what else has come counts for no connection
            code = body[1] if len(body) > 1 else None
            if code == EVENT:
                self._event(body)
            elif code == SEND_OK:
                items = unpack(body, 16)
                done = self._asked.pop(items[1], None)
                if done is not None:
                    done(items)
            else:
                self._decode(body)
        waiting = self._counted - self._acked
        if waiting >= ACK_EVERY:
            self.acknowledge()
        elif waiting and not self._ack_is_due:
            self._ack_is_due = True
            self._loop.after(ACK_SECONDS, self._acknowledge_in_time)

    def _decode(self, body: bytes) -> None:
        try:
            message = wire.decode(body, side=wire.SERVER)
        except wire.ProtocolViolation as error:
            self._give_up(f"what is there speaks another protocol: {error}")
        else:
            self._other(message)

    def _acknowledge_in_time(self) -> None:
        self._ack_is_due = False
        self.acknowledge()

    def acknowledge(self) -> None:
        """Tell the server what was received; of what could not be applied, how far it was."""
        if self._counted > self._acked and self._line is not None:
            held = tuple(wire.Held(conv, self.positions.get(conv, 0)) for conv in sorted(self._unapplied)[:256])
            self._unapplied.clear()
            self._acked = self._counted
            self.tell(wire.Ack(self._counted, held or None))

    def _event(self, body: bytes) -> None:
        self._counted += 1
        self.pushes += 1
        items = unpack(body, 1000)
        conv, seq = items[1], items[2]
        if seq == self.positions.get(conv, 0) + 1 and conv not in self._changes:
            self.positions[conv] = seq
            content = items[6] if len(items) > 6 else None
            users = (items[8] or ()) if len(items) > 8 else ()
            self._watcher.saw(self, Seen(conv, seq, items[3], items[4], items[5], content and content[1], users, True))
        elif seq > self.positions.get(conv, 0):
            self._unapplied.add(conv)
            self._want(conv, seq)

    def _other(self, message: wire.Message) -> None:
        if (message.range if isinstance(message, wire.Unknown) else message.RANGE) == "counted":
            self._counted += 1
            if isinstance(message, wire.Rows):
                self._learn(message.rows)
                self.horizon = message.token or self.horizon
        elif isinstance(message, wire.Error):
            self._error(message)
        elif isinstance(message, (wire.Reply, wire.Unknown)):
            done = self._asked.pop(message.rid or 0, None)
            if done is not None:
                done(message)
        elif isinstance(message, wire.Ping):
            self.acknowledge()
            self.tell(wire.Pong(message.t))
        elif isinstance(message, wire.Pong):
            self.horizon = message.token or self.horizon
        elif isinstance(message, wire.Welcome):
            self.welcome = message
            if self.account is None:
                self.is_live = True
                self._watcher.live(self)
            elif self.resume is None:
                self._log_in(message.nonce)
        elif isinstance(message, wire.Presence):
            self._watcher.told_who_is_there(self, message.users)
        elif isinstance(message, wire.Goaway):
            self.goaway = message

    def _error(self, error: wire.Error) -> None:
        done = None if error.rid is None else self._asked.pop(error.rid, None)
        if done is not None:
            done(error)
        else:
            self._watcher.refused(self, error)

    # following the logs

    def _learn(self, rows: tuple[wire.Row, ...]) -> None:
        for row in rows:
            if row.conv in self.positions:
                self._want(row.conv, row.head)

    def _want(self, conv: int, seq: int) -> None:
        if seq > self.positions.get(conv, 0):
            self.wanted[conv] = max(self.wanted.get(conv, 0), seq)
            self._fill(conv)

    def _fill(self, conv: int) -> None:
        if conv not in self._changes and self._line is not None:
            self._changes.add(conv)
            since = self.positions.get(conv, 0)
            self.ask(wire.Changes(0, conv, since, CHANGES_PAGE), lambda reply: self._filled(conv, reply))

    def _filled(self, conv: int, reply: Any) -> None:
        self._changes.discard(conv)
        if not isinstance(reply, wire.ChangesOk):
            if isinstance(reply, wire.Error):
                self._watcher.refused(self, reply)
            return
        position = self.positions.get(conv, 0)
        for record in sorted(reply.records, key=lambda record: record.seq):
            if position < record.seq <= reply.upto:
                self._watcher.saw(self, _seen(conv, record))
        self.positions[conv] = max(position, reply.upto)
        if reply.more or self.positions[conv] < self.wanted.get(conv, 0):
            self._fill(conv)

    def own(self, conv: int, seq: int) -> None:
        """SEND_OK stands for the EVENT that this connection does not get."""
        if seq == self.positions.get(conv, 0) + 1 and conv not in self._changes:
            self.positions[conv] = seq
        else:
            self._want(conv, seq)

    @property
    def is_complete(self) -> bool:
        """There is no evidence of anything it has not seen."""
        return all(self.positions.get(conv, 0) >= seq for conv, seq in self.wanted.items())


def _seen(conv: int, record: wire.Record) -> Seen:
    text = None if record.content is None else str(record.content.data)
    return Seen(conv, record.seq, record.ts, record.sender, record.kind, text, record.users or (), False)


def _said(error: wire.Error) -> str:
    return f"{error.code} {error.message or ''}".rstrip()


def new_cid() -> bytes:
    """An idempotency id."""
    return os.urandom(8)

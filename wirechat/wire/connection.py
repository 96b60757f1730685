"""One end of a connection: the receive buffer, the framing, and the state of the protocol.

    connection = Connection(SERVER)
    connection.feed(await endpoint.recv())
    while (message := connection.next_message()) is not None:
        ...                                   # answer, and tell: connection.sent(answer)

Frames are parsed one at a time, in the state that the ones before left: a client may send HELLO, AUTH and SYNC in one
flight. While a login is unanswered the server's end gives out nothing, so that what follows AUTH is judged after it;
do not feed it meanwhile.

Bytes are copied once when frames arrive whole, and a frame that arrives in pieces is joined once.
"""

from collections.abc import Callable
from typing import Final

from wirechat.wire import limits
from wirechat.wire.codec import decode
from wirechat.wire.features.session import Auth, AuthOk, Error
from wirechat.wire.features.sync import Sync, SyncOk
from wirechat.wire.message import CLIENT, SERVER, Message, Request, Side, Unknown
from wirechat.wire.state import (
    AUTHED,
    CLOSED,
    DRAINING,
    LIVE,
    OPEN,
    REFUSED,
    SYNCING,
    TABLE,
    ConnectionState,
)
from wirechat.wire.violation import LocalViolation, ProtocolViolation

_PREFIX: Final = 4


class Connection:
    """The protocol of one connection, without any I/O.

    side          which end this is
    frame_bytes   server: largest frame body it accepts after login, as told in WELCOME
    state         where the connection stands; see wire/state.py
    logged_in     AUTH_OK was sent or received
    """

    def __init__(self, side: Side, *, frame_bytes: int = limits.FRAME_BYTES) -> None:
        self.side = side
        self.state: ConnectionState = OPEN
        self.logged_in = False
        self._peer: Side = CLIENT if side == SERVER else SERVER
        self._frame_bytes = frame_bytes
        self._login: int | None = None  # rid of the AUTH that waits for its answer
        self._digest: int | None = None  # rid of the SYNC that started a digest and waits for its answer
        self._data = b""
        self._at = 0
        self._later = bytearray()  # what came after _data

    @property
    def frame_bytes_max(self) -> int:
        """Largest frame body accepted right now."""
        if self.side == CLIENT:
            return limits.SERVER_FRAME_BYTES
        return self._frame_bytes if self.logged_in else limits.HELLO_BYTES

    @property
    def buffered(self) -> int:
        """Bytes fed and not yet given out as messages."""
        return len(self._data) - self._at + len(self._later)

    def feed(self, data: bytes) -> None:
        """Takes received bytes, in order."""
        if self._at == len(self._data) and not self._later:
            self._data, self._at = data, 0
        else:
            self._later += data

    def next_message(self) -> Message | None:
        """The next complete message, or None when more bytes are needed or the connection is over.

        Raises ProtocolViolation. Without rid the connection is CLOSED: answer ERROR and close. With rid answer ERROR
        and go on.
        """
        if self.state is CLOSED or (self._login is not None and self.side == SERVER):
            return None
        try:
            body = self._next_body()
            if body is None:
                return None
            message = self._decoded(body)
            self._received(message)
            return message
        except ProtocolViolation as violation:
            if violation.fatal:
                self.state = CLOSED
            raise

    def sent(self, message: Message) -> None:
        """Notes that this side sent, or is about to send, a message. Pushes need not be told.

        Raises LocalViolation when the state does not allow it.
        """
        if self.state is CLOSED or self._advance(self.side, message):
            return
        if isinstance(message, Request) and self.state in REFUSED:
            return  # sent ahead of WELCOME or AUTH_OK, or before GOAWAY arrived: the server judges it
        raise LocalViolation(f"{message.NAME} may not be sent in state {self.state.value}")

    def _next_body(self) -> bytes | None:
        if len(self._data) - self._at < _PREFIX:
            self._join()
        prefix = self._data[self._at : self._at + _PREFIX]
        if prefix and prefix[0]:
            raise ProtocolViolation(1000, "not this protocol: a frame starts with its length and a zero byte")
        if len(prefix) < _PREFIX:
            return None
        size = int.from_bytes(prefix, "big")
        if not 0 < size <= self.frame_bytes_max:
            raise ProtocolViolation(1001, f"a frame of {size} bytes; 1 to {self.frame_bytes_max} are allowed now")
        start, end = self._at + _PREFIX, self._at + _PREFIX + size
        if end > len(self._data):
            if self.buffered < _PREFIX + size:
                return None
            self._join()
            start, end = _PREFIX, _PREFIX + size
        self._at = end
        return self._data[start:end]

    def _join(self) -> None:
        if self._later:
            self._data = self._data[self._at :] + self._later
            self._at = 0
            self._later = bytearray()

    def _decoded(self, body: bytes) -> Message:
        try:
            return decode(body, side=self._peer)
        except ProtocolViolation as violation:
            if self.state is OPEN and not violation.fatal:
                raise ProtocolViolation(1003, "HELLO must come first") from None
            raise

    def _received(self, message: Message) -> None:
        if self._advance(self._peer, message):
            return
        if isinstance(message, Request) and self.state in REFUSED:
            code = REFUSED[self.state]
            raise ProtocolViolation(code, f"{message.NAME} is not possible in state {self.state.value}", message.rid)
        raise ProtocolViolation(1003, f"{message.NAME} is not allowed in state {self.state.value}")

    def _advance(self, sender: Side, message: Message) -> bool:
        """Moves the state; False when the table does not allow the message."""
        kind = type(message)
        after = TABLE[sender][self.state].get(kind)
        if after is None:
            return kind is Unknown and self.state is not OPEN
        effect = _EFFECTS.get(kind)
        if effect is None:
            self.state = after
            return True
        return effect(self, message, after)

    def _auth(self, message: Auth, after: ConnectionState) -> bool:
        self._login = message.rid
        self.state = after
        return True

    def _auth_ok(self, message: AuthOk, after: ConnectionState) -> bool:
        self._login = None
        self.logged_in = True
        self.state = after
        return True

    def _sync(self, message: Sync, after: ConnectionState) -> bool:
        starts = self.state is AUTHED
        if starts != (message.cursor is None):
            return False
        if starts:
            self._digest = message.rid
        self.state = after
        return True

    def _sync_ok(self, message: SyncOk, after: ConnectionState) -> bool:
        self._digest = None
        if after is not DRAINING:
            self.state = LIVE if message.cursor is None else SYNCING
        return True

    def _error(self, message: Error, after: ConnectionState) -> bool:
        if message.rid is None:
            self.state = after
        elif message.rid == self._login:
            self._login = None
        elif message.rid == self._digest:
            self._digest = None
            self.state = AUTHED if self.state is SYNCING else self.state
        return True


_EFFECTS: Final[dict[type[Message], Callable[..., bool]]] = {
    Auth: Connection._auth,
    AuthOk: Connection._auth_ok,
    Sync: Connection._sync,
    SyncOk: Connection._sync_ok,
    Error: Connection._error,
}

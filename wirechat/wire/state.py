"""Which frame is allowed when, for both sides, as a table one can print.

TABLE[sender][state][class] is the state after that frame. Both ends of a connection run the same table: what one sends
is what the other receives. A frame that stands in no row is a fault of its sender: BAD_STATE, except for what REFUSED
says, which costs the request alone.

    OPEN       HELLO is expected
    GREETED    HELLO was read; only login, REGISTER and keep-alive
    AUTHED     logged in; no pushes yet
    SYNCING    a digest is being paged
    LIVE       the last page of the digest was sent; pushes flow
    DRAINING   GOAWAY was sent; what was read before is still answered
    CLOSED     nothing more is read

Two rows depend on a field: SYNC starts a digest without cursor and continues one with cursor, and SYNC_OK ends the
digest when it carries no cursor. `after` knows them.
"""

import enum
from typing import Final

from wirechat.wire import features
from wirechat.wire.features import (
    Ack,
    Auth,
    AuthOk,
    Error,
    Goaway,
    Hello,
    Ping,
    Pong,
    Register,
    RegisterOk,
    State,
    Sync,
    SyncOk,
    Typing,
    Welcome,
)
from wirechat.wire.message import CLIENT, SERVER, Message, Side


class ConnectionState(enum.Enum):
    OPEN = "OPEN"
    GREETED = "GREETED"
    AUTHED = "AUTHED"
    SYNCING = "SYNCING"
    LIVE = "LIVE"
    DRAINING = "DRAINING"
    CLOSED = "CLOSED"


OPEN, GREETED, AUTHED, SYNCING, LIVE, DRAINING, CLOSED = ConnectionState

Row = dict[type[Message], ConnectionState]

_LOGIN = (Auth, Register)
_REQUESTS = [each for each in features.FRAMES if each.RANGE == "request" and each not in (*_LOGIN, Sync)]
_REPLIES = [each for each in features.FRAMES if each.RANGE == "reply" and each not in (AuthOk, RegisterOk, SyncOk)]
_PUSHES = [each for each in features.FRAMES if each.RANGE in ("counted", "ephemeral")]
_TOLD = (Ping, Pong, State, Typing)
_GOODBYE: Row = {Error: CLOSED, Goaway: DRAINING}


def _stay(state: ConnectionState, *frames: type[Message]) -> Row:
    return dict.fromkeys(frames, state)


TABLE: Final[dict[Side, dict[ConnectionState, Row]]] = {
    CLIENT: {
        OPEN: {Hello: GREETED},
        GREETED: _stay(GREETED, Auth, Register, Ping, Pong, State),
        AUTHED: {**_stay(AUTHED, *_TOLD, *_REQUESTS), Sync: SYNCING},
        SYNCING: _stay(SYNCING, *_TOLD, Ack, Sync, *_REQUESTS),
        LIVE: _stay(LIVE, *_TOLD, Ack, *_REQUESTS),
        DRAINING: _stay(DRAINING, *_TOLD, Ack),
        CLOSED: {},
    },
    SERVER: {
        OPEN: {**_GOODBYE},
        GREETED: {**_GOODBYE, **_stay(GREETED, Welcome, Ping, Pong, RegisterOk), AuthOk: AUTHED},
        AUTHED: {**_GOODBYE, **_stay(AUTHED, Ping, Pong, *_REPLIES), SyncOk: SYNCING},
        SYNCING: {**_GOODBYE, **_stay(SYNCING, Ping, Pong, SyncOk, *_REPLIES)},
        LIVE: {**_GOODBYE, **_stay(LIVE, Ping, Pong, *_REPLIES, *_PUSHES)},
        DRAINING: {
            **_GOODBYE,
            **_stay(DRAINING, Ping, Pong, AuthOk, RegisterOk, SyncOk, *_REPLIES, *_PUSHES),
        },
        CLOSED: {},
    },
}

REFUSED: Final = {GREETED: 2000, DRAINING: 5003}
"""What a request gets that stands in no row of this state: the connection lives."""

"""What a client may never do, on whatever connection of whatever check. Who breaks it fails that check."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ..decoder import Frame, Malformed, Schema
from ..msgpack import pack, unpack
from ..trace import bare, describe, shown
from ..verdict import Failed, require

if TYPE_CHECKING:
    from .peer import Peer

OPEN, GREETED, AUTHED, SYNCING, LIVE = "OPEN", "GREETED", "AUTHED", "SYNCING", "LIVE"
HELLO_BYTES = 4096


def read(body: bytes, schema: Schema) -> Frame:
    """The frame, which must be one that a client may send, in its one encoding. Raises Failed."""
    try:
        frame = schema.decode(body, "client", grease=True)
    except Malformed as error:
        raise Failed("frames as the schema says", f"{describe(body, schema, 'client')}: {error}") from None
    if frame.name is not None and body != canonical(frame, body, schema):
        raise Failed("every value in its shortest form, defaults and trailing nils left out [3-1] [4-8]", bare(body))
    return frame


def canonical(frame: Frame, body: bytes, schema: Schema) -> bytes:
    """The one encoding of a frame; extras, which may be anything, as they came."""
    items = unpack(body)
    plain = schema.encode(frame.name or "", frame.fields, frame.rid)
    if not isinstance(items[-1], dict):
        return plain
    with suppress(Malformed):
        return pack([*unpack(plain), items[-1]])
    return plain


def judge(peer: Peer, frame: Frame, size: int) -> None:
    """Raises Failed when this frame may not be sent now."""
    name = str(frame.name or frame.code)
    if peer.state == OPEN:
        require(name == "HELLO", "HELLO as the first frame [7-1]", name)
    elif name == "HELLO":
        raise Failed("one HELLO on a connection [7-1]", "another")
    if peer.state in (OPEN, GREETED):
        require(size <= HELLO_BYTES, "at most 4,096 bytes in a body before AUTH_OK [2-14]", f"{size} bytes")
    if frame.rid is not None:
        require(
            frame.rid not in peer.unanswered, "a rid that is not in use [4-5]", f"{name} with rid {frame.rid} again"
        )
        limit = peer.limits["inflight"]
        require(len(peer.unanswered) < limit, f"at most {limit} unanswered requests [7-16]", f"{name} as one more")
    if name == "ACK":
        require(peer.state in (SYNCING, LIVE), "no ACK before SYNC [7-1]", f"ACK in {peer.state}")
        pushed = len(peer.pushes)
        require(frame["n"] <= pushed, f"no ACK above {pushed}, the pushes of this connection [12-4]", shown(frame["n"]))
    if name == "SYNC" and peer.state != AUTHED:
        require(frame["cursor"] is not None, "one SYNC without cursor on a connection [7-1]", "another")
        require(frame["cursor"] == peer.cursor, "the cursor of the last SYNC_OK [7-4]", shown(frame["cursor"]))

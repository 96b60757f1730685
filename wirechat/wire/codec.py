"""Bodies to messages.

The fast way unpacks and lets the class check its fields. Whatever it does not like goes the slow way, which reads the
raw bytes and finds out who is to blame for what: bytes outside the profile end the connection, a well-formed request
with wrong fields fails alone, and what is merely newer than this version is dropped.
"""

from collections.abc import Callable
from typing import Any, Final

from wirechat.wire import features, limits
from wirechat.wire.codes import range_of
from wirechat.wire.message import CLIENT, SERVER, Message, Mismatch, Side, Unknown
from wirechat.wire.packing import MALFORMED, unpack
from wirechat.wire.scan import array_items_max, scan
from wirechat.wire.violation import ProtocolViolation

Decoder = Callable[[tuple[Any, ...], bool], Message]

RID_MAX: Final = 2**31 - 1
FRAMES: Final[dict[Side, dict[int, type[Message]]]] = {
    CLIENT: {frame.CODE: frame for frame in features.FRAMES if frame.SIDE in (CLIENT, "both")},
    SERVER: {frame.CODE: frame for frame in features.FRAMES if frame.SIDE in (SERVER, "both")},
}
"""Every frame by who may send it and by its code."""

_DECODERS: Final[dict[Side, dict[int, Decoder]]] = {
    side: {code: frame.from_items for code, frame in frames.items()} for side, frames in FRAMES.items()
}


def decode(body: bytes, *, side: Side) -> Message:
    """The message in a body (a frame without its length prefix) that `side` sent.

    A frame of an unknown code that is to be ignored comes back as Unknown.

    Raises ProtocolViolation.
    """
    if side == CLIENT and len(body) > limits.FRAME_ITEMS:
        # Unpacking costs by the number of values: many of them fit only into a long body.
        scan(body, side)
    try:
        items = unpack(body, array_items_max(side))
        if type(items) is tuple and items and type(items[0]) is int:
            decoder = _DECODERS[side].get(items[0])
            if decoder is not None:
                return decoder(items, False)
    except MALFORMED:
        pass
    return _decode_slowly(body, side)


def _decode_slowly(body: bytes, side: Side) -> Message:
    extras = scan(body, side).extras
    items = unpack(body, array_items_max(side))
    if extras is not None:
        items = items[:-1]
    if not items or type(items[0]) is not int:
        raise ProtocolViolation(1002, "the first element must be the code of the frame")
    decoder = _DECODERS[side].get(items[0])
    if decoder is None:
        return _unknown(items, side)
    rid = _rid(items) if FRAMES[side][items[0]].RANGE in ("request", "reply") else None
    if critical := [key for key in extras or () if key % 2 == 0]:
        raise ProtocolViolation(1002 if rid is None else 3005, f"extra {critical[0]} is not known here", rid)
    try:
        return decoder(items, True)
    except Mismatch as mismatch:
        fatal = mismatch.code if mismatch.code < 2000 else 1002
        raise ProtocolViolation(fatal if rid is None else mismatch.code, str(mismatch), rid) from None


def _rid(items: tuple[Any, ...]) -> int:
    rid = items[1] if len(items) > 1 else None
    if type(rid) is not int or rid > RID_MAX:
        raise ProtocolViolation(1002, "the second element must be the request id, a u31")
    return rid


def _unknown(items: tuple[Any, ...], side: Side) -> Message:
    code = items[0]
    found = range_of(code)
    if found == "invalid" or found == "control":
        raise ProtocolViolation(1000, f"code {code} is not known and may not be ignored")
    if side == SERVER:
        return Unknown(code, found, _rid(items) if found in ("request", "reply") else None)
    if found == "ephemeral":
        return Unknown(code, found)
    if found == "request":
        raise ProtocolViolation(3001, f"request {code} is not known here", _rid(items))
    raise ProtocolViolation(1000, f"code {code} is not for clients to send")

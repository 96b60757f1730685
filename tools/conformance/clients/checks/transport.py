"""Sections 2 and 3: framing, WebSocket, sizes, and the bytes a client reads and writes."""

from __future__ import annotations

import struct
import time

from ...connection import framed
from ...msgpack import pack
from ...sockets import BINARY, CONTINUATION, PING
from ...verdict import Skipped, require
from ..catalogue import check
from ..listener import WebSocketServer, unmasked
from ..peer import Peer
from ..stage import Stage
from ..world import BOB, CONV, HELLO, MSG, text

PIECE_BYTES = 7
SERVER_FRAME_BYTES = 131072


@check("2.1", "2-4", needs="stream")
def one_byte_at_a_time(stage: Stage) -> None:
    """A WELCOME that arrives byte by byte is read like any other."""
    stage.hold("HELLO", "AUTH")
    stage.start()
    hello = stage.expect("HELLO")
    peer = stage.peer
    for byte in framed(stage.schema.encode("WELCOME", stage.world.greeting(peer, hello))):
        peer.send_bytes(bytes([byte]), "one byte")
        time.sleep(0.001)
    stage.world.answer(peer, stage.expect("AUTH"))
    stage.until_live()


@check("2.1", "2-4", needs="stream")
def frames_cut_anywhere(stage: Stage) -> None:
    """Pushes that arrive in pieces of seven bytes: each is read once."""
    peer = stage.live()
    stream = b"".join(framed(body) for body in events(stage, peer, 6))
    for start in range(0, len(stream), PIECE_BYTES):
        peer.send_bytes(stream[start : start + PIECE_BYTES], "a piece")
        time.sleep(0.003)
    stage.acknowledged()


@check("2.1", "2-4")
def many_frames_at_once(stage: Stage) -> None:
    """As many pushes as the window allows, in one write, are read one by one."""
    peer = stage.live()
    peer.send_bodies(*events(stage, peer, max(1, min(60, peer.window))))
    stage.acknowledged()


@check("2.1", "2-5", level="L1", needs="stream")
def an_unfinished_frame_has_no_effect(stage: Stage) -> None:
    """The connection ends before the last byte of an EVENT: nothing of it is shown, and the client comes back."""
    peer = stage.ready()
    entry = {"conv": CONV, "seq": 3, "ts": 1763689200009, "sender": BOB, "kind": MSG, "content": text("cut off")}
    peer.send_bytes(framed(stage.schema.encode("EVENT", entry))[:-1], "an EVENT without its last byte")
    peer.drop()
    stage.until_live(peer)
    stage.world.say("whole")
    stage.shows({2: HELLO, 3: "whole"})


@check("2.1", "2-2", "2-3", must=False, needs="stream")
def a_wrong_first_byte(stage: Stage) -> None:
    """A length whose first byte is not 0 (a TLS record, say): the client closes the connection."""
    peer = stage.live()
    peer.send_bytes(bytes.fromhex("160301005a01000056"), "a TLS handshake")
    stage.ended(peer)


@check("2.1", "2-3", must=False, needs="stream")
def a_length_of_zero(stage: Stage) -> None:
    """No frame has no body: the client closes the connection."""
    peer = stage.live()
    peer.send_bytes(bytes(4), "a length of 0")
    stage.ended(peer)


@check("2.3", "2-8", needs="websocket")
def the_subprotocol_is_offered(stage: Stage) -> None:
    """The handshake offers wirechat.v1."""
    stage.start()
    stage.expect("HELLO")
    incoming = stage.peer.incoming
    assert isinstance(incoming, WebSocketServer)
    offered = [name.strip() for name in incoming.offered.get("sec-websocket-protocol", "").split(",")]
    require("wirechat.v1" in offered, "Sec-WebSocket-Protocol: wirechat.v1", ", ".join(offered))


@check("2.3", "2-9", needs="websocket")
def a_fragmented_message(stage: Stage) -> None:
    """An EVENT in three fragments is read like any other."""
    peer = stage.live()
    (body,) = events(stage, peer, 1)
    parts = (BINARY, body[:3]), (CONTINUATION, body[3:9]), (CONTINUATION, body[9:])
    for number, (code, piece) in enumerate(parts):
        peer.send_bytes(unmasked(code, piece, final=number == len(parts) - 1), "a fragment")
        time.sleep(0.02)
    stage.acknowledged()


@check("2.3", "2-13", needs="websocket")
def a_websocket_ping(stage: Stage) -> None:
    """It is answered as RFC 6455 says."""
    peer = stage.live()
    incoming = peer.incoming
    assert isinstance(incoming, WebSocketServer)
    peer.send_bytes(unmasked(PING, b"are you there"), "a WebSocket ping")
    stage.until(lambda: incoming.pongs, "a WebSocket pong", "none")


@check("2.4", "2-15")
def the_largest_frame(stage: Stage) -> None:
    """A body of 131,072 bytes is accepted."""
    peer = stage.live()
    peer.send_bodies(padded(stage, peer, SERVER_FRAME_BYTES))
    stage.acknowledged()


@check("2.4", "2-15", must=False)
def a_frame_that_is_too_long(stage: Stage) -> None:
    """When 131,073 bytes are announced the client closes the connection."""
    peer = stage.live()
    if stage.subject.scheme == "ws":
        peer.send_bodies(padded(stage, peer, SERVER_FRAME_BYTES + 1))
    else:
        peer.send_bytes(struct.pack(">I", SERVER_FRAME_BYTES + 1) + b"\x97\x10", "the length 131,073")
    stage.ended(peer)


@check("2.4", "2-14", "7-1")
def the_first_frames(stage: Stage) -> None:
    """HELLO comes first; before AUTH_OK no body is above 4,096 bytes."""
    stage.hold("AUTH")
    stage.start()
    auth = stage.expect("AUTH")
    stage.keep(0.3)
    stage.world.answer(stage.peer, auth)
    stage.until_live()


@check("3.1", "3-1", "4-8")
def frames_are_canonical(stage: Stage) -> None:
    """Every value in its shortest form, no defaults, no nils at the end; so each frame has one encoding."""
    peer = stage.live()
    peer.send("PING", t=70000)
    stage.expect("PONG", t=70000)
    if stage.subject.driven:
        for length in (1, 31, 32, 255, 256, 4000):
            stage.tell("send", conv=CONV, text="x" * length)
        stage.until(lambda: len(peer.named("SEND")) == 6, "six messages", lambda: f"{len(peer.named('SEND'))}")


@check("3.1", "3-2")
def any_width_is_read(stage: Stage) -> None:
    """An EVENT with every value in its widest form is read like any other."""
    peer = stage.live()
    entry = stage.world.say("wide", push=False)
    items = [16, *(entry[name] for name in ("conv", "seq", "ts", "sender", "kind")), [1, "wide"]]
    peer.pushes.append((CONV, entry["seq"]))
    peer.send_bodies(wide(items))
    stage.acknowledged()


def _breaks_the_profile(stage: Stage, body: bytes) -> None:
    """The client closes, comes back, and has lost nothing."""
    peer = stage.live()
    peer.send_bodies(body)
    stage.ended(peer)
    stage.until_live(peer)


@check("3.1", "3-4", "3-6", must=False)
def a_float_is_no_value(stage: Stage) -> None:
    """A PING whose number is a float: the client closes the connection and comes back."""
    _breaks_the_profile(stage, bytes.fromhex("9203cb3ff0000000000000"))


@check("3.1", "3-4", "3-6", must=False)
def a_negative_number_is_no_value(stage: Stage) -> None:
    """A PING whose number is -1: the client closes the connection and comes back."""
    _breaks_the_profile(stage, bytes.fromhex("9203ff"))


@check("3.1", "3-4", "3-6", must=False)
def bytes_after_the_array(stage: Stage) -> None:
    """A PING with one byte behind it: the client closes the connection and comes back."""
    _breaks_the_profile(stage, bytes.fromhex("92030105"))


@check("3.1", "3-4", "3-6", must=False)
def text_that_is_not_utf_8(stage: Stage) -> None:
    """An EVENT whose text is no UTF-8: the client closes the connection and comes back."""
    _breaks_the_profile(stage, pack([16, CONV, 3, 1, BOB, MSG]).replace(b"\x96", b"\x97", 1) + b"\x92\x01\xa2\xc3\x28")


@check("3.1", "3-4", "4-11", "3-6", must=False)
def a_map_in_the_middle(stage: Stage) -> None:
    """A map that is not the last element: the client closes the connection and comes back."""
    _breaks_the_profile(stage, bytes.fromhex("9303810101") + b"\x05")


@check("3.1", "3-7", "3-6", must=False)
def an_array_that_lies(stage: Stage) -> None:
    """An array that announces 2^32 - 1 items in eight bytes: the client closes the connection and comes back."""
    _breaks_the_profile(stage, bytes.fromhex("9212ddffffffff01"))


def events(stage: Stage, peer: Peer, count: int) -> list[bytes]:
    """So many new messages of Bob, as bodies that are still to be sent."""
    return [peer.body("EVENT", **stage.world.say(f"message {number}", push=False)) for number in range(count)]


def padded(stage: Stage, peer: Peer, size: int) -> bytes:
    """The EVENT of a new message, filled up with extras that anybody may ignore."""
    if stage.world.logs[CONV].head > 2:
        raise Skipped("the conversation has more than it should")
    entry = stage.world.say("large", push=False)
    peer.pushes.append((CONV, entry["seq"]))
    start = [16, *(entry[name] for name in ("conv", "seq", "ts", "sender", "kind")), [1, "large"]]
    room = size - len(pack([*start, {27: bytes(70000)}])) + 70000
    return pack([*start, {27: bytes(room)}])


def wide(value: object) -> bytes:
    """The widest encoding that is allowed."""
    match value:
        case list():
            return struct.pack(">BI", 0xDD, len(value)) + b"".join(map(wide, value))
        case str():
            return struct.pack(">BI", 0xDB, len(value.encode())) + value.encode()
        case int():
            return struct.pack(">BQ", 0xCF, value)
    return pack(value)

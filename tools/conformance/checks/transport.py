"""Section 2: framing on streams, WebSocket, TLS, sizes."""

from __future__ import annotations

import base64
import os
import ssl
import time

from ..catalogue import check
from ..connection import framed
from ..lab import Lab
from ..msgpack import pack
from ..person import Person, hello, msg
from ..sockets import (
    BINARY,
    CONTINUATION,
    PING,
    SUBPROTOCOL,
    TEXT,
    WebSocket,
    open_socket,
    parse_url,
    part,
    upgrade_request,
)
from ..verdict import Failed, require, same

STATUS_NORMAL, STATUS_FATAL, STATUS_TOO_LONG = 1000, 4000, 1009


@check("2.1", "2-1", "6-1")
def hello_is_answered_by_welcome(lab: Lab) -> None:
    """HELLO, one frame, is answered by WELCOME, one frame."""
    welcome = lab.greeted().welcome
    same(welcome["version"], 1, "version")


@check("2.1", "2-4", needs="stream")
def one_byte_at_a_time(lab: Lab) -> None:
    """A frame that arrives one byte at a time is read like any other."""
    person = lab.connect()
    for byte in framed(lab.schema.encode("HELLO", hello())):
        person.send_bytes(bytes([byte]), "one byte")
    person.expect("WELCOME")


@check("2.1", "2-4", needs="stream")
def prefix_and_body_apart(lab: Lab) -> None:
    """The length comes, half a body, and the rest together with the next frame."""
    person = lab.greeted()
    one, two = framed(pack([3, 1])), framed(pack([3, 2]))
    for piece in (one[:2], one[2:5], one[5:] + two[:3], two[3:]):
        person.send_bytes(piece, "a piece")
        time.sleep(0.03)
    person.expect("PONG", t=1)
    person.expect("PONG", t=2)


@check("2.1", "2-4")
def many_frames_at_once(lab: Lab) -> None:
    """A hundred frames in one write are a hundred frames."""
    person = lab.greeted()
    person.send_bodies(*[pack([3, t]) for t in range(100)])
    for t in range(100):
        person.expect("PONG", t=t)


@check("2.1", "2-5", needs="stream")
def an_unfinished_frame_has_no_effect(lab: Lab) -> None:
    """The stream ends in the middle of a SEND: nobody hears of it."""
    alice, bob = lab.people(2)
    conv = alice.new_group(bob)
    body = lab.schema.encode("SEND", msg(conv, "cut off"), 9)
    alice.send_bytes(framed(body)[:-1], "a SEND without its last byte")
    alice.half_close()
    bob.quiet(0.5)
    same(bob.changes(conv)["upto"], 1, "upto of CHANGES_OK")


@check("2.1", "2-2", "2-3", needs="stream")
def the_first_byte_is_zero(lab: Lab) -> None:
    """Bytes of another protocol are answered by ERROR 1000."""
    person = lab.connect()
    person.send_bytes(b"GET / HTTP/1.1\r\n\r\n", "an HTTP request")
    person.closes(1000)


@check("2.1", "2-3", needs="stream")
def length_zero(lab: Lab) -> None:
    """A length of 0: ERROR 1001."""
    person = lab.greeted()
    person.send_bytes(bytes(4), "length 0")
    person.closes(1001)


@check("2.1", "2-3", "2-14", needs="stream")
def too_long_before_login(lab: Lab) -> None:
    """A length above 4,096 before AUTH_OK: ERROR 1001, before the body came."""
    person = lab.greeted()
    person.send_bytes((4097).to_bytes(4, "big"), "length 4,097")
    person.closes(1001)


@check("2.1", "2-3", needs="stream")
def too_long_after_login(lab: Lab) -> None:
    """A length above frame_bytes of WELCOME: ERROR 1001, before the body came."""
    person = lab.person(sync=False)
    person.send_bytes((person.welcome["limits"]["frame_bytes"] + 1).to_bytes(4, "big"), "length frame_bytes + 1")
    person.closes(1001)


def _filled(items: list[object], size: int) -> bytes:
    """A frame of exactly this size: items, and one long unknown element after them."""
    for length in range(size - len(pack(items)) - 6, size):
        body = pack([*items, bytes(max(length, 0))])
        if len(body) == size:
            return body
    raise AssertionError(f"no body of {size} bytes")


@check("2.4", "2-14", "4-10")
def the_largest_frame_before_login(lab: Lab) -> None:
    """A HELLO of 4,096 bytes, most of them a field of a later version, is taken."""
    person = lab.connect()
    person.send_bodies(_filled([1, "WC", 1, 1, [], "conformance", 64], 4096))
    person.expect("WELCOME")


@check("2.4", "2-3", "4-10")
def the_largest_frame_after_login(lab: Lab) -> None:
    """A SEND of frame_bytes bytes, most of them a field of a later version, is executed."""
    alice = lab.person()
    conv = alice.new_group()
    fields = [54, 99, conv, os.urandom(8), 1, [1, "long"], None, None, None]
    alice.send_bodies(_filled(fields, alice.welcome["limits"]["frame_bytes"]))
    same(alice.answer(99).name, "SEND_OK", "answer")


@check("2.2", "2-6", needs="tls")
def tls_is_1_2_or_later(lab: Lab) -> None:
    """The connection is encrypted by TLS 1.2 or 1.3."""
    person = lab.greeted()
    assert isinstance(person.bodies.raw, ssl.SSLSocket)
    version = person.bodies.raw.version()
    require(version in ("TLSv1.2", "TLSv1.3"), "TLSv1.2 or TLSv1.3", version)


@check("2.2", "2-6", needs="tls")
def alpn_may_be_offered_or_not(lab: Lab) -> None:
    """A client with ALPN wirechat/1 is taken, and one without."""
    lab.skip_unless(lab.target.scheme == "wirechats", "not on wss://")
    for names in (("wirechat/1",), ()):
        raw, _ = open_socket(lab.target.url, lab.target.ca, lab.target.patience, names)
        with raw:
            raw.sendall(framed(lab.schema.encode("HELLO", hello())))
            require(raw.recv(1) == b"\0", f"WELCOME to a client that offers ALPN {list(names)}", "the end")


@check("2.5", "2-16")
def passwords_over_tls_and_loopback(lab: Lab) -> None:
    """Over TLS and from the same machine a password is accepted."""
    lab.skip_unless(lab.target.secure or lab.target.loopback, "neither TLS nor the same machine")
    person = lab.person(password=True, sync=False)
    require(1 in person.welcome["methods"], "method 1 among the methods of WELCOME", person.welcome["methods"])


def _upgrade(lab: Lab, *lines: str) -> tuple[str, str]:
    """Status line and lower-case head that answer a WebSocket handshake with these lines."""
    raw, _ = open_socket(lab.target.url, lab.target.ca, lab.target.patience)
    with raw:
        raw.sendall(upgrade_request(parse_url(lab.target.url), base64.b64encode(os.urandom(16)), *lines))
        told = b""
        while b"\r\n\r\n" not in told and (chunk := raw.recv(4096)):
            told += chunk
    status, _, head = told.decode("latin-1").partition("\r\n")
    return status, head.lower()


@check("2.3", "2-8", needs="websocket")
def the_subprotocol_is_required(lab: Lab) -> None:
    """A handshake without the subprotocol wirechat.v1 is refused."""
    for lines in ((), ("Sec-WebSocket-Protocol: chat",)):
        status, _ = _upgrade(lab, *lines)
        require(" 101" not in status, "no 101 without the subprotocol", status)


@check("2.3", "2-11", needs="websocket")
def extensions_are_declined(lab: Lab) -> None:
    """permessage-deflate that the client offers is not accepted."""
    status, head = _upgrade(lab, SUBPROTOCOL, "Sec-WebSocket-Extensions: permessage-deflate")
    require(" 101" in status, "101", status)
    require("sec-websocket-extensions" not in head, "no Sec-WebSocket-Extensions in the answer", head)


@check("2.3", "2-10", "2-12", needs="websocket")
def a_text_message_is_refused(lab: Lab) -> None:
    """A text message: ERROR 1000 and status 4000."""
    person = lab.greeted()
    person.send_bytes(part(TEXT, b"hello"), "a text message")
    person.closes(1000)
    same(person.status, STATUS_FATAL, "status")


@check("2.3", "2-10", "2-12", needs="websocket")
def an_empty_message_is_refused(lab: Lab) -> None:
    """An empty binary message: ERROR 1001 and status 4001."""
    person = lab.greeted()
    person.send_bytes(part(BINARY, b""), "an empty message")
    person.closes(1001)
    same(person.status, STATUS_FATAL + 1, "status")


@check("2.3", "2-9", needs="websocket")
def fragments_are_put_together(lab: Lab) -> None:
    """A message in three fragments, a WebSocket ping among them, is one frame."""
    person = lab.greeted()
    body = pack([3, 77])
    person.send_bytes(part(BINARY, body[:1], final=False), "first fragment")
    person.send_bytes(part(CONTINUATION, body[1:2], final=False), "second fragment")
    person.send_bytes(part(PING, b"between"), "a WebSocket ping")
    person.send_bytes(part(CONTINUATION, body[2:]), "last fragment")
    person.expect("PONG", t=77)


@check("2.3", "2-12", needs="websocket")
def fatal_errors_close_with_their_status(lab: Lab) -> None:
    """After ERROR 1003 the WebSocket is closed with status 4003."""
    person = lab.connect()
    person.send("PING", t=1)
    person.closes(1003)
    same(person.status, STATUS_FATAL + 3, "status")


@check("2.3", "2-12", "7-23", needs="websocket")
def other_ends_close_with_1000(lab: Lab) -> None:
    """A replaced connection gets ERROR 2007 and status 1000."""
    alice = lab.person()
    lab.again(alice)
    alice.closes(2007)
    same(alice.status, STATUS_NORMAL, "status")


@check("2.3", "2-13", needs="websocket")
def websocket_pings_are_answered(lab: Lab) -> None:
    """A WebSocket ping gets its pong, with the same payload."""
    person = lab.greeted()
    person.send_bytes(part(PING, b"are you there"), "a WebSocket ping")
    person.pong()
    assert isinstance(person.bodies, WebSocket)
    if b"are you there" not in person.bodies.pongs:
        person.pong(8)
    same(person.bodies.pongs, [b"are you there"], "WebSocket pongs")


@check("2.3", "2-9", "2-12", needs="websocket")
def the_limit_holds_for_whole_messages(lab: Lab) -> None:
    """A message above 4,096 bytes before login, in fragments: ERROR 1001, or status 1009."""
    person: Person = lab.greeted()
    person.send_bytes(part(BINARY, bytes(3000), final=False), "3,000 bytes")
    person.send_bytes(part(CONTINUATION, bytes(3000)), "3,000 more")
    last = person.closes()
    if person.status != STATUS_TOO_LONG and (last is None or last["code"] != 1001):
        raise Failed("ERROR 1001, or status 1009", f"status {person.status} after {last.name if last else 'nothing'}")

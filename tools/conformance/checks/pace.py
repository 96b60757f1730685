"""Sections 7.4 and 7.5: heartbeat, silence and slowness, pipelining, limits of requests."""

from __future__ import annotations

import os
import socket
import time

from ..catalogue import check
from ..connection import framed
from ..decoder import Frame
from ..lab import Lab
from ..msgpack import pack
from ..person import Person, hello, msg
from ..sockets import BINARY, PING, WebSocket, part
from ..verdict import Failed, Skipped, require, same

UNKNOWN_REQUEST = 122


def _ends_after(person: Person, code: int, least: float, most: float) -> None:
    began = time.monotonic()
    person.closes(code, seconds=most)
    took = time.monotonic() - began
    require(took >= least, f"ERROR {code} not before {least:.0f} s", f"after {took:.1f} s")


@check("7.1", "7-1", slow=True)
def hello_takes_at_most_10_seconds(lab: Lab) -> None:
    """A connection that sends nothing is ended with ERROR 1004."""
    _ends_after(lab.connect(), 1004, 8, 20)


@check("7.1", "7-1", slow=True, needs="stream")
def half_a_hello_is_no_hello(lab: Lab) -> None:
    """A byte now and then does not put the end off: ERROR 1004 after 10 seconds."""
    person = lab.connect()
    body = framed(lab.schema.encode("HELLO", hello()))
    until = time.monotonic() + 15
    for byte in body[:-1]:
        person.send_bytes(bytes([byte]), "one byte")
        time.sleep(min(0.6, max(until - time.monotonic(), 0)))
    person.closes(1004, seconds=10)


@check("7.1", "7-1", slow=True)
def login_takes_at_most_30_seconds(lab: Lab) -> None:
    """A connection that only sends PING after HELLO is ended with ERROR 1004."""
    person = lab.greeted()
    for _ in range(13):
        time.sleep(2)
        person.pong()
    _ends_after(person, 1004, 1, 20)


@check("7.4", "7-13", slow=True)
def silence_ends_a_connection(lab: Lab) -> None:
    """No frame for twice heartbeat_ms: ERROR 1007."""
    alice = lab.person()
    alice.answers_pings = False
    silence = 2 * alice.welcome["limits"]["heartbeat_ms"] / 1000
    _ends_after(alice, 1007, 0.8 * silence, silence + 15)


@check("7.4", "7-13", slow=True, needs="stream")
def pieces_of_a_frame_are_silence(lab: Lab) -> None:
    """Only complete frames keep a connection alive: ERROR 1007."""
    alice = lab.person()
    silence = 2 * alice.welcome["limits"]["heartbeat_ms"] / 1000
    alice.send_bytes((16384).to_bytes(4, "big"), "the length of a large frame")
    began = time.monotonic()
    while time.monotonic() < began + silence - 5:
        alice.send_bytes(b"\x90", "one byte of it")
        time.sleep(5)
    alice.answers_pings = False
    alice.closes(1007, seconds=20)


@check("7.4", "7-13", slow=True)
def frames_keep_a_connection_alive(lab: Lab) -> None:
    """A client that sends PING every heartbeat_ms stays."""
    alice = lab.person()
    beat = alice.welcome["limits"]["heartbeat_ms"] / 1000
    for _ in range(2):
        time.sleep(beat)
        alice.pong()
    time.sleep(beat / 2)
    alice.pong()


@check("2.3", "2-13", "7-13", slow=True, needs="websocket")
def websocket_pings_are_no_sign_of_life(lab: Lab) -> None:
    """A client that sends only WebSocket pings is silent: ERROR 1007."""
    alice = lab.person()
    silence = 2 * alice.welcome["limits"]["heartbeat_ms"] / 1000
    began = time.monotonic()
    while time.monotonic() < began + silence - 5:
        alice.send_bytes(part(PING, b""), "a WebSocket ping")
        time.sleep(5)
    alice.answers_pings = False
    alice.closes(1007, seconds=20)


PAGES = 300
"""Of 32 KB each: more than the buffers of a kernel hold, so that bytes wait in the server."""


def _fill(alice: Person, slow: Person, conv: int) -> None:
    """Makes the server want to send more than the kernel takes: `slow` asks for pages and reads none of them."""
    for _ in range(4):
        alice.say(conv, "x" * 16000)
    for start in range(0, PAGES, 25):
        slow.send_bodies(*[pack([60, rid, conv, 0, 200]) for rid in range(start, start + 25)])
        time.sleep(0.3)


@check("7.4", "7-14", slow=True, level="L1")
def who_takes_no_byte_is_ended(lab: Lab) -> None:
    """Bytes wait and none is taken for 30 seconds: the connection is ended."""
    alice, bob = lab.people(2)
    conv = alice.new_direct(bob)
    stuck = lab.live_again(bob, receive_buffer=4096)
    _fill(alice, stuck, conv)
    for _ in range(12):
        time.sleep(4)
        alice.pong()
    stuck.bodies.raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)  # what is still on the way comes faster
    stuck.closes(seconds=40)


@check("7.4", "7-14", slow=True, level="L1")
def who_takes_bytes_slowly_stays(lab: Lab) -> None:
    """A reader that takes 45 seconds for ten megabytes gets every answer (P6)."""
    alice, bob = lab.people(2)
    conv = alice.new_direct(bob)
    slow = lab.again(bob, receive_buffer=16384)
    _fill(alice, slow, conv)
    for rid in range(PAGES):
        answer = slow.answer(rid)
        executed = answer.name == "CHANGES_OK" or answer["code"] == 5002
        require(executed, f"CHANGES_OK or ERROR 5002 to rid {rid}", answer.fields)
        time.sleep(0.15)
    slow.pong()


@check("7.5", "7-16", level="L1")
def what_is_above_inflight_is_not_executed(lab: Lab) -> None:
    """ERROR 5002 makes no entry; what was accepted is there once, in order."""
    alice = lab.person()
    conv = alice.new_group()
    count = alice.welcome["limits"]["inflight"] * 3
    rids = alice.flight(*[("SEND", msg(conv, str(number))) for number in range(count)])
    accepted = []
    for number, rid in enumerate(rids):
        answer = alice.answer(rid)
        if answer.name == "SEND_OK":
            accepted.append(str(number))
        else:
            same(answer.fields.get("code"), 5002, "code")
    stored = [record["content"]["data"] for _, record in sorted(alice.records(conv).items()) if record["kind"] == 1]
    same(stored, accepted, "texts")


@check("7.5", "7-17")
def hello_auth_and_sync_in_one_flight(lab: Lab) -> None:
    """All three before WELCOME; requests behind them too."""
    alice = lab.person()
    other = lab.connect()
    other.flight(
        ("HELLO", hello()),
        ("AUTH", {"method": 4, "proof": alice.resume}),
        ("SYNC", {"token": alice.token}),
        ("USER_FIND", {"handle": alice.handle}),
    )
    other.expect("WELCOME")
    same(other.answer(1).name, "AUTH_OK", "answer to AUTH")
    same(other.answer(2).name, "SYNC_OK", "answer to SYNC")
    same(other.answer(3).name, "USER_FIND_OK", "answer to USER_FIND")


@check("7.5", "7-18")
def what_stands_behind_a_failed_login_is_refused(lab: Lab) -> None:
    """ERROR 2002 to AUTH, and ERROR 2000 to the requests behind it."""
    other = lab.connect()
    other.flight(
        ("HELLO", hello()),
        ("AUTH", {"method": 4, "proof": os.urandom(16)}),
        ("SYNC", {}),
        ("USER_FIND", {"handle": "x"}),
    )
    other.expect("WELCOME")
    other.error(1, 2002, 2006)
    other.error(2, 2000)
    other.error(3, 2000)


CHUNK = 250
"""Requests in one write. Their answers are read before the next: who closes a socket while bytes are unread in it
resets it, and an ERROR before that may be lost on the way.
"""
SPEED = 3000
"""Requests a second without which the budget, which regains 2,000, is not spent."""


def _storm(alice: Person, count: int, code: int) -> Frame:
    """Requests without a pause until one is answered with ERROR `code`, or the connection ends with it. What is the
    same as before is not decoded again: that would take too long.
    """
    one = pack([UNKNOWN_REQUEST, 1])
    chunk = (part(BINARY, one) if isinstance(alice.bodies, WebSocket) else framed(one)) * CHUNK
    began, known = time.monotonic(), b""
    for _ in range(count // CHUNK):
        alice.send_bytes(chunk, f"{CHUNK} requests {UNKNOWN_REQUEST}")
        for _ in range(CHUNK):
            body = alice.next_body(20)
            if body is None:
                raise Failed(f"ERROR {code}", "the end without it")
            if body != known:
                frame, known = alice.schema.decode(body), body
                if frame.name == "ERROR" and frame["code"] == code:
                    return frame
    if count / (time.monotonic() - began) < SPEED:
        raise Skipped("this machine is too slow to spend the budget of requests")
    raise Failed(f"ERROR {code}", f"no such thing after {count} requests without a pause")


@check("7.5", "7-25")
def a_spent_budget_is_told_with_the_time_to_wait(lab: Lab) -> None:
    """ERROR 5001 with retry_ms; after that time requests are answered again."""
    alice = lab.person(sync=False)
    error = _storm(alice, 40_000, 5001)
    require(error["retry_ms"], "retry_ms in ERROR 5001", error["retry_ms"])
    until = time.monotonic() + 20
    while time.monotonic() < until:
        alice.send("PING", t=4711)
        while (frame := alice.recv(20)) is not None and not (frame.name == "PONG" and frame["t"] == 4711):
            pass
        time.sleep(min(error["retry_ms"] / 1000 + 0.1, 10))
        answer = alice.answer(alice.request("USER_FIND", handle=alice.handle))
        if answer.name == "USER_FIND_OK":
            return
        error = answer
    raise Failed("an answer after retry_ms", f"ERROR {error['code']} for 20 s")


@check("7.5", "7-25")
def who_goes_on_without_waiting_is_ended(lab: Lab) -> None:
    """Far below a spent budget: ERROR 1008, and nobody else notices (P10)."""
    alice, bob = lab.person(sync=False), lab.person(sync=False)
    error = _storm(alice, 100_000, 1008)
    require(error.rid_of_error is None, "ERROR 1008 without rid", error.fields)
    bob.pong()

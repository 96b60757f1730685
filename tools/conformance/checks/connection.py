"""Section 7: states, limits, order, heartbeat, replacement."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import Any

from ..catalogue import Check, add, check
from ..connection import framed
from ..decoder import Frame
from ..lab import Lab
from ..msgpack import pack
from ..person import Person, hello, msg
from ..sockets import PING, part
from ..verdict import Failed, require, same

UNKNOWN_REQUEST = 122


def _first(items: tuple[object, ...], lab: Lab) -> None:
    person = lab.connect()
    person.items(*items)
    person.closes(1003)


for _name, _items in {
    "ping-first": (3, 1),
    "auth-first": (48, 1, 4, None, b"x"),
    "sync-first": (52, 1),
    "unknown-request-first": (UNKNOWN_REQUEST, 1),
    "ack-first": (5, 0),
}.items():
    add(Check(f"7.1/{_name}", "7.1", ("7-1",), "The first frame is HELLO: ERROR 1003.", partial(_first, _items)))


def _late(items: tuple[object, ...], lab: Lab) -> None:
    alice = lab.person()
    alice.items(*items)
    alice.closes(1003)


for _name, _items in {
    "hello-in-live": (1, "WC", 1, 1, [], "again"),
    "auth-in-live": (48, 9, 4, None, b"x"),
    "register-in-live": (50, 9, "somebody", 3, bytes(32)),
    "sync-in-live": (52, 9),
    "cursor-in-live": (52, 9, None, None, b"x"),
}.items():
    _title = "A known frame that LIVE does not accept: ERROR 1003."
    add(Check(f"7.1/{_name}", "7.1", ("7-1",), _title, partial(_late, _items)))


@check("7.1", "7-1")
def second_hello(lab: Lab) -> None:
    """A second HELLO: ERROR 1003."""
    person = lab.greeted()
    person.send("HELLO", **hello())
    person.closes(1003)


@check("7.1", "7-1", "14-3")
def before_login_requests_cost_nothing_but_themselves(lab: Lab) -> None:
    """ERROR 2000 to every request in GREETED; PING, PONG and STATE are taken, and the login still works."""
    person = lab.greeted()
    person.send("STATE", active=False, window=3)
    person.send("PONG", t=4)
    for name, fields in (
        ("SYNC", {}),
        ("SYNC", {"cursor": b"x"}),
        ("SEND", msg(1)),
        ("CONV_GET", {"convs": []}),
        ("USER_FIND", {"handle": "x"}),
    ):
        person.refused(name, 2000, **fields)
    person.pong()


@check("7.1", "7-1")
def ack_before_login(lab: Lab) -> None:
    """ACK in GREETED: ERROR 1003."""
    person = lab.greeted()
    person.send("ACK", n=0)
    person.closes(1003)


@check("7.1", "7-1")
def ack_before_sync(lab: Lab) -> None:
    """ACK in AUTHED: ERROR 1003."""
    person = lab.person(sync=False)
    person.send("ACK", n=0)
    person.closes(1003)


@check("7.1", "7-1")
def cursor_before_sync(lab: Lab) -> None:
    """SYNC with a cursor in AUTHED: ERROR 1003."""
    person = lab.person(sync=False)
    person.request("SYNC", cursor=b"x")
    person.closes(1003)


def _many_conversations(lab: Lab, count: int) -> tuple[Person, list[int]]:
    alice = lab.person()
    return alice, sorted(alice.new_group() for _ in range(count))


@check("7.1", "7-1", level="L2")
def while_syncing_everything_else_works(lab: Lab) -> None:
    """Between two pages: PING, STATE, ACK and requests; a second SYNC without cursor is ERROR 1003."""
    alice, _ = _many_conversations(lab, 2)
    back = lab.again(alice)
    require(back.ask("SYNC", page=1)["cursor"] is not None, "a cursor when one row of two was asked for", "none")
    back.send("ACK", n=0)
    back.send("STATE", active=True)
    back.pong()
    back.ask("CONV_GET", convs=[])
    back.request("SYNC")
    back.closes(1003)


@check("7.1", "7-3")
def a_sync_that_failed_may_be_sent_again(lab: Lab) -> None:
    """A first SYNC that is refused leaves the connection AUTHED."""
    alice = lab.person(sync=False)
    alice.refused("SYNC", 3000, page=0)
    alice.sync()
    alice.pong()


@check("7.1", "7-2")
def no_push_before_live(lab: Lab) -> None:
    """What happens before SYNC is not pushed; it is in the digest."""
    alice, bob = lab.people(2)
    conv = alice.new_direct(bob)
    back = lab.again(bob)
    alice.say(conv)
    back.quiet()
    rows = {row["conv"]: row["head"] for row in back.sync()}
    same(rows.get(conv), 2, "head in the row")


@check("7.1", "7-4", level="L2")
def only_the_last_cursor_goes_on(lab: Lab) -> None:
    """Any other cursor is ERROR 3000, and the right one still works."""
    alice, convs = _many_conversations(lab, 3)
    back = lab.again(alice)
    first = back.ask("SYNC", page=1)
    second = back.ask("SYNC", page=1, cursor=first["cursor"])
    for cursor in (first["cursor"], b"nonsense", second["cursor"] + b"\0"):
        if cursor != second["cursor"]:
            back.refused("SYNC", 3000, page=1, cursor=cursor)
    third = back.ask("SYNC", page=1, cursor=second["cursor"])
    same([page["rows"][0]["conv"] for page in (first, second, third)], convs, "conversations, page by page")


@check("7.2", "7-5")
def another_magic(lab: Lab) -> None:
    """HELLO with another magic than WC: ERROR 1000."""
    person = lab.connect()
    person.send("HELLO", **hello(magic="WX"))
    person.closes(1000)


@check("7.2", "7-5")
def versions_the_wrong_way_round(lab: Lab) -> None:
    """HELLO with vmin above vmax: ERROR 1000."""
    person = lab.connect()
    person.send("HELLO", **hello(vmin=2, vmax=1))
    person.closes(1000)


@check("7.2", "7-7", "16-1")
def limits_are_within_reason(lab: Lab) -> None:
    """WELCOME tells no limit of 0, no text above 16,384 bytes, and no nonce, window or list that the schema forbids."""
    told = lab.greeted().welcome["limits"]
    for name, value in told.items():
        require(value > 0, f"{name} above 0", value)
    require(told["text_bytes"] <= 16384, "text_bytes at most 16,384", told["text_bytes"])
    require(told["frame_bytes"] >= told["text_bytes"], "frames that can hold a text", told["frame_bytes"])


@check("7.2", "7-6", level="L1")
def the_window_of_hello_holds(lab: Lab) -> None:
    """With a window of 2 the third counted push waits for an ACK."""
    alice = lab.person()
    bob = lab.person(window=2)
    conv = alice.new_direct(bob)
    base = bob.counted
    for _ in range(4):
        alice.say(conv)
    time.sleep(0.3)
    bob.pong()
    require(bob.counted <= 2, f"at most 2 counted pushes (1 was the CREATE: {base})", bob.counted)


@check("7.2", "7-26", level="L1")
def pages_may_be_asked_for_in_full(lab: Lab) -> None:
    """The largest page of the field is no error, whatever `page` of WELCOME says."""
    alice = lab.person()
    conv = alice.new_group()
    for name, fields in (
        ("CHANGES", {"since": 0, "limit": 200}),
        ("HISTORY", {"limit": 200}),
        ("MARKS", {"since": 0, "limit": 500}),
        ("MEMBERS", {"limit": 500}),
    ):
        alice.ask(name, conv=conv, **fields)
    for name, fields in (
        ("CHANGES", {"since": 0, "limit": 201}),
        ("HISTORY", {"limit": 201}),
        ("MARKS", {"since": 0, "limit": 501}),
    ):
        alice.refused(name, 3000, conv=conv, **fields)


@check("7.3", "7-8", "14-1")
def nothing_follows_the_last_error(lab: Lab) -> None:
    """After ERROR without rid comes the end, though requests were behind the bad frame."""
    alice = lab.person(sync=False)
    alice.send_bodies(pack([13, 1]), *[pack([78, rid, alice.handle]) for rid in range(20)])
    alice.closes(1000)


@check("7.4", "7-12")
def ping_is_answered_in_every_state(lab: Lab) -> None:
    """GREETED, AUTHED and LIVE; `now` is the server's clock, a token comes once SYNC is complete."""
    person = lab.greeted()
    answer = person.pong(5)
    require(answer["now"], "the server's clock in PONG", answer["now"])
    require(answer["token"] is None, "no token before SYNC", answer["token"])
    alice = lab.person(sync=False)
    require(alice.pong()["token"] is None, "no token before SYNC", "a token")
    alice.sync()
    token = alice.pong()["token"]
    require(token, "a token in LIVE", token)


@check("7.4", "7-12")
def pong_and_state_need_no_answer(lab: Lab) -> None:
    """A PONG nobody asked for and STATE are taken in silence."""
    alice = lab.person()
    alice.send("PONG", t=9)
    alice.send("STATE", active=False)
    alice.send("STATE", active=True, window=64)
    alice.pong()
    same([frame.name for frame in alice.seen if frame.name is not None], [], "frames before the PONG")


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
    alice.closes(1007, seconds=20)


def _fill(lab: Lab, alice: Person, slow: Person, conv: int) -> None:
    """Makes the server want to send more than the kernel takes: `slow` asks for pages and reads none of them."""
    for _ in range(40):
        alice.say(conv, "x" * 16000)
    for rid in range(60):
        slow.send_bodies(pack([60, rid, conv, 0, 200]))


@check("7.4", "7-14", slow=True, level="L1")
def who_takes_no_byte_is_ended(lab: Lab) -> None:
    """Bytes wait and none is taken for 30 seconds: the connection is ended."""
    alice, bob = lab.people(2)
    conv = alice.new_direct(bob)
    stuck = lab.live_again(bob, receive_buffer=4096)
    _fill(lab, alice, stuck, conv)
    until = time.monotonic() + 50
    while time.monotonic() < until:
        time.sleep(4)
        seen = {mark["user"] for mark in alice.ask("MARKS", conv=conv, since=0)["marks"]}
        require(seen is not None, "answers for others", seen)
    stuck.closes(seconds=20)


@check("7.4", "7-14", slow=True, level="L1")
def who_takes_bytes_slowly_stays(lab: Lab) -> None:
    """A reader of some kilobytes a second gets every answer, late (P6)."""
    alice, bob = lab.people(2)
    conv = alice.new_direct(bob)
    slow = lab.again(bob, receive_buffer=4096)
    _fill(lab, alice, slow, conv)
    for rid in range(60):
        same(slow.answer(rid).name, "CHANGES_OK", f"answer to rid {rid}")
        if rid < 20:
            time.sleep(1.7)
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


def _storm(alice: Person, count: int, code: int) -> Frame:
    """Requests without a pause until one is answered with ERROR `code`, or the connection ends with it."""
    one = pack([UNKNOWN_REQUEST, 1])
    for _ in range(count // CHUNK):
        alice.send_bodies(*[one] * CHUNK)
        for _ in range(CHUNK):
            frame = alice.recv(20)
            if frame is None:
                raise Failed(f"ERROR {code}", "the end without it")
            if frame.name == "ERROR" and frame["code"] == code:
                return frame
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


@check("7.6", "7-20", level="L2")
def writes_are_executed_in_the_order_of_their_arrival(lab: Lab) -> None:
    """Messages and membership of one conversation, in one flight."""
    alice, bob = lab.people(2)
    conv = alice.new_group()
    flight: list[tuple[str, dict[str, Any]]] = []
    for _ in range(3):
        flight += [
            ("SEND", msg(conv, "nobody")),
            ("MEMBER_ADD", {"conv": conv, "cid": os.urandom(8), "users": [bob.user]}),
            ("SEND", msg(conv, "bob")),
            ("MEMBER_DEL", {"conv": conv, "cid": os.urandom(8), "user": bob.user}),
        ]
    seqs = [alice.answer(rid).fields.get("seq") for rid in alice.flight(*flight)]
    same(seqs, list(range(2, 2 + len(flight))), "seqs of the replies")
    bob.expect("EVENT", conv=conv, seq=seqs[-1])
    kinds = [record["kind"] for _, record in sorted(bob.records(conv).items())]
    same(kinds, [7, 1, 8] * 3, "kinds that bob sees")


@check("7.6", "7-21", level="L1")
def who_asks_after_the_reply_sees_the_effect(lab: Lab) -> None:
    """On every connection, for messages and watermarks."""
    alice, bob = lab.people(2)
    conv = alice.new_direct(bob)
    for _ in range(10):
        seq = alice.say(conv)
        same(bob.history(conv, limit=1)["rev"], seq, "rev of HISTORY_OK")
        bob.ask("MARK", conv=conv, seq=seq)
        same(alice.marks(conv).get(bob.user), (seq, seq), "watermarks of bob")


@check("7.6", "7-22")
def what_was_answered_before_comes_before(lab: Lab) -> None:
    """Two people in turn: each seq is above the one before."""
    alice, bob = lab.people(2)
    conv = alice.new_direct(bob)
    seqs = [(alice, bob)[turn % 2].say(conv) for turn in range(20)]
    same(seqs, list(range(2, 22)), "seqs")


@check("7.7", "7-23")
def the_newer_login_of_a_device_wins(lab: Lab) -> None:
    """The older connection gets ERROR 2007 without rid, and a third login replaces the second."""
    alice = lab.person()
    second = lab.live_again(alice)
    alice.closes(2007)
    third = lab.live_again(second)
    second.closes(2007)
    third.pong()


@check("7.8", "7-24", level="L1")
def state_before_login_sets_the_window(lab: Lab) -> None:
    """A window of 0 is kept by the login; another one later lets the pushes out."""
    alice, bob = lab.people(2)
    conv = alice.new_direct(bob)
    back = lab.greeted("bob")
    back.send("STATE", active=False, window=0)
    back.go_on(bob.resume)
    back.sync()
    alice.say(conv, "unheard")
    back.quiet(0.5)
    back.send("STATE", active=True, window=8)
    row = next((row for row in back.expect("ROWS")["rows"] if row["conv"] == conv), None)
    require(row and row["head"] == 2, "a row of the conversation with head 2", row)

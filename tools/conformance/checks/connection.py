"""Section 7: states, HELLO, closing, order, replacement. What takes time or counts requests is in `pace`."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import Any

from ..catalogue import Check, add, check
from ..lab import Lab
from ..msgpack import pack
from ..person import Person, hello, msg
from ..verdict import require, same

UNKNOWN_REQUEST = 122


def _first(items: tuple[object, ...], lab: Lab) -> None:
    person = lab.connect()
    person.items(*items)
    person.closes(1003)


FIRST: dict[str, tuple[object, ...]] = {
    "ping-first": (3, 1),
    "auth-first": (48, 1, 4, None, b"x"),
    "sync-first": (52, 1),
    "unknown-request-first": (UNKNOWN_REQUEST, 1),
    "ack-first": (5, 0),
}
LATE: dict[str, tuple[object, ...]] = {
    "hello-in-live": (1, "WC", 1, 1, [], "again"),
    "auth-in-live": (48, 9, 4, None, b"x"),
    "register-in-live": (50, 9, "somebody", 3, bytes(32)),
    "sync-in-live": (52, 9),
    "cursor-in-live": (52, 9, None, None, b"x"),
}

for _name, _items in FIRST.items():
    add(Check(f"7.1/{_name}", "7.1", ("7-1",), "The first frame is HELLO: ERROR 1003.", partial(_first, _items)))


def _late(items: tuple[object, ...], lab: Lab) -> None:
    alice = lab.person()
    alice.items(*items)
    alice.closes(1003)


for _name, _items in LATE.items():
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
    same(alice.unasked, [], "frames before the PONG")


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

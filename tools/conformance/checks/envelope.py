"""Sections 4 to 6: the envelope, unknown things, versions and capabilities."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..catalogue import Check, add, check
from ..lab import Lab
from ..person import cid, hello, msg
from ..verdict import require, same

SEND, USER_FIND, CONV_GET = 54, 78, 68
ODD, EVEN = 27, 2


def _ended(code: int, items: tuple[object, ...], lab: Lab) -> None:
    person = lab.person(sync=False)
    person.items(*items)
    person.closes(code)


ENDED = {
    "4.1/code-is-text": ("4-2", 1002, ("PING", 1), "A first element that is text"),
    "4.1/code-is-nil": ("4-2", 1002, (None, 1), "A first element that is nil"),
    "4.1/no-rid": ("4-2", 1002, (SEND,), "A request without a rid"),
    "4.1/rid-is-text": ("4-2", 1002, (SEND, "1"), "A rid that is text"),
    "4.1/rid-of-2-31": ("4-2", 1002, (SEND, 2**31), "A rid of 2^31"),
    "4.1/code-0": ("4-2", 1000, (0, 1), "A code of 0"),
    "4.1/code-above-65535": ("4-2", 1000, (65536, 1), "A code above 65,535"),
    "5.2/unknown-control-frame": ("5-1", 1000, (13, 1), "An unknown control frame"),
    "5.2/counted-push-from-a-client": ("5-1", 1000, (21, 1), "An unknown counted push, from a client"),
    "5.2/unknown-reply": ("5-1", 1000, (123, 1), "An unknown reply, from a client"),
    "5.2/welcome-from-a-client": ("5-1", 1000, (2, 1), "A frame that only a server sends"),
    "5.2/event-from-a-client": ("5-1", 1000, (16, 1, 1, 1, 1, 1), "An EVENT from a client"),
    "5.2/counted-push-of-a-vendor": ("5-1", 1000, (32768 + 33, 1), "A counted push of a vendor block"),
}

for _id, (_rule, _code, _items, _what) in ENDED.items():
    _title = f"{_what}: ERROR {_code}."
    add(Check(_id, _id.partition("/")[0], (_rule,), _title, partial(_ended, _code, _items)))


@check("4.2", "4-3", "4-4")
def a_reply_has_the_rid_of_its_request(lab: Lab) -> None:
    """Any u31 is a rid, 0 and 2^31 - 1 too, in replies and in errors."""
    alice = lab.person(sync=False)
    for rid in (0, 1, 255, 65536, 2**31 - 1):
        alice.items(USER_FIND, rid, alice.handle)
        same(alice.answer(rid).name, "USER_FIND_OK", f"answer to rid {rid}")
        alice.items(USER_FIND, rid, "nobody-" + alice.handle[:20])
        alice.error(rid, 4000)


@check("4.2", "4-4", "7-16")
def every_request_is_answered_once(lab: Lab) -> None:
    """Fifty requests in one flight, good and bad ones: one answer each."""
    alice = lab.person(sync=False)
    wanted: list[tuple[str, dict[str, Any]]] = [("USER_FIND", {"handle": alice.handle})]
    wanted = [*wanted, ("CHANGES", {"conv": 1, "since": 0})] * 25
    count = min(50, alice.welcome["limits"]["inflight"])
    rids = alice.flight(*wanted[:count])
    for number, rid in enumerate(rids):
        same(alice.answer(rid).name, "ERROR" if number % 2 else "USER_FIND_OK", f"answer to rid {rid}")
    alice.pong()
    same(alice.unasked, [], "further frames")


@check("4.2", "4-5")
def rids_may_be_used_again(lab: Lab) -> None:
    """After its answer a rid is free, also for another request."""
    alice = lab.person(sync=False)
    for _ in range(3):
        alice.items(USER_FIND, 5, alice.handle)
        same(alice.answer(5).name, "USER_FIND_OK", "answer")
        alice.items(CONV_GET, 5, [])
        same(alice.answer(5).name, "CONV_GET_OK", "answer")


@check("4.3", "4-7")
def nil_and_absent_are_the_same(lab: Lab) -> None:
    """A SEND with `ref` as nil, and the same without it, are the same request."""
    alice = lab.person()
    conv, fresh = alice.new_group(), cid()
    first = alice.answer(alice.request_items(SEND, conv, fresh, 1, [1, "hi"]))
    again = alice.answer(alice.request_items(SEND, conv, fresh, 1, [1, "hi"], None, None, None))
    same((again.name, again.fields.get("dup")), ("SEND_OK", True), "answer and dup")
    same(again["seq"], first["seq"], "seq")


@check("4.3", "4-8", level="L1")
def defaults_may_be_spelled_out(lab: Lab) -> None:
    """CHANGES with the default of `limit`, or with nil in its place."""
    alice = lab.person()
    conv = alice.new_group()
    for items in ((conv, 0, 100), (conv, 0, None), (conv, 0)):
        same(alice.answer(alice.request_items(60, *items)).name, "CHANGES_OK", "answer")


@check("4.3", "4-9", "4-16")
def required_fields_are_required(lab: Lab) -> None:
    """Missing, or nil: ERROR 3000, and the connection lives."""
    alice = lab.person(sync=False)
    alice.error(alice.request_items(USER_FIND), 3000)
    alice.error(alice.request_items(USER_FIND, None), 3000)
    alice.error(alice.request_items(SEND, 1, cid()), 3000)
    alice.pong()


@check("4.3", "4-10")
def later_fields_are_ignored(lab: Lab) -> None:
    """Elements behind those that the server knows change nothing."""
    alice = lab.person()
    conv, fresh = alice.new_group(), cid()
    known = [None] * (len(lab.schema.by_name["SEND"].layout.fields) - 4)
    rid = alice.request_items(SEND, conv, fresh, 1, [1, "hi"], *known, "later", [1, [2]], None, True)
    same(alice.answer(rid).name, "SEND_OK", "answer")
    same(alice.ask("SEND", **msg(conv, "hi", cid=fresh))["dup"], True, "dup of the plain request")


@check("4.4", "4-13")
def odd_extras_are_ignored(lab: Lab) -> None:
    """An odd key, with any value, changes nothing."""
    alice = lab.person()
    conv, fresh = alice.new_group(), cid()
    rid = alice.request_items(SEND, conv, fresh, 1, [1, "hi"], {ODD: ["any", 1, None], 89: "thing"})
    same(alice.answer(rid).name, "SEND_OK", "answer")
    same(alice.ask("SEND", **msg(conv, "hi", cid=fresh))["dup"], True, "dup of the plain request")


@check("4.4", "4-14", "11-5")
def even_extras_are_not_executed(lab: Lab) -> None:
    """An even key that the server does not know: ERROR 3005, nothing was done, and the cid is free."""
    alice = lab.person()
    conv, fresh = alice.new_group(), cid()
    alice.error(alice.request_items(SEND, conv, fresh, 1, [1, "hi"], {ODD: 1, EVEN: 1}), 3005)
    sent = alice.ask("SEND", **msg(conv, "hi", cid=fresh))
    same((sent["seq"], sent["dup"]), (2, False), "seq and dup")


@check("4.4", "4-14")
def even_extras_of_control_frames(lab: Lab) -> None:
    """A PING with an even key: ERROR 1002."""
    person = lab.greeted()
    person.items(3, 1, {EVEN: 1})
    person.closes(1002)


@check("4.4", "4-11")
def extras_stand_where_the_array_ends(lab: Lab) -> None:
    """A map in last place is the extras, though fields before it are absent."""
    alice = lab.person(sync=False)
    same(alice.answer(alice.request_items(52, {ODD: 1})).name, "SYNC_OK", "answer to SYNC")


@check("4.4", "4-12")
def keys_of_extras_do_not_repeat(lab: Lab) -> None:
    """The same key twice, in two widths: ERROR 1002."""
    person = lab.greeted()
    person.send_bodies(bytes.fromhex("930301821b01cc1b02"))
    person.closes(1002)


@check("4.5", "4-15", "4-11")
def structs_grow_at_their_end_but_have_no_extras(lab: Lab) -> None:
    """A later element of a struct is ignored; a map in it: ERROR 1002."""
    alice = lab.person()
    conv = alice.new_group()
    same(alice.answer(alice.request_items(SEND, conv, cid(), 1, [1, "hi", 7, [8]])).name, "SEND_OK", "answer")
    alice.request_items(SEND, conv, cid(), 1, [1, "hi", {ODD: 1}])
    alice.closes(1002)


@check("4.6", "4-16")
def wrong_fields_fail_their_request_alone(lab: Lab) -> None:
    """Wrong type, range and length: ERROR 3000 with the rid, and the connection lives."""
    alice = lab.person(sync=False)
    for items in ((SEND, "x", cid(), 1), (SEND, 1, b"short", 1), (SEND, 1, cid(), 256), (60, 1, 0, 0), (58, 1, 0)):
        alice.error(alice.request_items(*items), 3000)
    alice.pong()


@check("4.6", "4-17")
def wrong_fields_of_control_frames_end_the_connection(lab: Lab) -> None:
    """There is no rid to answer to: ERROR 1002."""
    for items in ((3, "1"), (3,), (8, 1), (8, True, 1025)):
        person = lab.greeted()
        person.items(*items)
        person.closes(1002)


@check("4.6", "4-18")
def unknown_numbers_of_a_registry(lab: Lab) -> None:
    """A kind of entry, of content, of conversation that nobody knows: ERROR 3000."""
    alice = lab.person()
    conv = alice.new_group()
    alice.refused("SEND", 3000, conv=conv, cid=cid(), kind=200, content={"type": 1, "data": "x"})
    alice.refused("SEND", 3000, conv=conv, cid=cid(), kind=1, content={"type": 60000, "data": "x"})
    alice.refused("CONV_NEW", 3000, cid=cid(), kind=200, members=[])


def _ignored(items: tuple[object, ...], lab: Lab) -> None:
    person = lab.person(sync=False)
    person.items(*items)
    person.pong()
    same(person.unasked, [], "frames before the PONG")


def _not_known(code: int, lab: Lab) -> None:
    person = lab.person(sync=False)
    person.error(person.request_items(code, "what", [1], {EVEN: 1}), 3001)
    person.pong()


for _name, _items in {
    "unknown-ephemeral-push": (47, "x"),
    "ephemeral-grease": (43,),
    "ephemeral-push-of-a-block": (256 + 63, 1),
    "ephemeral-push-of-a-vendor": (65535,),
}.items():
    add(Check(f"5.2/{_name}", "5.2", ("5-1",), "An ephemeral push nobody knows is ignored.", partial(_ignored, _items)))

for _name, _code in {
    "unknown-request": 126,
    "unused-request": 200,
    "request-of-a-block": 32000 - 32000 % 64,
    "request-of-a-vendor": 32768 + 4,
}.items():
    _title = "An unknown request fails alone: ERROR 3001, whatever it carries."
    add(Check(f"5.2/{_name}", "5.2", ("5-1",), _title, partial(_not_known, _code)))


@check("6.1", "6-1")
def the_highest_common_version_is_spoken(lab: Lab) -> None:
    """A client that speaks 1 to 9, or 0 to 255, gets a version in that range; one that speaks 1 alone gets 1."""
    for low, high in ((1, 1), (1, 9), (0, 255)):
        version = lab.connect().hello(vmin=low, vmax=high)["version"]
        require(low <= version <= high, f"a version from {low} to {high}", version)


@check("6.1", "6-2")
def without_a_common_version_the_server_names_its_own(lab: Lab) -> None:
    """ERROR 1005 with two bytes: the server's lowest and highest version."""
    person = lab.connect()
    person.send("HELLO", **hello(vmin=255, vmax=255))
    last = person.closes(1005)
    assert last is not None
    detail = last["detail"]
    require(detail is not None and len(detail) == 2, "a detail of two bytes", detail)
    require(detail[0] <= 1 <= detail[1] < 255, "versions around 1", detail)


@check("6.2", "6-4", "6-5")
def capabilities_that_are_on_were_asked_for(lab: Lab) -> None:
    """WELCOME lists a subset of what HELLO named, and grease of the form 31 N + 27."""
    for asked in ((), (11,), (11, 12, 27, 58, 60000), tuple(range(1, 65))):
        told = lab.greeted("client", asked).welcome["caps"]
        wrong = [cap for cap in told if cap not in asked and cap % 31 != 27]
        same(wrong, [], f"capabilities that were not among {list(asked)}")


@check("6.2", "6-4")
def unknown_capabilities_are_not_on(lab: Lab) -> None:
    """A number that is not assigned is ignored, and not told back."""
    told = lab.greeted("client", (40000, 50001)).welcome["caps"]
    require(not {40000, 50001} & set(told), "neither 40000 nor 50001 among the capabilities", told)


@check("6.3", "6-6")
def grease_is_taken(lab: Lab) -> None:
    """Capabilities of the form 31 N + 27, the odd extras 27 and 89 in any frame, and request 122."""
    person = lab.connect()
    person.items(1, "WC", 1, 1, [27, 58, 31 * 2000 + 27], "conformance", 8, {27: 1, 89: [1]})
    person.welcome = person.expect("WELCOME")
    person.items(3, 5, {27: None})
    person.expect("PONG", t=5)
    person.items(8, True, {89: "x"})
    person.error(person.request_items(122, 1, {27: 1}), 3001)
    person.pong()

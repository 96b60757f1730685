"""Section 3: the msgpack profile."""

from __future__ import annotations

import struct
from functools import partial

from ..catalogue import Check, add, check
from ..lab import Lab
from ..msgpack import Malformed, pack, unpack
from ..person import msg
from ..verdict import Failed, require, same

PING = 3

BROKEN = {
    "float": ("a float", b"\x92\x03\xcb" + bytes(8)),
    "ext": ("an extension", bytes.fromhex("9203d40100")),
    "never-used": ("the byte c1", b"\x92\x03\xc1"),
    "negative": ("a negative integer", b"\x92\x03\xff"),
    "above-2-53": ("an integer of 2^53", b"\x92\x03\xcf" + struct.pack(">Q", 2**53)),
    "not-utf-8": ("text that is not UTF-8, in a field of a later version", bytes.fromhex("930301a1ff")),
    "nine-levels": ("arrays nested nine levels deep", b"\x93\x03\x01" + b"\x91" * 7 + b"\x90"),
    "map-in-an-array": ("a map inside an array", bytes.fromhex("93030191811b01")),
    "map-not-last": ("a map that is not the last element", bytes.fromhex("9303811b0101")),
    "text-as-key": ("a map with text as its key", bytes.fromhex("93030181a16101")),
    "repeated-key": ("a map with the same key twice", bytes.fromhex("930301821b011b02")),
    "no-array": ("a body that is a number", b"\x03"),
    "empty-array": ("an empty array", b"\x90"),
    "cut-off": ("a body that ends inside a value", bytes.fromhex("9203ce0001")),
    "bytes-after": ("bytes after the array", bytes.fromhex("920301c0")),
    "two-in-one": ("two arrays in one body", bytes.fromhex("920301920301")),
}


def _refused(body: bytes, lab: Lab) -> None:
    person = lab.greeted()
    person.send_bodies(body)
    person.closes(1002)


for _name, (_what, _body) in BROKEN.items():
    add(
        Check(
            f"3.1/{_name}",
            "3.1",
            ("3-4", "3-6"),
            f"{_what[0].upper()}{_what[1:]}: ERROR 1002.",
            partial(_refused, _body),
        )
    )


@check("3.1", "3-1", "4-8", level="L1")
def everything_is_sent_in_its_shortest_form(lab: Lab) -> None:
    """Every frame of a session has the one canonical form: shortest widths, defaults and trailing nils left out."""
    alice, bob = lab.people(2)
    conv = alice.new_group(bob)
    first = alice.say(conv, "x" * 300)
    alice.say(conv, "a reply", ref=first)
    alice.edit(conv, first, "y" * 40)
    bob.react(conv, first, "👍")
    alice.delete(conv, alice.say(conv, "gone"))
    bob.ask("MARK", conv=conv, seq=first)
    alice.refused("CHANGES", 4002, conv=1, since=0)
    for person in (alice, bob):
        person.records(conv)
        person.history(conv)
        person.marks(conv)
        person.info(conv)
        person.ask("MEMBERS", conv=conv)
        person.ask("USER_GET", users=[alice.user, bob.user])
        person.ask("WHO_READ", conv=conv, seq=first)
        person.pong()
        for body in person.received:
            _must_be_canonical(lab, body)


def _must_be_canonical(lab: Lab, body: bytes) -> None:
    """Greased and later fields are known in their form only."""
    value = unpack(body)
    if pack(value) != body:
        raise Failed(f"the shortest form {pack(value).hex()}", body.hex())
    frame = lab.schema.decode(body)
    known = frame.name is not None and not isinstance(value[-1], dict)
    if known and len(value) <= len(lab.schema.by_name[str(frame.name)].layout.fields) + 2:
        try:
            canonical = lab.schema.encode(str(frame.name), frame.fields, frame.rid)
        except Malformed as error:
            raise Failed("a frame as the schema says", f"{body.hex()}: {error}") from None
        require(canonical == body or _grown(value, unpack(canonical)), canonical.hex(), body.hex())


def _grown(value: object, canonical: object) -> bool:
    """Whether `value` is `canonical` with elements of a later version behind the fields."""
    if not isinstance(value, list) or not isinstance(canonical, list):
        return value == canonical
    return len(value) >= len(canonical) and value[-1] is not None and all(map(_grown, value, canonical))


@check("3.1", "3-2")
def any_width_is_taken(lab: Lab) -> None:
    """A number in every unsigned and signed form, an array and a text in their widest form."""
    person = lab.greeted()
    for form in ("05", "cc05", "cd0005", "ce00000005", "cf0000000000000005", "d005", "d10005", "d200000005"):
        person.send_bodies(bytes.fromhex("9203" + form))
        person.expect("PONG", t=5)
    person.send_bodies(bytes.fromhex("dd00000002cd0003d30000000000000005"))
    person.expect("PONG", t=5)
    alice = lab.person(sync=False)
    text = alice.handle.encode()
    alice.send_bodies(b"\x93\x4e\x63\xdb" + struct.pack(">I", len(text)) + text)
    same(alice.answer(0x63).name, "USER_FIND_OK", "answer")


@check("3.1", "3-2")
def numbers_up_to_2_53(lab: Lab) -> None:
    """2^53 - 1 comes back as it is."""
    lab.greeted().pong(2**53 - 1)


@check("3.1", "3-3", "4-16")
def text_is_not_bytes(lab: Lab) -> None:
    """A handle as bin, and a cid as str: ERROR 3000."""
    alice = lab.person(sync=False)
    alice.error(alice.request_items(78, alice.handle.encode()), 3000)
    alice.error(alice.request_items(54, 1, "8 bytes!", 1, [1, "hi"]), 3000)


@check("3.1", "3-5")
def arrays_of_256_items_are_taken_and_longer_ones_not(lab: Lab) -> None:
    """256 items are answered; 257: ERROR 1002."""
    alice = lab.person(sync=False)
    alice.ask("USER_GET", users=[alice.user] * 256)
    alice.request_items(76, [1] * 257)
    alice.closes(1002)


@check("3.1", "3-5")
def frames_of_2048_values_are_taken_and_larger_ones_not(lab: Lab) -> None:
    """Counted through all levels, the outermost array among them: 2,049 values are ERROR 1002."""
    alice = lab.person(sync=False)
    alice.items(3, 41, *[[0] * 255] * 7, [0] * (2048 - 3 - 7 * 256 - 1))
    alice.expect("PONG", t=41)
    alice.items(3, 42, *[[0] * 255] * 7, [0] * (2048 - 3 - 7 * 256))
    alice.closes(1002)


@check("3.1", "3-7")
def lengths_that_lie_allocate_nothing(lab: Lab) -> None:
    """An array, a text, a map that announce 2^32 - 1 items: ERROR 1002, at once."""
    for body in ("ddffffffff03", "9203dbffffffff", "9203c6ffffffff", "930301dfffffffff"):
        person = lab.greeted()
        person.send_bodies(bytes.fromhex(body))
        person.closes(1002, seconds=5)


@check("3.1", "3-3")
def text_comes_back_byte_for_byte(lab: Lab) -> None:
    """Every plane of Unicode, control characters, both forms of an accent: nothing is normalised."""
    alice = lab.person()
    conv = alice.new_group()
    text = "é e\u0301 \u202e 👩‍👩‍👧 \0\t\n \U0010ffff \ufeff\u200b" + "ß" * 50
    seq = alice.say(conv, text)
    same(alice.records(conv)[seq]["content"]["data"], text, "text")


@check("3.1", "3-6", "4-4")
def bad_input_hurts_only_its_sender(lab: Lab) -> None:
    """While others send what breaks the profile, a conversation goes on (P10)."""
    alice, bob = lab.people(2)
    conv = alice.new_group(bob)
    for body in (b"\x92\x03\xc1", b"\x90", b"\xdd\xff\xff\xff\xff"):
        bad = lab.greeted()
        bad.send_bodies(body)
        seq = int(alice.ask("SEND", **msg(conv))["seq"])
        bob.expect("EVENT", conv=conv, seq=seq)
        bad.closes(1002)

"""Attacks 1 to 6: bytes that are meant to cost more than they are.

Over TCP before and behind HELLO, and over WebSocket; whoever sends them is told the code of the registry and is gone,
and nobody else notices (P10).
"""

from __future__ import annotations

import tracemalloc

import pytest

from tests.attacks.victim import HELLO, Attacker, Victim, framed
from tests.attacks.websocket import upgrade
from wirechat import wire
from wirechat.wire.packing import pack

HEAD = b"\x92\x01"
"""The beginning of a frame with one field, of code HELLO."""

BODIES: dict[str, tuple[bytes, int]] = {
    # 1: nesting
    "A01 nested 9 deep": (HEAD + b"\x91" * 8 + b"\xc0", 1002),
    "A01 nested 17 deep": (HEAD + b"\x91" * 16 + b"\xc0", 1002),
    "A01 nested 1,024 deep": (HEAD + b"\x91" * 1023 + b"\xc0", 1002),
    "A01 nested 4,000 deep": (HEAD + b"\x91" * 3999 + b"\xc0", 1002),
    "A01 nested and cut off": (b"\x91" * 4000, 1002),
    "A01 nested maps": (HEAD + b"\x81\x01" * 1900 + b"\xc0", 1002),
    "A01 nested long arrays": (b"\xdd\x00\x00\x00\x01" * 800, 1002),
    # 2: huge lengths in few bytes
    "A02 array of 2^32-1": (b"\xdd\xff\xff\xff\xff", 1002),
    "A02 array of 2^31": (b"\xdd\x80\x00\x00\x00", 1002),
    "A02 array of 65,535": (b"\xdc\xff\xff", 1002),
    "A02 array of 257": (b"\xdc\x01\x01", 1002),
    "A02 map of 2^32-1": (HEAD + b"\xdf\xff\xff\xff\xff", 1002),
    "A02 map of 65,535": (HEAD + b"\xde\xff\xff", 1002),
    "A02 text of 2^32-1": (HEAD + b"\xdb\xff\xff\xff\xff", 1002),
    "A02 text of 65,535": (HEAD + b"\xda\xff\xff", 1002),
    "A02 text of 255": (HEAD + b"\xd9\xff", 1002),
    "A02 bytes of 2^32-1": (HEAD + b"\xc6\xff\xff\xff\xff", 1002),
    "A02 bytes of 65,535": (HEAD + b"\xc5\xff\xff", 1002),
    "A02 ext of 2^32-1": (HEAD + b"\xc9\xff\xff\xff\xff\x01", 1002),
    "A02 a length that is cut off": (HEAD + b"\xdb\xff", 1002),
    "A02 nothing behind a length": (b"\xdd", 1002),
    # 3: much to allocate
    "A03 nested arrays of 65,000": (b"\xdd\x00\x00\xfd\xe8" * 800, 1002),
    "A03 arrays of 256 in arrays of 256": (b"\xdc\x01\x00" * 1300, 1002),
    "A03 3,000 empty arrays": (b"\xdc\x00\xff" + b"\x90" * 255, 1002),
    "A03 a thousand empty maps": (b"\xdc\x00\xf0" + b"\x80" * 240, 1002),
    "A03 one value too many": (b"\x99" + (b"\xdc\x00\xff" + b"\x00" * 255) * 9, 1002),
    # 4: extensions
    "A04 fixext 1": (HEAD + b"\xd4\x01\x00", 1002),
    "A04 fixext 2": (HEAD + b"\xd5\x01\x00\x00", 1002),
    "A04 fixext 16": (HEAD + b"\xd8\x01" + bytes(16), 1002),
    "A04 ext 8 of nothing": (HEAD + b"\xc7\x00\x01", 1002),
    "A04 timestamp 32": (HEAD + b"\xd6\xff\xff\xff\xff\xff", 1002),
    "A04 timestamp 64 with 2^30 ns": (HEAD + b"\xd7\xff" + b"\xff" * 8, 1002),
    "A04 timestamp 96 of the year -292 billion": (HEAD + b"\xc7\x0c\xff" + b"\xff" * 4 + b"\x80" + bytes(7), 1002),
    "A04 timestamp of 3 bytes": (HEAD + b"\xc7\x03\xff" + bytes(3), 1002),
    "A04 the byte that is never used": (HEAD + b"\xc1", 1002),
    # 5: keys, and values that are none
    "A05 a key twice": (HEAD + b"\x82\x01\x01\x01\x02", 1002),
    "A05 a key twice, in two widths": (HEAD + b"\x82\x01\x01\xcc\x01\x02", 1002),
    "A05 a key of bytes": (HEAD + b"\x81\xc4\x01a\x01", 1002),
    "A05 a key of text": (HEAD + b"\x81\xa1a\x01", 1002),
    "A05 a key that is an array": (HEAD + b"\x81\x91\x01\x01", 1002),
    "A05 a key that is nil": (HEAD + b"\x81\xc0\x01", 1002),
    "A05 a key that is true": (HEAD + b"\x81\xc3\x01", 1002),
    "A05 a key that is not a number": (HEAD + b"\x81\xcb\x7f\xf8" + bytes(6) + b"\x01", 1002),
    "A05 a key that is negative": (HEAD + b"\x81\xff\x01", 1002),
    "A05 a map in the middle": (b"\x93\x01\x81\x01\x01\x01", 1002),
    "A05 a map instead of a frame": (b"\x81\x01\x01", 1002),
    "A05 not a number": (HEAD + b"\xcb\x7f\xf8" + bytes(6), 1002),
    "A05 infinity": (HEAD + b"\xca\x7f\x80\x00\x00", 1002),
    "A05 minus one": (HEAD + b"\xff", 1002),
    "A05 minus 2^63": (HEAD + b"\xd3\x80" + bytes(7), 1002),
    "A05 2^53": (HEAD + b"\xcf\x00\x20" + bytes(6), 1002),
    "A05 2^64-1": (HEAD + b"\xcf" + b"\xff" * 8, 1002),
    "A05 overlong UTF-8": (HEAD + b"\xa2\xc0\xaf", 1002),
    "A05 a surrogate": (HEAD + b"\xa3\xed\xa0\x80", 1002),
    "A05 UTF-8 that is cut off": (HEAD + b"\xa1\xf0", 1002),
    "A05 bytes behind the frame": (b"\x91\x01\x00", 1002),
    "A05 a code that is text": (b"\x91\xa1x", 1002),
    "A05 code 0": (b"\x91\x00", 1000),
    "A05 code 65,536": (b"\x91\xce\x00\x01\x00\x00", 1000),
    "A05 code 2^53-1": (b"\x91\xcf\x00\x1f" + b"\xff" * 6, 1000),
}
NUMBERED = sorted(BODIES)


@pytest.fixture(scope="module")
def bystander(victim: Victim) -> Attacker:
    """Somebody whom it is none of his business."""
    return victim.person("bystander")


@pytest.mark.parametrize("what", NUMBERED)
def test_a01_to_a05_a_body_of_a_stranger(victim: Victim, bystander: Attacker, what: str) -> None:
    """A01 A02 A03 A04 A05: as the first frame. One that is longer than strangers may send is not even read (1001)."""
    body, code = BODIES[what]
    attacker = victim.attacker()
    attacker.raw(framed(body))
    assert attacker.closed() == code
    assert bystander.alive()


@pytest.mark.parametrize("what", NUMBERED)
def test_a01_to_a05_a_body_of_a_member(victim: Victim, bystander: Attacker, what: str) -> None:
    """A01 A02 A03 A04 A05: behind HELLO, where larger trees of frames are decoded."""
    body, code = BODIES[what]
    attacker = victim.greeted()
    attacker.raw(framed(body))
    assert attacker.closed() == code
    assert bystander.alive()


@pytest.mark.parametrize("what", [name for name in NUMBERED if name[:3] in ("A01", "A02", "A03")])
def test_a01_to_a03_a_body_over_websocket(victim: Victim, bystander: Attacker, what: str) -> None:
    """A01 A02 A03: as one message; the close frame carries the code."""
    body, code = BODIES[what]
    attacker = upgrade(victim)
    attacker.send(body)
    assert attacker.closed() == 3000 + code
    assert bystander.alive()


@pytest.mark.parametrize("what", NUMBERED)
def test_a01_to_a05_decoding_allocates_what_the_bytes_justify(what: str) -> None:
    """A01 A02 A03 A04 A05 [3-7]: at the most a megabyte, for 4 KiB of whatever."""
    body, code = BODIES[what]
    tracemalloc.start()
    try:
        with pytest.raises(wire.ProtocolViolation) as refused:
            wire.decode(body, side="client")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused.value.code == code
    assert peak < 1_000_000


LARGEST: dict[str, bytes] = {
    "A03 65 kB of nested arrays of 65,000": (b"\xdd\x00\x00\xfd\xe8" * 13_107)[:65_536],
    "A03 65 kB of empty arrays": b"\xdd\x00\x00\xff\xfb" + b"\x90" * 65_531,
    "A03 65 kB of empty maps": b"\xdd\x00\x00\xff\xfb" + b"\x80" * 65_531,
    "A03 65 kB of numbers": b"\xdd\x00\x00\xff\xfb" + b"\x01" * 65_531,
    "A03 65 kB of arrays of 255 numbers": b"\xdc\x00\xfd" + (b"\xdc\x00\xff" + b"\x01" * 255) * 253,
    "A03 65 kB of nesting": b"\x91" * 65_536,
    "A03 65 kB of extras": HEAD[:1] + b"\x01\xde\x7f\xfd" + b"\x01\x01" * 32_765,
}


@pytest.mark.parametrize("what", LARGEST)
def test_a03_the_largest_frame_of_a_member(victim: Victim, bystander: Attacker, what: str) -> None:
    """A03: from somebody who may send 64 KiB."""
    body = LARGEST[what]
    attacker = victim.person(f"member{list(LARGEST).index(what)}")
    attacker.raw(framed(body))
    assert attacker.closed() == 1002
    assert bystander.alive()
    tracemalloc.start()
    try:
        with pytest.raises(wire.ProtocolViolation):
            wire.decode(body, side="client")
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


PREFIXES: dict[str, tuple[bytes, int]] = {
    "length 0": (b"\0\0\0\0", 1001),
    "4,097 before the login": (b"\0\0\x10\x01", 1001),
    "65,537": (b"\0\x01\0\x01", 1001),
    "16 MiB": (b"\0\xff\xff\xff", 1001),
    "2^32-1": (b"\xff\xff\xff\xff", 1000),
    "2^24": (b"\x01\0\0\0", 1000),
    "the beginning of TLS": (b"\x16\x03\x01\x02", 1000),
    "the beginning of HTTP": (b"GET ", 1000),
    "a byte that is not 0, alone": (b"\x01", 1000),
}


@pytest.mark.parametrize("what", PREFIXES)
@pytest.mark.parametrize("greeted", [False, True], ids=["at first", "behind HELLO"])
def test_a06_a_length_is_judged_before_the_body(victim: Victim, bystander: Attacker, what: str, greeted: bool) -> None:
    """A06 [2-3]: refused at the prefix; not a byte of the body is waited for."""
    data, code = PREFIXES[what]
    attacker = victim.greeted() if greeted else victim.attacker()
    attacker.raw(data)
    assert attacker.closed() == code
    assert bystander.alive()


def test_a06_what_was_announced_is_not_held(victim: Victim) -> None:
    """A06: a member announces 64 KiB and sends half of it, a stranger 4 KiB: no more is kept than came."""
    member, stranger = victim.person("announcer"), victim.attacker()
    member.raw(b"\0\x01\0\0" + bytes(30_000))
    stranger.raw(b"\0\0\x10\0" + bytes(2_000))
    while sum(connection.wire.buffered for connection in victim.connections()) < 32_008:
        pass
    held = [connection.wire.buffered for connection in victim.connections()]
    assert max(held) == 30_004
    member.close()
    stranger.close()


def test_a06_a_thousand_frames_in_one_segment_take_turns(victim: Victim, bystander: Attacker) -> None:
    """A06: one connection's frames are handled a few at a time: somebody else is answered before the last of them."""
    attacker = victim.person("thousands")
    attacker.raw(wire.Ping(1).encode() * 9_000)
    assert bystander.alive()
    for _ in range(9_000):
        attacker.expect(wire.Pong)


WEBSOCKETS: dict[str, tuple[list[tuple[bytes, dict[str, object]]], set[int | None]]] = {
    "an empty message": ([(b"", {})], {4001}),
    "65,537 bytes": ([(bytes(65_537), {})], {1009, 4001}),
    "65,537 bytes in pieces": ([(bytes(33_000), {"fin": False}), (bytes(33_000), {"opcode": 0})], {1009, 4001}),
    "4,097 bytes before the login": ([(HEAD + bytes(4_095), {})], {4001}),
    "a text": ([(b"hello", {"opcode": 1})], {4000}),
    "a text that is none": ([(b"\xff\xfe", {"opcode": 1})], {1007, 4000, None}),
    "no mask": ([(HELLO.encode()[4:], {"masked": False})], {1002, None}),
    "a reserved bit": ([(HELLO.encode()[4:], {"bits": 0x40})], {1002, None}),
    "a reserved opcode": ([(b"x", {"opcode": 3})], {1002, None}),
    "a continuation of nothing": ([(b"x", {"opcode": 0})], {1002, None}),
    "a message inside another": ([(b"x", {"fin": False}), (b"y", {})], {1002, None}),
    "a ping in pieces": ([(b"x", {"opcode": 9, "fin": False})], {1002, None}),
    "a ping of 126 bytes": ([(bytes(126), {"opcode": 9})], {1002, None}),
    "a close of one byte": ([(b"x", {"opcode": 8})], {1002, 1005, None}),
}


@pytest.mark.parametrize("what", WEBSOCKETS)
def test_a06_messages_that_websocket_does_not_have(victim: Victim, bystander: Attacker, what: str) -> None:
    """A06 [2-9] [2-10]: each ends its connection, and tells a status where WebSocket itself was kept to."""
    frames, statuses = WEBSOCKETS[what]
    attacker = upgrade(victim)
    for payload, fields in frames:
        attacker.send(payload, **fields)  # type: ignore[arg-type]
    assert attacker.closed() in statuses
    assert bystander.alive()


def test_a06_a_message_in_four_thousand_pieces_is_a_message(victim: Victim) -> None:
    """A06: of one byte each, with pings between; what is held is the message."""
    attacker = upgrade(victim)
    body = HELLO.encode()[4:]
    pieces = [bytes([byte]) for byte in body]
    for index, piece in enumerate(pieces):
        attacker.send(piece, 2 if index == 0 else 0, fin=index == len(pieces) - 1)
        attacker.send(b"", 9)
    while (frame := attacker.recv()) is not None and frame[0] == 10:
        pass
    assert frame is not None
    assert isinstance(wire.decode(frame[1], side="server"), wire.Welcome)
    attacker.sock.close()


def test_the_table_of_bodies_is_of_well_formed_attacks() -> None:
    """None of them is refused only because it is longer than a stranger may send."""
    assert all(len(body) <= wire.limits.HELLO_BYTES for body, _ in BODIES.values())
    assert wire.decode(pack([3, 1]), side="client") == wire.Ping(1)

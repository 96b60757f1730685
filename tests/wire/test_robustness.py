"""Bad input (P10): no bytes make the codec do anything but refuse them, and refusing is cheap."""

import sys
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire.plain import octets, vectors
from tests.wire.strategies import messages
from wirechat import wire
from wirechat.wire import codec, limits, scan

SIDES: list[wire.Side] = [wire.CLIENT, wire.SERVER]
BODIES = [octets(vector["hex"]) for vector in vectors("*/*.json") if "hex" in vector]


def outcome(body: bytes, side: wire.Side, decode: Any) -> Any:
    """The message, or the violation as a tuple. Any other exception fails the test."""
    try:
        return decode(body, side)
    except wire.ProtocolViolation as violation:
        found = violation
    assert found.code in wire.errors.ERRORS
    assert found.fatal == (found.code < 2000)
    return found.code, found.rid


def fast(body: bytes, side: wire.Side) -> wire.Message:
    return wire.decode(body, side=side)


@settings(max_examples=300)
@given(st.binary(max_size=200), st.sampled_from(SIDES))
def test_p10_random_bytes_are_refused(body: bytes, side: wire.Side) -> None:
    """Nothing but ProtocolViolation may come out, or a server would fall over a scan of the internet."""
    outcome(body, side, fast)


@settings(max_examples=600)
@given(st.sampled_from(BODIES), st.data(), st.sampled_from(SIDES))
def test_p10_mutated_bodies_are_refused_or_understood(body: bytes, data: st.DataObject, side: wire.Side) -> None:
    """Almost right is where decoders break; and the fast way must judge exactly as the strict one."""
    mutated = bytearray(body[:3000])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(0, len(mutated) - 1)))
        piece = data.draw(st.binary(max_size=3))
        mutated[at : at + data.draw(st.integers(0, 3))] = piece
    assert outcome(bytes(mutated), side, fast) == outcome(bytes(mutated), side, codec._decode_slowly)


@given(messages(), st.sampled_from(SIDES), st.integers(0, 40))
def test_p10_cut_bodies_are_refused(message: wire.Message, side: wire.Side, cut: int) -> None:
    """A body that ends early is never a shorter message."""
    body = message.encode()[4:]
    shorter = body[: max(0, len(body) - 1 - cut)]
    assert outcome(shorter, side, fast) == (1002, None)


HOSTILE = {
    "empty arrays": b"\x93\x36\x01\xdc\x01\x00" + b"\x90" * 65530,
    "long arrays": (b"\xdc\x01\x00\x36\x01" + (b"\xdc\x01\x00" + b"\x90" * 256) * 254)[:65536],
    "claims": b"\x93\x36\x01" + b"\xdc\x01\x00" * 21844,
    "nesting": b"\x91" * 65536,
    "nils": b"\xdc\x01\x00" + b"\xc0" * 65533,
    "map": b"\x93\x36\x01\xdf\x00\x00\x7f\xff" + b"\x1b\xc0" * 32764,
    "nested maps": b"\x93\x36\x01" + b"\x81\x1b" * 32766,
    "one byte texts": b"\xdc\x01\x00" + b"\xa1x" * 32766,
    "extensions": b"\xdc\x01\x00\x36\x01" + b"\xd4\x01\x00" * 21843,
    "wide numbers": b"\xdc\x01\x00\x36\x01" + (b"\xcf" + bytes(7) + b"\x01") * 7281,
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_p10_no_frame_costs_more_than_its_budget(body: bytes) -> None:
    """The cost of a 64 KiB frame follows the number of values looked at, and that number is bounded."""
    assert 60_000 < len(body) <= limits.FRAME_BYTES
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        with pytest.raises(wire.ProtocolViolation) as caught:
            wire.decode(body, side=wire.CLIENT)
    finally:
        sys.setprofile(None)
    assert caught.value.code == 1002
    assert calls < 10 * limits.FRAME_ITEMS


def test_p10_hostile_frames_are_refused_before_they_are_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unpacking a long body first would hand its cost and memory to the sender."""
    monkeypatch.setattr(codec, "unpack", lambda *arguments: pytest.fail("unpacked"))
    for body in HOSTILE.values():
        with pytest.raises(wire.ProtocolViolation):
            wire.decode(body, side=wire.CLIENT)


def test_short_frames_cannot_hold_too_many_values() -> None:
    """What is not counted beforehand must be too short to matter: each value takes a byte."""
    body = b"\x93\x03\x01" + b"\x90" * (limits.FRAME_ITEMS - 3)
    with pytest.raises(wire.ProtocolViolation):
        wire.decode(body, side=wire.CLIENT)
    assert len(body) == limits.FRAME_ITEMS


def test_a_long_letter_is_scanned_by_values_not_by_bytes() -> None:
    """The largest legal SEND costs a handful of values."""
    message = wire.Send(7, 5, bytes(8), 1, wire.Content(1, "x" * limits.TEXT_BYTES))
    body = message.encode()[4:]
    scanner = scan._Scanner(body, 10, limits.ARRAY_ITEMS)
    assert scanner.body().extras is None

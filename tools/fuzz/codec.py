"""One fuzzed body, as a client and as a server might send it, and the judge of what `wirechat.wire` makes of it.

* Out comes a message, or a violation with a documented code that is fatal exactly as 14.1 says; never anything else.
* The decoder of the conformance runner, which shares no line with ours, agrees: on whether, and on every field.
* A message encodes to the bytes that the other encoder writes, and those decode to the same message.
* On a connection, in any state and in any pieces, the same comes of it as far as the state allows.
* It takes no more time than a frame may take.
"""

from __future__ import annotations

import time
import zlib
from random import Random
from types import ModuleType
from typing import Any, Final

import attrs

from tools.conformance.decoder import Frame, Malformed
from tools.fuzz.bodies import Mutator, Raw, build, parse
from tools.fuzz.line import PREFIX, SCHEMA
from wirechat import wire
from wirechat.wire import limits

SIDES: Final[tuple[wire.Side, ...]] = (wire.CLIENT, wire.SERVER)
STATES: Final = tuple(state for state in wire.ConnectionState if state is not wire.ConnectionState.CLOSED)
REFUSED: Final = (1003, 2000, 5003)
"""What a sound frame may get because of the state."""

TOO_LONG, BAD_STATE = 1001, 1003
MS_MAX: Final = {wire.CLIENT: 5.0, wire.SERVER: 250.0}
"""CPU time to decode a frame from this side. What a server sends is longer and may hold more values, and costs only the
client that trusts this server: there the time need only grow no faster than the bytes.
"""

BYTES_MAX: Final = {wire.CLIENT: limits.FRAME_BYTES, wire.SERVER: limits.SERVER_FRAME_BYTES}
ITEMS_MAX: Final = {wire.CLIENT: limits.ARRAY_ITEMS, wire.SERVER: limits.SERVER_ARRAY_ITEMS}
SIZES: Final = (1024, 1025, 8191, 8192, 8193, 16_383, 16_384, 16_385, 32_767, 32_768)
TEXTS: Final = 0.3
"""Of the bodies that are blown up so many get one long text instead of many parts."""

ROOM_FOR_HEADS: Final = 32
SEND: Final = 54
LARGE: Final = 1000
"""Of so many bodies one is also judged when it is as large as a frame may be."""

REMEASURED: Final = 7
CERTAIN: Final = 100
"""The shortest of so many times counts: a busy machine makes no frame slow; nor a hundred times as slow as it may be.
One of 18 bytes once took 70 ms, and then never more than 0.1.
"""

Outcome = wire.Message | wire.ProtocolViolation


class Codec:
    """The judge. `watched`: a copy of wirechat.wire that only runs along, because its coverage guides the fuzzer: being
    watched makes it several times slower.
    """

    def __init__(self, watched: ModuleType | None = None) -> None:
        self._watched: Any = watched
        self.frames = 0
        """Bodies judged, each once for each side it may come from."""
        self.slowest = dict.fromkeys(SIDES, 0.0)
        """Longest CPU time of a frame from this side, in ms."""

    def judge(self, body: bytes) -> list[str]:
        """What is wrong with how this body is understood."""
        if self._watched is not None:
            self._run_along(body)
        faults: list[str] = []
        outcomes: dict[wire.Side, Outcome] = {}
        for side in SIDES:
            found = self._understood(body, side, faults)
            if found is None:
                return faults
            outcomes[side] = found
            faults += (f"from a {side}: {text}" for text in _compared(body, side, found))
        if zlib.crc32(body) % LARGE == 0:
            for side in SIDES:
                large = blown_up(body, side)
                found = self._understood(large, side, faults)
                if found is not None:
                    faults += (f"from a {side}, blown up: {text}" for text in _compared(large, side, found))
        return faults + _on_a_connection(body, outcomes)

    def _understood(self, body: bytes, side: wire.Side, faults: list[str]) -> Outcome | None:
        """What comes of it, in which time; None when it is neither a message nor a violation."""
        self.frames += 1
        began = time.thread_time_ns()
        try:
            found = understood(body, side)
        except Exception as error:  # noqa: BLE001  whatever it is, it must not get out
            faults.append(f"from a {side}, {len(body)} bytes, it raises {type(error).__name__}: {error}")
            return None
        took = (time.thread_time_ns() - began) / 1e6
        if took > self.slowest[side]:
            for _ in range(REMEASURED):
                if took < CERTAIN * MS_MAX[side]:
                    took = min(took, _time(body, side))
            self.slowest[side] = max(self.slowest[side], took)
            if took > MS_MAX[side]:
                faults.append(f"from a {side}, {len(body)} bytes: it takes {took:.1f} ms")
        return found

    def _run_along(self, body: bytes) -> None:
        for side in SIDES:
            try:
                self._watched.decode(body, side=side)
            except Exception:  # noqa: BLE001  the other copy is judged
                pass


def reach(body: bytes) -> None:
    """Decode and encode it for both sides, and on a connection, and judge nothing."""
    outcomes: dict[wire.Side, Outcome] = {}
    for side in SIDES:
        outcomes[side] = found = understood(body, side)
        if not isinstance(found, wire.ProtocolViolation | wire.Unknown):
            found.encode()
    _on_a_connection(body, outcomes)


def _time(body: bytes, side: wire.Side) -> float:
    began = time.thread_time_ns()
    understood(body, side)
    return (time.thread_time_ns() - began) / 1e6


def blown_up(body: bytes, side: wire.Side) -> bytes:
    """A frame about as long as this side may send, made of lists of a part of the body, or with a text that is about as
    long as a text may be. Which, the body decides.
    """
    random = Random(body)
    try:
        tree = parse(body)
    except ValueError:
        tree = body
    if not isinstance(tree, list) or not tree:
        tree = [SEND, 1, tree]
    parent, at = Mutator(random, ()).place(tree)
    if random.random() < TEXTS:
        parent[at] = random.choice(("a", "é", b"x")) * random.choice(SIZES)
        return build(tree)
    part, room = parent[at], BYTES_MAX[side] - len(body) - ROOM_FOR_HEADS
    for _ in range(random.choice((2, 2, 3))):
        packed = build(part)
        part = Raw(build([Raw(packed)] * max(1, min(ITEMS_MAX[side] - random.randrange(2), room // len(packed)))))
    parent[at : at + random.randrange(2)] = [part]
    return build(tree)


def understood(body: bytes, side: wire.Side) -> Outcome:
    """The message, or the violation."""
    try:
        return wire.decode(body, side=side)
    except wire.ProtocolViolation as violation:
        return violation


def _documented(violation: wire.ProtocolViolation) -> list[str]:
    if violation.code not in SCHEMA.errors:
        return [f"{violation} is in no table"]
    if violation.fatal != (violation.code < 2000):
        return [f"{violation} has the rid of an error that it is not"]
    return []


def _compared(body: bytes, side: wire.Side, ours: Outcome) -> list[str]:
    """Against the decoder and the encoder of the conformance runner."""
    if isinstance(ours, wire.ProtocolViolation) and (faults := _documented(ours)):
        return faults
    try:
        theirs = SCHEMA.decode(body, side)
    except Malformed as malformed:
        right = isinstance(ours, wire.ProtocolViolation) or _of_the_other_side(ours, side)
        return [] if right else [f"{ours} is understood, though {malformed}"]
    if isinstance(ours, wire.ProtocolViolation):
        return [] if _of_another_protocol(theirs) else [f"{ours}, though it is {theirs}"]
    if isinstance(ours, wire.Unknown):
        return [] if theirs.name is None else [f"{ours} is unknown, though it is {theirs}"]
    if theirs.name != ours.NAME or (fields := plain(ours)) != (_fields(theirs)):
        return [f"{ours} is not {theirs}"]
    return _encoded(ours, theirs, side, fields)


def _of_the_other_side(ours: wire.Message, side: wire.Side) -> bool:
    """A known frame from the wrong side is passed over like an unknown one (5.2); the runner objects to it."""
    known = SCHEMA.by_code.get(ours.code) if isinstance(ours, wire.Unknown) else None
    return known is not None and known.sender not in (side, "both")


def _of_another_protocol(theirs: Frame) -> bool:
    """HELLO whose first field is not "WC": the runner never gets one, and does not look."""
    return theirs.name == "HELLO" and theirs["magic"] != "WC"


def _encoded(ours: wire.Message, theirs: Frame, side: wire.Side, fields: dict[str, Any]) -> list[str]:
    try:
        frame = ours.encode()
        again = understood(frame[PREFIX:], side)
    except Exception as error:  # noqa: BLE001  whatever it is, it must not get out
        return [f"{ours} cannot be encoded: {type(error).__name__}: {error}"]
    faults = []
    if again != ours:
        faults.append(f"{ours} becomes {again} when it is encoded and decoded")
    assert theirs.name is not None
    if frame[PREFIX:] != SCHEMA.encode(theirs.name, theirs.fields, theirs.rid):
        faults.append(f"{ours} is encoded as {frame.hex(' ')}")
    return faults


def plain(value: Any) -> Any:
    """A message, struct or field as the other decoder has it."""
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if attrs.has(type(value)):
        return {field.name: plain(getattr(value, field.name)) for field in attrs.fields(type(value))}
    return value


def _fields(frame: Frame) -> dict[str, Any]:
    return frame.fields if frame.rid is None else {"rid": frame.rid, **frame.fields}


def _on_a_connection(body: bytes, outcomes: dict[wire.Side, Outcome]) -> list[str]:
    """Fed in two pieces, to an end in some state; which, the body decides."""
    draw = zlib.crc32(body)
    end, peer = SIDES if draw & 1 else reversed(SIDES)
    state = STATES[draw // 2 % len(STATES)]
    connection = wire.Connection(end)
    connection.state = state
    connection.logged_in = state not in (wire.ConnectionState.OPEN, wire.ConnectionState.GREETED)
    stream = len(body).to_bytes(PREFIX, "big") + body
    cut = draw // 16 % (len(stream) + 1)
    try:
        found = _fed(connection, stream[:cut], stream[cut:])
    except Exception as error:  # noqa: BLE001  whatever it is, it must not get out
        return [f"a {end} in {state.name} raises {type(error).__name__}: {error}"]
    if not 0 < len(body) <= _most(peer, state):
        right = isinstance(found, wire.ProtocolViolation) and found.code in (1000, TOO_LONG)
        return [] if right else [f"a {end} in {state.name}: {len(body)} bytes, and {found}"]
    return [f"a {end} in {state.name}: {text}" for text in _same(found, outcomes[peer], state, connection.state)]


def _fed(connection: wire.Connection, *pieces: bytes) -> Outcome | None:
    found: Outcome | None = None
    for piece in pieces:
        connection.feed(piece)
        try:
            message = connection.next_message()
        except wire.ProtocolViolation as violation:
            return violation
        found = found or message
    return found


def _same(found: Outcome | None, alone: Outcome, state: wire.ConnectionState, after: wire.ConnectionState) -> list[str]:
    """Whether what comes out in a state, and the state after it, fit what comes of the body alone."""
    if isinstance(alone, wire.ProtocolViolation):
        expected = BAD_STATE if state is wire.ConnectionState.OPEN and not alone.fatal else alone.code
        right = isinstance(found, wire.ProtocolViolation) and found.code == expected
    else:
        right = found == alone or (isinstance(found, wire.ProtocolViolation) and found.code in REFUSED)
    if not right:
        return [f"{found}, and alone {alone}"]
    closed = isinstance(found, wire.ProtocolViolation) and found.fatal
    if closed != (after is wire.ConnectionState.CLOSED) and not isinstance(found, wire.Error):
        return [f"{found}, and it is {after.name}"]
    return []


def _most(peer: wire.Side, state: wire.ConnectionState) -> int:
    if peer == wire.SERVER:
        return limits.SERVER_FRAME_BYTES
    return limits.HELLO_BYTES if state in (STATES[0], STATES[1]) else limits.FRAME_BYTES

"""The strict scanner: decides from the raw bytes whether a body keeps the msgpack profile.

The profile: nil, bool, uint up to 2^53-1 in any width, str of valid UTF-8, bin, array, and one map as the last element
of the outer array, with uint keys that do not repeat. Everything else is error 1002. It reads each value once, stops at
the first fault, and gives up after a bounded number of values, so its cost is bounded whatever the bytes are.
"""

from typing import Final, NoReturn

import attrs

from wirechat.wire import limits
from wirechat.wire.message import Side
from wirechat.wire.violation import ProtocolViolation

UINT_MAX: Final = 2**53 - 1
_ITEMS_MAX: Final = {"client": limits.FRAME_ITEMS, "server": limits.SERVER_FRAME_BYTES}
_ARRAY_MAX: Final = {"client": limits.ARRAY_ITEMS, "server": limits.SERVER_ARRAY_ITEMS}

# First byte -> width of the number or length behind it.
_UINT: Final = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
_INT: Final = {0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
_STR: Final = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_BIN: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_ARRAY: Final = {0xDC: 2, 0xDD: 4}
_MAP: Final = {0xDE: 2, 0xDF: 4}


@attrs.frozen
class Envelope:
    """What the profile alone tells of a body.

    extras   keys of the map at the end; None when there is no map
    """

    extras: tuple[int, ...] | None


def array_items_max(side: Side) -> int:
    """Longest array in a frame from this side."""
    return _ARRAY_MAX[side]


def scan(body: bytes, side: Side) -> Envelope:
    """Checks a whole body from `side`.

    Raises ProtocolViolation 1002.
    """
    scanner = _Scanner(body, _ITEMS_MAX[side], _ARRAY_MAX[side])
    try:
        return scanner.body()
    except (IndexError, UnicodeDecodeError):
        _fail("cut short, or text that is not UTF-8")


def _fail(text: str) -> NoReturn:
    raise ProtocolViolation(1002, text)


class _Scanner:
    def __init__(self, body: bytes, items_left: int, array_max: int) -> None:
        self._body = body
        self._at = 0
        self._items_left = items_left
        self._array_max = array_max

    def body(self) -> Envelope:
        count = self._array_length(self._first())
        if count is None:
            _fail("not an array")
        extras = None
        for index in range(count):
            if index == count - 1 and index > 0:
                extras = self._extras()
            if extras is None:
                self._value(2)
        if self._at != len(self._body):
            _fail("bytes after the array")
        return Envelope(extras)

    def _first(self) -> int:
        self._items_left -= 1
        if self._items_left < 0:
            _fail("too many values in one frame")
        first = self._body[self._at]
        self._at += 1
        return first

    def _number(self, width: int) -> int:
        end = self._at + width
        if end > len(self._body):
            _fail("cut short")
        number = int.from_bytes(self._body[self._at : end], "big")
        self._at = end
        return number

    def _skip(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._body):
            _fail("cut short")
        skipped = self._body[self._at : end]
        self._at = end
        return skipped

    def _array_length(self, first: int) -> int | None:
        if first & 0xF0 == 0x90:
            count = first & 0x0F
        elif first in _ARRAY:
            count = self._number(_ARRAY[first])
        else:
            return None
        if count > self._array_max:
            _fail("array too long")
        return count

    def _value(self, depth: int) -> None:
        """Reads one value; an array in it lies at this depth."""
        first = self._first()
        if first <= 0x7F or (0xC0 <= first <= 0xC3 and first != 0xC1):
            return
        if first & 0xE0 == 0xA0:
            self._skip(first & 0x1F).decode()
        elif first in _STR:
            self._skip(self._number(_STR[first])).decode()
        elif first in _BIN:
            self._skip(self._number(_BIN[first]))
        elif (count := self._array_length(first)) is not None:
            if depth > limits.DEPTH:
                _fail("nested too deep")
            for _ in range(count):
                self._value(depth + 1)
        else:
            self._uint(first)

    def _uint(self, first: int) -> int:
        if first <= 0x7F:
            return first
        if first in _UINT:
            number = self._number(_UINT[first])
        elif first in _INT:
            width = _INT[first]
            number = self._number(width)
            if number >> (8 * width - 1):
                _fail("negative number")
        else:
            _fail("a value outside the profile")
        if number > UINT_MAX:
            _fail("number above 2^53-1")
        return number

    def _extras(self) -> tuple[int, ...] | None:
        """Reads the map at the end, if there is one."""
        first = self._body[self._at]
        if first & 0xF0 != 0x80 and first not in _MAP:
            return None
        self._first()
        count = first & 0x0F if first & 0xF0 == 0x80 else self._number(_MAP[first])
        keys: list[int] = []
        for _ in range(count):
            keys.append(self._uint(self._first()))
            self._value(3)
        if len(set(keys)) != len(keys):
            _fail("duplicate key")
        return tuple(keys)

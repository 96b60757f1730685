"""The msgpack of the protocol, with the standard library alone.

nil, bool, uint below 2^53, str, bin, array, and map with uint keys; nothing else. Written in the shortest form, read in
any. Slow and plain on purpose: it checks the fast one.
"""

import struct
from dataclasses import dataclass
from typing import Any

UINT_MAX = 2**53 - 1
DEPTH_MAX = 8


class Malformed(ValueError):
    """These bytes are not of the protocol; the message says why."""


def pack(value: Any) -> bytes:
    """The shortest encoding of a value. Raises Malformed for what the profile does not have."""
    match value:
        case None:
            return b"\xc0"
        case bool():
            return b"\xc3" if value else b"\xc2"
        case int():
            return _pack_uint(value)
        case str():
            raw = value.encode()
            return _head(len(raw), 0xA0, 31, 0xD9, 0xDA, 0xDB) + raw
        case bytes():
            return _head(len(value), 0, -1, 0xC4, 0xC5, 0xC6) + value
        case list() | tuple():
            return _head(len(value), 0x90, 15, None, 0xDC, 0xDD) + b"".join(map(pack, value))
        case dict():
            pairs = b"".join(_pack_uint(key) + pack(item) for key, item in value.items())
            return _head(len(value), 0x80, 15, None, 0xDE, 0xDF) + pairs
    raise Malformed(f"cannot pack {type(value).__name__}")


def _pack_uint(value: int) -> bytes:
    if not 0 <= value <= UINT_MAX:
        raise Malformed("integer out of range")
    if value < 0x80:
        return bytes([value])
    for code, form in ((0xCC, ">B"), (0xCD, ">H"), (0xCE, ">I")):
        if value < 1 << 8 * struct.calcsize(form):
            return bytes([code]) + struct.pack(form, value)
    return b"\xcf" + struct.pack(">Q", value)


def _head(length: int, small: int, small_max: int, wide8: int | None, wide16: int, wide32: int) -> bytes:
    if length <= small_max:
        return bytes([small | length])
    if wide8 is not None and length < 1 << 8:
        return bytes([wide8, length])
    if length < 1 << 16:
        return bytes([wide16]) + struct.pack(">H", length)
    return bytes([wide32]) + struct.pack(">I", length)


def unpack(data: bytes, array_items: int = 2**32, frame_items: int = 2**32) -> Any:
    """The one value in `data`. Any width is accepted. Raises Malformed.

    `array_items`: longest array; `frame_items`: values through all levels.
    """
    source = _Source(data, array_items, frame_items)
    value = source.value(0)
    if source.at != len(data):
        raise Malformed("bytes after the value")
    return value


WIDTHS = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD9: ">B", 0xDA: ">H"}
WIDTHS |= {0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
WIDTHS |= {0xDB: ">I", 0xDC: ">H", 0xDD: ">I", 0xDE: ">H", 0xDF: ">I"}


@dataclass
class _Source:
    data: bytes
    array_items: int
    items_left: int
    at: int = 0

    def take(self, length: int) -> bytes:
        if self.at + length > len(self.data):
            raise Malformed("cut off")
        self.at += length
        return self.data[self.at - length : self.at]

    def value(self, depth: int) -> Any:
        self.items_left -= 1
        if self.items_left < 0:
            raise Malformed("too many values")
        code = self.take(1)[0]
        if code < 0x80:
            return code
        if code < 0xC0:
            small = 0x1F if code >= 0xA0 else 0x0F
            return self.sized(code & ~small, code & small, depth)
        if code in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[code]
        if code not in WIDTHS:
            raise Malformed(f"type {code:#04x} is not in the profile")
        number = struct.unpack(WIDTHS[code], self.take(struct.calcsize(WIDTHS[code])))[0]
        return self.sized(code, number, depth)

    def sized(self, code: int, number: int, depth: int) -> Any:
        if 0xCC <= code <= 0xD3:
            return self.uint(number)
        if 0xC4 <= code <= 0xC6:
            return self.take(number)
        if code in (0xA0, 0xD9, 0xDA, 0xDB):
            return self.text(number)
        if depth == DEPTH_MAX:
            raise Malformed("too deep")
        if code in (0x90, 0xDC, 0xDD):
            if number > self.array_items:
                raise Malformed("too long an array")
            return [self.value(depth + 1) for _ in range(number)]
        return self.map(number, depth)

    def uint(self, number: int) -> int:
        if not 0 <= number <= UINT_MAX:
            raise Malformed("integer out of range")
        return number

    def text(self, length: int) -> str:
        try:
            return self.take(length).decode()
        except UnicodeDecodeError:
            raise Malformed("text is not UTF-8") from None

    def map(self, length: int, depth: int) -> dict[int, Any]:
        pairs: dict[int, Any] = {}
        for _ in range(length):
            key = self.value(depth + 1)
            if not isinstance(key, int) or isinstance(key, bool) or key in pairs:
                raise Malformed("bad key of a map")
            pairs[key] = self.value(depth + 1)
        return pairs

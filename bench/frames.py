"""Frames for a client that must cost little: built once and patched in place, or told apart by one byte.

Rules:
* What is sent over and over is encoded once by `wirechat.wire`; only numbers of fixed width change after that.
* What is received while a measurement runs is counted by its code, not decoded.
"""

from __future__ import annotations

import os
import struct

from wirechat import wire

TEXT_BYTES = 64
STAMP_BYTES = 16
"""A text begins with the time it was sent: nanoseconds in hexadecimal."""

PREFIX = struct.Struct(">I")

_RID_FIRST = 0x0100_0000
_RID_LAST = 0x7FFF_FFFF
_RID = struct.Struct(">I")
_CID = struct.Struct(">Q")
_WEYL = 0x9E37_79B9_7F4A_7C15
"""Odd, so that adding it walks through all 64-bit numbers, and each step is far from the last: cids look random to an
index, as those of real clients do.
"""


class Texts:
    """SEND frames of one sender into one conversation, each with a fresh rid, cid and time."""

    def __init__(self, conv: int) -> None:
        content = wire.Content(1, "t" * TEXT_BYTES)
        cid = os.urandom(8)
        self._frame = bytearray(wire.Send(_RID_FIRST, conv, cid, 1, content).encode())
        self._rid_at = self._frame.index(_RID.pack(_RID_FIRST))
        self._cid_at = self._frame.index(cid)
        self._stamp_at = len(self._frame) - TEXT_BYTES
        self.made = 0
        """Frames made so far."""
        self._rid = _RID_FIRST
        self._cid: int = _CID.unpack(cid)[0]

    def next(self, now_ns: int) -> bytes:
        """The next frame, sent now."""
        frame = self._frame
        self.made += 1
        self._rid = self._rid + 1 if self._rid < _RID_LAST else _RID_FIRST
        self._cid = (self._cid + _WEYL) & 0xFFFF_FFFF_FFFF_FFFF
        _RID.pack_into(frame, self._rid_at, self._rid)
        _CID.pack_into(frame, self._cid_at, self._cid)
        frame[self._stamp_at : self._stamp_at + STAMP_BYTES] = b"%016x" % now_ns
        return bytes(frame)

    def several(self, count: int, now_ns: int) -> bytes:
        """So many frames in one piece."""
        return b"".join([self.next(now_ns) for _ in range(count)])


def sent_ns(data: bytes, end: int) -> int:
    """When the text of the EVENT that ends here was sent. The text is the last element of someone else's EVENT."""
    return int(data[end - TEXT_BYTES : end - TEXT_BYTES + STAMP_BYTES], 16)

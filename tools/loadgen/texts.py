"""SEND frames for a client that must cost little: made once for each sender and conversation, then patched in place.

A text begins with its token, sixteen hexadecimal digits, by which whoever receives it finds out when it was meant to be
sent. Tokens are unique within a process.
"""

from __future__ import annotations

import os
import struct

from wirechat import wire

TOKEN_BYTES = 16

_RID = struct.Struct(">I")
_RID_MARK = 0x7E57_1D00


class Texts:
    """What one sender says in one conversation; every text has the same length."""

    def __init__(self, conv: int, length: int) -> None:
        cid = os.urandom(8)
        text = "0" * TOKEN_BYTES + "t" * (length - TOKEN_BYTES)
        self._frame = bytearray(wire.Send(_RID_MARK, conv, cid, wire.EntryKind.MSG, _text(text)).encode())
        self._filler = "t" * (length - TOKEN_BYTES)
        self._rid_at = self._frame.index(_RID.pack(_RID_MARK))
        self._cid_at = self._frame.index(cid)
        self._token_at = len(self._frame) - length

    def frame(self, rid: int, cid: bytes, token: int) -> bytes:
        """One SEND. `rid` has 25 to 31 bits."""
        frame = self._frame
        _RID.pack_into(frame, self._rid_at, rid)
        frame[self._cid_at : self._cid_at + 8] = cid
        frame[self._token_at : self._token_at + TOKEN_BYTES] = b"%016x" % token
        return bytes(frame)

    def text(self, token: int) -> str:
        """What it says."""
        return f"{token:016x}{self._filler}"


def _text(text: str) -> wire.Content:
    return wire.Content(wire.ContentType.TEXT, text)


def token_of(text: str | None) -> int | None:
    """Of a text that arrived; None when it is none of ours."""
    try:
        return None if text is None else int(text[:TOKEN_BYTES], 16)
    except ValueError:
        return None

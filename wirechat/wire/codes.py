"""The code space: what kind of frame an unknown code is. The same as protocol/codes.json, for which a test stands."""

from typing import Literal

from wirechat.wire.message import Range


def range_of(code: int) -> Range | Literal["invalid"]:
    """The range of any code. An odd code among the requests is a reply."""
    if not 0 < code <= 0xFFFF:
        return "invalid"
    if code < 16:
        return "control"
    # Below 256 the pushes stand in front; from there on every block of 64 has them at its end.
    first, second, end = (16, 32, 48) if code < 256 else (32, 48, 64)
    place = code if code < 256 else code % 64
    if first <= place < second:
        return "counted"
    if second <= place < end:
        return "ephemeral"
    return "reply" if code % 2 else "request"

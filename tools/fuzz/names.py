"""What a body of a script can refer to, looked up while it runs; and bodies told to a reader."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any, Final

from tools.conformance.decoder import Malformed
from tools.fuzz.bodies import parse
from tools.fuzz.founding import HOSTILE, Town
from tools.fuzz.line import SCHEMA, Line
from tools.fuzz.script import REFERENCE

SHOWN = 160


class Name(enum.IntEnum):
    """Numbers from REFERENCE on, by what they stand for on the line where they are sent."""

    U1 = 0
    U2 = 1
    U3 = 2
    U4 = 3
    U5 = 4
    MYSELF = 5
    NOBODY = 6
    MY_DEVICE = 7
    DEVICE_1 = 8
    DEVICE_2 = 9
    DEVICE_4 = 10
    DIRECT = 16
    GROUP = 17
    CLOSED = 18
    PAIR = 19
    NEW = 20
    """The conversation that was created last."""
    ACCOUNT = 21
    """One's own account log."""
    SEQ = 32
    """Of the entry that was sent last."""
    PUSHES = 33
    """Counted pushes so far."""
    HEAD = 34
    """The highest seq that was heard of."""

    @property
    def number(self) -> int:
        """As it stands in a body."""
        return REFERENCE + self


TEXTS = (b"@token", b"@cursor", b"@resume", b"@nonce")


class Known:
    """What is known on the first of some lines, or else on the next. `used`: something was looked up and found."""

    def __init__(self, place: Town, lines: Sequence[Line]) -> None:
        self._town = place
        self._lines = lines
        self.used = False

    def number(self, name: int) -> int | None:
        """What this Name stands for."""
        found = self._number(name)
        self.used = self.used or found is not None
        return found

    def text(self, name: bytes) -> bytes | None:
        """What one of TEXTS stands for."""
        found: bytes | None = None
        if name in TEXTS:
            found = self._last(name[1:].decode())
            self.used = self.used or found is not None
        return found

    def _number(self, name: int) -> int | None:
        place = self._town
        fixed: dict[int, int] = {
            **dict(enumerate(place.users)),
            Name.DEVICE_1: place.accounts[0].device,
            Name.DEVICE_2: place.accounts[1].device,
            Name.DEVICE_4: place.accounts[HOSTILE].device,
            Name.DIRECT: place.direct,
            Name.GROUP: place.group,
            Name.CLOSED: place.closed,
            Name.PAIR: place.pair,
        }
        if name in fixed:
            return fixed[name]
        if name == Name.PUSHES:
            return sum(SCHEMA.is_counted(frame.code) for frame in self._lines[0].frames)
        heard = _HEARD.get(name)
        found: int | None = None if heard is None else self._last(*heard)
        return found

    def _last(self, field: str, frame: str | None = None) -> Any:
        """The newest value of a field, in frames of this name or in any."""
        for line in self._lines:
            for each in reversed(line.frames):
                if (frame is None or each.name == frame) and each.fields.get(field) is not None:
                    return each.fields[field]
        return None


_HEARD: Final[dict[int, tuple[str, str] | tuple[str]]] = {
    Name.MYSELF: ("user", "AUTH_OK"),
    Name.MY_DEVICE: ("device", "AUTH_OK"),
    Name.NEW: ("conv", "CONV_NEW_OK"),
    Name.ACCOUNT: ("conv", "ACCOUNT_OK"),
    Name.SEQ: ("seq", "SEND_OK"),
    Name.HEAD: ("seq",),
}
"""Field, and the frame that has it, of what is learnt from the server."""


def told(body: bytes, sender: str = "client") -> str:
    """A body for a reader: by its fields if it has some, else as a tree, else as bytes; not more than a line."""
    try:
        frame = SCHEMA.decode(body, sender)
        text = f"{frame.name or frame.code} {'' if frame.rid is None else frame.rid} {frame.fields}"
    except Malformed as malformed:
        try:
            text = f"{parse(body)!r} ({malformed})"
        except ValueError:
            text = f"{len(body)} bytes: {body[: SHOWN // 3].hex(' ')} ({malformed})"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} … ({len(body)} bytes)"

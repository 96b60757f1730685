"""What every generated message class is: its base classes, and how a decoder reports a value that does not fit.

A decoder checks everything the schema says of a field: type, range, length. It raises Mismatch and leaves it to the
codec to decide what that means for the connection.
"""

from typing import Any, ClassVar, Final, Literal, Self

import attrs

from wirechat.wire import packing

Side = Literal["client", "server"]
Range = Literal["control", "counted", "ephemeral", "request", "reply"]

CLIENT: Final = "client"
SERVER: Final = "server"


class Mismatch(ValueError):
    """A value is well-formed and does not fit its field; `code` is the error a request with it gets."""

    def __init__(self, text: str, code: int = 3000) -> None:
        super().__init__(text)
        self.code = code


class Message:
    """A frame as an object. Equal when class and fields are equal."""

    __slots__ = ()

    CODE: ClassVar[int]
    NAME: ClassVar[str]
    SIDE: ClassVar[str]
    RANGE: ClassVar[Range]

    @classmethod
    def from_items(cls, items: tuple[Any, ...], lenient: bool) -> Self:
        """The message in an unpacked body. `lenient`: unknown elements at the end are known to be well-formed.

        Raises Mismatch.
        """
        raise NotImplementedError

    def encode(self) -> bytes:
        """The frame in its one canonical form, length prefix included. The values are trusted."""
        raise NotImplementedError


class Reply(Message):
    """A frame that answers the request with the same rid."""

    __slots__ = ()
    rid: int


class Request(Message):
    """A frame with a request id that is answered by REPLY or by ERROR."""

    __slots__ = ()
    REPLY: ClassVar[type[Reply]]
    rid: int


class Struct:
    """A value inside frames, an array on the wire."""

    __slots__ = ()

    def items(self) -> list[Any]:
        """The array, without nils at its end."""
        raise NotImplementedError

    def pack(self) -> bytes:
        """The struct alone, for storing."""
        return packing.pack(self.items())


@attrs.define(slots=True)
class Unknown(Message):
    """A frame of a newer version or an extension, to be ignored; one in the range "counted" counts for ACK."""

    CODE: ClassVar[int] = 0
    NAME: ClassVar[str] = "unknown"
    SIDE: ClassVar[str] = "both"

    code: int
    range: Range
    rid: int | None = None


_NILS: Final = (None,) * 64


def fit(items: tuple[Any, ...], length: int, lenient: bool) -> tuple[Any, ...]:
    """Brings an array to the length the decoder knows: absent is nil, unknown elements at the end are dropped.

    Unknown elements were never looked at, so they are dropped only when the caller knows that they are well-formed.
    """
    if len(items) <= length:
        return items + _NILS[: length - len(items)]
    if lenient:
        return items[:length]
    raise Mismatch("more elements than this version knows")


def overlong(text: str, bytes_max: int) -> bool:
    """Whether a text is longer than this in UTF-8. A character has at most 4 bytes, so a short one is not encoded."""
    return len(text) * 4 > bytes_max and len(text.encode()) > bytes_max

"""msgpack, typed: the only module that touches the msgpack package.

`unpack` is fast and not strict. It yields tuples for arrays and a list of pairs for a map, so that no check of a
field can mistake one for the other; what it lets through beyond the profile is caught by the checks of the fields
and by `scan`.
"""

import struct
from typing import Any, Final

import msgpack

MALFORMED: Final = (ValueError, TypeError, msgpack.exceptions.UnpackException, RecursionError)
"""What `unpack` raises for bytes that are not one msgpack value within the limit."""

_pack = msgpack.Packer().pack
_prefix = struct.Struct(">I").pack


def pack(value: object) -> bytes:
    """Packs one value with minimal widths."""
    packed: bytes = _pack(value)
    return packed


def unpack(body: bytes, array_items_max: int) -> Any:
    """Unpacks one value that fills the body."""
    return msgpack.unpackb(
        body, use_list=False, strict_map_key=False, object_pairs_hook=list, max_array_len=array_items_max
    )


def frame(items: list[Any]) -> bytes:
    """Packs the items of a frame, without nils at their end, behind its length prefix."""
    while items[-1] is None:
        items.pop()
    body: bytes = _pack(items)
    return _prefix(len(body)) + body


def trim(items: list[Any]) -> list[Any]:
    """Drops the nils at the end of a struct."""
    while items[-1] is None:
        items.pop()
    return items

"""What goes over a wire: its frames, and what they say in the words of the judge of histories."""

from __future__ import annotations

from tools.history.checker import Entry
from tools.history.reference import Record
from wirechat import wire
from wirechat.wire.registries import ContentType

Appending = wire.Send | wire.MemberAdd | wire.MemberDel | wire.MemberSet | wire.ConvSet
"""What asks for an entry with a cid."""
Appended = wire.SendOk | wire.MemberAddOk | wire.MemberDelOk | wire.MemberSetOk | wire.ConvSetOk

Name = tuple[int, int, bytes]
"""(user, conv, cid) of an operation."""


class Frames:
    """Cuts a stream into the bodies of its frames."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        self._rest += data
        bodies = []
        while len(self._rest) >= 4:
            end = 4 + int.from_bytes(self._rest[:4], "big")
            if len(self._rest) < end:
                break
            bodies.append(self._rest[4:end])
            self._rest = self._rest[end:]
        return bodies


def said(content: wire.Content | None) -> str | bytes | tuple[int, str | bytes] | None:
    """What a content says; with its type where it is not what people say."""
    if content is None:
        return None
    return content.data if content.type in (ContentType.TEXT, ContentType.EMOJI) else (content.type, content.data)


def entry_of(event: wire.Event) -> Entry:
    """The entry that an event tells of."""
    return Entry(
        event.conv,
        event.seq,
        event.ts,
        event.sender,
        event.kind,
        said(event.content),
        event.ref,
        event.users or (),
        event.cid,
        event.role,
        _origin(event.origin),
    )


def record_of(record: wire.Record) -> Record:
    """A record as it was sent or stored."""
    return Record(
        record.seq,
        record.rev,
        record.ts,
        record.sender,
        record.kind,
        said(record.content),
        record.ref,
        record.users or (),
        record.edited,
        {reaction.user: reaction.emoji for reaction in record.reactions or ()},
        record.role,
        _origin(record.origin),
        record.pinned,
    )


def _origin(origin: wire.Origin | None) -> tuple[int, int] | None:
    return None if origin is None else (origin.user, origin.ts)

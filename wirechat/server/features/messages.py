"""SEND: one entry into the log. The hot path of the server: nothing here waits."""

from __future__ import annotations

from collections.abc import Callable

from wirechat import wire
from wirechat.server.connection import Connection
from wirechat.server.dispatch import Dispatcher
from wirechat.server.errors import RequestError
from wirechat.server.journal import Journal, Submission
from wirechat.store.records import Append, Appended, Refusal
from wirechat.wire.registries import ContentType, EntryKind

EMOJI_BYTES_MAX = 64


class Messages:
    """SEND."""

    def __init__(self, journal: Journal, digest: Callable[[bytes], bytes]) -> None:
        self._journal = journal
        self._digest = digest
        """Keyed hash: "same content" outlives the content (P2, P8)."""

    def register(self, dispatcher: Dispatcher) -> None:
        """Introduce the handlers."""
        dispatcher.inline(wire.Send, self.send)

    def send(self, connection: Connection, request: wire.Send) -> None:
        """Check the rule of the kind and hand the entry to the journal."""
        session = connection.require_session()
        kind, content, ref = request.kind, request.content, request.ref
        if kind == EntryKind.MSG:
            if request.forward is None:
                _check_text(content)
        elif ref is None:
            raise RequestError(wire.errors.BAD_REQUEST, "EDIT, DELETE, REACT, PIN and UNPIN name a message with ref")
        else:
            _RULES.get(kind, _unknown_kind)(content)
        packed = None if content is None else content.pack()
        said = b"%d %d %b" % (kind, -1 if ref is None else ref, packed or b"")
        append = Append(request.conv, session.user, request.cid, kind, packed, ref, (), b"")
        if request.mentions or request.forward is not None:
            said += _take_mentions(append, request) + _take_source(append, request)
        append.digest = self._digest(said)
        if packed is not None and len(packed) > connection.limits.text_bytes and _too_large(content, connection):
            append.refused = Refusal.TOO_LARGE
        self._journal.submit(Submission(append, content, session, request.rid, _reply, connection.answered))


def _take_mentions(append: Append, request: wire.Send) -> bytes:
    """Whom the entry mentions; returns what of it counts as its content."""
    mentions = request.mentions or ()
    if not mentions:
        return b""
    if request.kind not in (EntryKind.MSG, EntryKind.EDIT) or request.forward is not None:
        raise RequestError(wire.errors.BAD_REQUEST, "MSG and EDIT mention people; a forward does not")
    if len(set(mentions)) < len(mentions):
        raise RequestError(wire.errors.BAD_REQUEST, "mention each user once")
    append.users = mentions
    return b" mentions %b" % repr(sorted(mentions)).encode()


def _take_source(append: Append, request: wire.Send) -> bytes:
    """What the entry forwards; returns what of it counts as its content."""
    source = request.forward
    if source is None:
        return b""
    if request.kind != EntryKind.MSG or request.content is not None:
        raise RequestError(wire.errors.BAD_REQUEST, "a MSG has text, or it forwards")
    append.source = (source.conv, source.seq)
    return b" forward %d %d" % append.source


def _reply(rid: int, done: Appended) -> wire.Message:
    return wire.SendOk(rid, done.seq, done.ts, done.dup)


def _check_text(content: wire.Content | None) -> None:
    if content is None or content.type != ContentType.TEXT or not isinstance(content.data, str) or not content.data:
        raise RequestError(wire.errors.BAD_REQUEST, "a message needs text")
    if len(content.data) * 4 > wire.limits.TEXT_BYTES and len(content.data.encode()) > wire.limits.TEXT_BYTES:
        raise RequestError(wire.errors.TOO_LARGE, f"a text has at most {wire.limits.TEXT_BYTES} bytes")


def _too_large(content: wire.Content | None, connection: Connection) -> bool:
    """Larger than this server wants, though not than the protocol allows: it may have been accepted before."""
    data = content.data if content is not None else None
    return isinstance(data, str) and len(data.encode()) > connection.limits.text_bytes


def _check_nothing(content: wire.Content | None) -> None:
    if content is not None:
        raise RequestError(wire.errors.BAD_REQUEST, "DELETE, PIN and UNPIN have no content")


def _check_emoji(content: wire.Content | None) -> None:
    if content is None:
        return
    if content.type != ContentType.EMOJI or not isinstance(content.data, str) or not content.data:
        raise RequestError(wire.errors.BAD_REQUEST, "a reaction is an emoji")
    if len(content.data.encode()) > EMOJI_BYTES_MAX:
        raise RequestError(wire.errors.BAD_REQUEST, f"an emoji has at most {EMOJI_BYTES_MAX} bytes")


def _unknown_kind(content: wire.Content | None) -> None:
    raise RequestError(wire.errors.BAD_REQUEST, "SEND writes MSG, EDIT, DELETE, REACT, PIN and UNPIN")


_RULES: dict[int, Callable[[wire.Content | None], None]] = {
    EntryKind.EDIT: _check_text,
    EntryKind.DELETE: _check_nothing,
    EntryKind.REACT: _check_emoji,
    EntryKind.PIN: _check_nothing,
    EntryKind.UNPIN: _check_nothing,
}

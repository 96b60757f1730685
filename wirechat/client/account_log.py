"""What the account log says: which messages this user has hidden, and whom he has blocked.

Rules: the log is read from its start and never jumped over. Hiding is for ever, so the order of HIDE entries does not
matter; of BLOCK and UNBLOCK the newest decides. Nothing of it is stored but the log itself.
"""

from collections.abc import Iterable

from wirechat import wire
from wirechat.wire.packing import MALFORMED
from wirechat.wire.registries import ContentType, EntryKind

__all__ = ["KINDS", "AccountLog", "hidden"]

KINDS = frozenset(
    {EntryKind.HIDE, EntryKind.BLOCK, EntryKind.UNBLOCK, EntryKind.PROFILE, EntryKind.DEVICE},
)
"""Kinds of entries that stand in no other log."""


class AccountLog:
    """The fold of an account log. `conv`: its id, None as long as it is not known."""

    def __init__(self, conv: int | None = None, records: Iterable[wire.Record] = ()) -> None:
        self.conv = conv
        self._hidden: dict[int, set[int]] = {}
        self._blocks: dict[int, tuple[int, bool]] = {}
        for record in records:
            self.apply(record)

    def apply(self, record: wire.Record) -> None:
        """Takes in an entry of the log."""
        if record.kind == EntryKind.HIDE:
            found = hidden(record)
            if found is not None:
                self._hidden.setdefault(found.conv, set()).update(found.seqs)
        elif record.kind in (EntryKind.BLOCK, EntryKind.UNBLOCK):
            for user in record.users or ():
                newest = (record.seq, record.kind == EntryKind.BLOCK)
                self._blocks[user] = max(newest, self._blocks.get(user, newest))

    def hides(self, conv: int, seq: int) -> bool:
        """The user does not want to see this message."""
        seqs = self._hidden.get(conv)
        return seqs is not None and seq in seqs

    @property
    def blocked(self) -> frozenset[int]:
        """Whom the user has blocked."""
        return frozenset(user for user, (_, on) in self._blocks.items() if on)


def hidden(record: wire.Record) -> wire.Hidden | None:
    """What a HIDE entry hides; None if it cannot be read."""
    content = record.content
    if content is None or content.type != ContentType.HIDDEN or not isinstance(content.data, bytes):
        return None
    try:
        return wire.Hidden.unpack(content.data)
    except MALFORMED:
        return None

"""Entries of the store as EVENT frames, and which of them change who is in what."""

from __future__ import annotations

from wirechat import wire
from wirechat.store.records import Entry
from wirechat.wire.registries import EntryKind

MEMBERSHIP = (EntryKind.CREATE, EntryKind.ADD, EntryKind.REMOVE)
"""Kinds after which others are in a conversation than before."""


def leaving(event: wire.Event) -> tuple[int, ...]:
    """Who is put out by it, or goes."""
    return event.users or () if event.kind == EntryKind.REMOVE else ()


def event_of(entry: Entry) -> wire.Event:
    """With its cid, which is its sender's alone."""
    content = None if entry.content is None else wire.Content.unpack(entry.content)
    return wire.Event(
        entry.conv, entry.seq, entry.ts, entry.sender, entry.kind, content, entry.ref, entry.users or None, entry.cid,
        None if entry.origin is None else wire.Origin(*entry.origin), entry.role,
    )  # fmt: skip

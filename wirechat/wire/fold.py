"""A conversation log folded into records, the same for every device and every order of arrival.

An entry makes a record or changes the record it refers to. Each record carries `rev`, the seq of its last change, and
nothing whose seq or rev is not newer is applied. Replay, paging and catch-up therefore commute.

Rules:
    EDIT                         replaces content and mentions of ref, which is no forward any more
    DELETE                       wipes ref: content, mentions, origin, edit time, reactions, pin
    REACT                        sets or removes the sender's one reaction on ref
    PIN, UNPIN                   pins ref, or no more
    every other kind             makes a record; an unknown one does so without content
A MSG record without content is deleted and stays so. Records are values: a change replaces the record.
"""

import attrs

from wirechat.wire.features.history import Reaction, Record
from wirechat.wire.features.messages import Content, Event
from wirechat.wire.registries import EntryKind

_CHANGES = (EntryKind.EDIT, EntryKind.DELETE, EntryKind.REACT, EntryKind.PIN, EntryKind.UNPIN)
_KNOWN = frozenset(EntryKind)

Records = dict[int, Record]


def apply_event(records: Records, event: Event) -> bool:
    """Applies one entry to the records of its conversation, by seq. True when something changed."""
    if event.kind not in _CHANGES:
        return _insert(records, event)
    record = records.get(event.ref or 0)
    if record is None or event.seq <= record.rev:
        return False
    records[record.seq] = _changed(record, event)
    return True


def upsert(records: Records, record: Record) -> bool:
    """Takes over a record in its latest state, from CHANGES_OK or HISTORY_OK, if it is newer."""
    mine = records.get(record.seq)
    if mine is not None and record.rev <= mine.rev:
        return False
    records[record.seq] = _normal(record)
    return True


def _insert(records: Records, event: Event) -> bool:
    if event.seq in records:
        return False
    records[event.seq] = Record(
        seq=event.seq,
        rev=event.seq,
        ts=event.ts,
        sender=event.sender,
        kind=event.kind,
        content=event.content if event.kind in _KNOWN else None,
        ref=event.ref,
        users=event.users,
        cid=event.cid,
        origin=event.origin,
        role=event.role,
    )
    return True


def _normal(record: Record) -> Record:
    """The record as it would be had this device folded it from entries."""
    content = record.content if record.kind in _KNOWN else None
    return attrs.evolve(record, content=content, reactions=record.reactions or None)


def _changed(record: Record, event: Event) -> Record:
    if record.content is None:
        return attrs.evolve(record, rev=event.seq)
    if event.kind == EntryKind.REACT:
        return attrs.evolve(record, rev=event.seq, reactions=_reactions(record, event))
    if event.kind in (EntryKind.PIN, EntryKind.UNPIN):
        return attrs.evolve(record, rev=event.seq, pinned=event.seq if event.kind == EntryKind.PIN else None)
    if event.kind == EntryKind.DELETE or event.content is None:
        return attrs.evolve(
            record, rev=event.seq, content=None, users=None, edited=None, reactions=None, origin=None, pinned=None
        )
    return attrs.evolve(record, rev=event.seq, content=event.content, users=event.users, edited=event.ts, origin=None)


def _reactions(record: Record, event: Event) -> tuple[Reaction, ...] | None:
    others = [reaction for reaction in record.reactions or () if reaction.user != event.sender]
    emoji = _emoji(event.content)
    if emoji is not None:
        others.append(Reaction(event.sender, emoji))
    return tuple(sorted(others, key=lambda reaction: reaction.user)) or None


def _emoji(content: Content | None) -> str | None:
    return content.data if content is not None and isinstance(content.data, str) else None

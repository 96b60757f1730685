"""The fold and the visibility of docs/protocol.md, section 9, written again in the plainest way, to judge the store by.

It keeps the whole log in memory and computes every answer from the beginning.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from wirechat.store.records import ADMIN, MEMBER, MODERATOR, OWNER, Append, Appended, Kind, StoredRecord

CHANGES = (Kind.EDIT, Kind.DELETE, Kind.REACT, Kind.PIN, Kind.UNPIN)


@attrs.define
class Logged:
    """An entry that was accepted."""

    item: Append
    seq: int
    ts: int
    users: tuple[int, ...]


class Oracle:
    """What one conversation looks like to each of its members."""

    def __init__(self, item: Append, done: Appended) -> None:
        self.conv = done.conv
        self.log: list[Logged] = []
        self.take(item, done)

    def take(self, item: Append, done: Appended) -> None:
        """An entry was accepted, with this answer."""
        self.log.append(Logged(item, done.seq, done.ts, done.users))

    @property
    def head(self) -> int:
        return len(self.log)

    def periods(self, user: int) -> list[tuple[int, int | None]]:
        """First and last seq of each period; the last of a present member is None."""
        found: list[tuple[int, int | None]] = []
        for entry in self.log:
            if user in entry.users and entry.item.kind in (Kind.CREATE, Kind.ADD):
                found.append((entry.seq, None))
            if user in entry.users and entry.item.kind == Kind.REMOVE:
                found[-1] = (found[-1][0], entry.seq)
        return found

    def is_member(self, user: int) -> bool:
        periods = self.periods(user)
        return bool(periods) and periods[-1][1] is None

    def members(self) -> set[int]:
        return {user for entry in self.log for user in entry.users if self.is_member(user)}

    def roles(self) -> dict[int, int]:
        """The role of each member, from the beginning of the log on."""
        roles: dict[int, int] = {}
        since: dict[int, int] = {}
        for entry in self.log:
            for user in entry.users:
                if entry.item.kind == Kind.REMOVE:
                    del roles[user]
                elif entry.item.kind == Kind.ROLE:
                    roles[user] = entry.item.role or 0
                    if roles[user] == OWNER:
                        roles[entry.item.sender] = ADMIN
                elif entry.item.kind in (Kind.CREATE, Kind.ADD):
                    since[user] = entry.seq
                    roles[user] = MEMBER
            if entry.seq == 1:
                roles[entry.item.sender] = OWNER
            elif roles and OWNER not in roles.values():
                roles[sorted(roles, key=lambda user: (-roles[user], since[user], user))[0]] = OWNER
        return roles

    def allows(self, item: Append) -> bool:
        """Whether membership and role let this happen; it may still fail for another reason."""
        roles = self.roles()
        mine = roles.get(item.sender, 0)
        theirs = roles.get(item.users[0], 0) if item.users else 0
        if item.kind == Kind.META:
            return mine >= ADMIN
        if item.kind == Kind.ROLE:
            given = item.role or 0
            if mine == OWNER:
                return theirs < OWNER
            return mine == ADMIN and theirs <= MODERATOR and (given <= MODERATOR or not theirs)
        if item.kind == Kind.REMOVE and item.users[0] != item.sender:
            return mine >= MODERATOR and mine > theirs
        if item.kind in (Kind.PIN, Kind.UNPIN):
            return mine >= MODERATOR
        if item.kind in (Kind.EDIT, Kind.DELETE) and item.ref in self.messages():
            author = self.log[item.ref - 1].item.sender
            moderates = mine >= MODERATOR and mine > roles.get(author, 0)
            return mine > 0 and (author == item.sender or (item.kind == Kind.DELETE and moderates))
        return mine > 0

    def visible_head(self, user: int) -> int:
        until = self.periods(user)[-1][1]
        return self.head if until is None else until

    def fold(self) -> dict[int, StoredRecord]:
        """Every record in its latest state."""
        records: dict[int, StoredRecord] = {}
        for entry in self.log:
            item = entry.item
            if item.kind not in CHANGES:
                records[entry.seq] = StoredRecord(
                    entry.seq, entry.seq, entry.ts, item.sender, item.kind, item.content, item.ref, entry.users, None,
                    (), item.cid, role=item.role,
                )  # fmt: skip
                if item.source is not None:
                    self._copy(records[item.source[1]], records[entry.seq])
                continue
            assert item.ref is not None
            record = records[item.ref]
            record.rev = entry.seq
            reactions = dict(record.reactions)
            if item.kind == Kind.DELETE:
                record.content = record.edited = record.origin = record.pinned = None
                record.users = ()
                reactions = {}
            elif item.kind == Kind.EDIT:
                record.content, record.edited, record.users, record.origin = item.content, entry.ts, item.users, None
            elif item.kind in (Kind.PIN, Kind.UNPIN):
                record.pinned = entry.seq if item.kind == Kind.PIN else None
            elif item.content is None:
                reactions.pop(item.sender, None)
            else:
                reactions[item.sender] = item.content
            record.reactions = tuple(sorted(reactions.items()))
        return records

    def _copy(self, source: StoredRecord, copy: StoredRecord) -> None:
        """What a forward within this conversation takes from its source as it is now."""
        copy.content, copy.origin = source.content, source.origin or (source.sender, source.ts)

    def pins(self, user: int) -> list[int]:
        """Pinned messages a user may see, the one pinned last first."""
        found = [record for record in self.visible(user) if record.pinned is not None]
        return [record.seq for record in sorted(found, key=lambda record: -(record.pinned or 0))]

    def mentions(self, user: int) -> list[int]:
        """Messages that mention a user, as far as he may see them."""
        return [each.seq for each in self.visible(user) if self._is_for(user, each) and user in each.users]

    def unread(self, user: int, read: int) -> list[int]:
        """Messages above a watermark that count as unread."""
        return [each.seq for each in self.visible(user) if self._is_for(user, each) and each.seq > read]

    def _is_for(self, user: int, record: StoredRecord) -> bool:
        return record.kind == Kind.MSG and record.content is not None and record.sender != user

    def sees(self, user: int, seq: int) -> bool:
        return any(first <= seq and (last is None or seq <= last) for first, last in self.periods(user))

    def visible(self, user: int) -> list[StoredRecord]:
        """The records a user may see, by seq."""
        top = self.visible_head(user)
        return [record for seq, record in sorted(self.fold().items()) if self.sees(user, seq) and record.rev <= top]

    def changes(self, user: int, since: int) -> list[StoredRecord]:
        """Those changed after `since`, by rev."""
        return sorted((record for record in self.visible(user) if record.rev > since), key=lambda record: record.rev)

    def messages(self) -> Iterator[int]:
        """Seqs of the messages, deleted or not."""
        return (entry.seq for entry in self.log if entry.item.kind == Kind.MSG)

"""Who has which role in a group, and what it is called, folded from its log by rules written down here again.

Independent of the product's own rules on purpose: whatever stands in a log must have been allowed to whoever wrote it.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from tools.history.entries import ACCOUNT_LOG, ADD, CREATE, DELETE, META, PIN, REMOVE, ROLE, UNPIN, Entry

GROUP, ACCOUNT = 2, 6
MEMBER, MODERATOR, ADMIN, OWNER = 1, 2, 3, 4
TITLE, ABOUT = 10, 11


@attrs.frozen
class Described:
    """What CONV_GET should say to one user."""

    kind: int
    role: int
    members: int
    title: object
    about: object


@attrs.define
class Standing:
    """One conversation after the entry that was taken last."""

    kind: int
    roles: dict[int, int] = attrs.Factory(dict)
    _joined: dict[int, int] = attrs.Factory(dict)
    _said: dict[int, list[tuple[int, object]]] = attrs.Factory(lambda: {TITLE: [(0, None)], ABOUT: [(0, None)]})
    """Content type -> (seq, text), the newest last."""

    def take(self, entry: Entry, log: Sequence[Entry]) -> str | None:
        """The next entry of the log; returns what its sender might not do."""
        if self.kind == ACCOUNT:
            return self._take_account(entry)
        wrong = None if entry.kind == CREATE or self._allowed(entry, log) else f"{entry} with roles {self.roles}"
        if entry.kind in (CREATE, ADD):
            self.roles.update(dict.fromkeys(entry.users, MEMBER))
            self._joined.update(dict.fromkeys(entry.users, entry.seq))
        if entry.kind == CREATE and self.kind == GROUP:
            self.roles[entry.sender] = OWNER
        if entry.kind == CREATE and entry.content is not None:
            self._said[TITLE].append((entry.seq, entry.content))
        if entry.kind == META and isinstance(entry.content, tuple):
            self._said[entry.content[0]].append((entry.seq, entry.content[1] or None))
        if entry.kind == ROLE:
            self._assign(entry)
        if entry.kind == REMOVE:
            self._remove(entry)
        return wrong

    def _take_account(self, entry: Entry) -> str | None:
        """An account log has one member, who wrote all of it."""
        self.roles[entry.sender] = MEMBER
        right = entry.kind in ACCOUNT_LOG and len(self.roles) == 1
        return None if right else f"{entry} in an account log of {sorted(self.roles)}"

    def _assign(self, entry: Entry) -> None:
        self.roles[entry.users[0]] = entry.role or 0
        if entry.role == OWNER:
            self.roles[entry.sender] = ADMIN

    def _remove(self, entry: Entry) -> None:
        for user in entry.users:
            self.roles.pop(user, None)
        if self.roles and OWNER not in self.roles.values():
            first = sorted(self.roles, key=lambda user: (-self.roles[user], self._joined[user], user))[0]
            self.roles[first] = OWNER

    def _allowed(self, entry: Entry, log: Sequence[Entry]) -> bool:
        mine = self.roles.get(entry.sender, 0)
        theirs = self.roles.get(entry.users[0], 0) if entry.users else 0
        if entry.kind == DELETE:
            author = log[(entry.ref or 0) - 1].sender
            return mine > 0 and (author == entry.sender or self._above(mine, self.roles.get(author, 0)))
        if entry.kind == META:
            return self.kind == GROUP and mine >= ADMIN
        if entry.kind == ROLE:
            given = entry.role or 0
            return theirs > 0 and given > 0 and (mine == OWNER or (mine == ADMIN and max(theirs, given) < ADMIN))
        if entry.kind == REMOVE:
            return self.kind == GROUP and theirs > 0 and (entry.users == (entry.sender,) or self._above(mine, theirs))
        if entry.kind in (PIN, UNPIN):
            return mine > 0 and (self.kind != GROUP or mine >= MODERATOR)
        return mine > 0 and (entry.kind != ADD or self.kind == GROUP)

    def _above(self, mine: int, theirs: int) -> bool:
        return self.kind == GROUP and mine >= MODERATOR and mine > theirs

    def described(self, user: int, until: int | None) -> Described:
        """What a member is told, or one who left with entry `until`."""
        title, about = (self._as_of(what, until) for what in (TITLE, ABOUT))
        return Described(
            self.kind, self.roles.get(user, 0), 0 if user not in self.roles else len(self.roles), title, about
        )

    def _as_of(self, what: int, until: int | None) -> object:
        return [text for seq, text in self._said[what] if until is None or seq <= until][-1]

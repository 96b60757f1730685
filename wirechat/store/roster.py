"""Who was in a conversation when, and with which role, computed from its log alone: `verify` judges by it."""

from __future__ import annotations

import attrs

from wirechat.store.features import roles
from wirechat.store.records import ADMIN, GROUP, MEMBER, NONE, OWNER

Periods = list[tuple[int, int | None]]
"""First and last seq; the last of a present member is None."""


@attrs.define
class Roster:
    """The members as of the entry that was taken last. Methods that return text return what is wrong with an entry."""

    kind: int
    periods: dict[int, Periods] = attrs.Factory(dict)
    roles: dict[int, int] = attrs.Factory(dict)
    """Of the present members."""

    def role(self, user: int) -> int:
        """NONE for who is not a member."""
        return self.roles.get(user, NONE)

    def found(self, seq: int, creator: int, user: int) -> str:
        """CREATE names this user."""
        wrong = self.joined(seq, user)
        if not wrong and user == creator and self.kind == GROUP:
            self.roles[user] = OWNER
        return wrong

    def joined(self, seq: int, user: int) -> str:
        """ADD names this user."""
        if user in self.roles:
            return f"concerns user {user}, who is a member"
        self.periods.setdefault(user, []).append((seq, None))
        self.roles[user] = MEMBER
        return ""

    def left(self, seq: int, sender: int, user: int) -> str:
        """REMOVE names this user."""
        if user not in self.roles:
            return f"concerns user {user}, who was no member"
        allowed = user == sender or roles.may_moderate(self.kind, self.role(sender), self.role(user))
        self.periods[user][-1] = (self.periods[user][-1][0], seq)
        if self.roles.pop(user) == OWNER:
            self._succeed()
        return "" if allowed else f"removes user {user}, which user {sender} might not do"

    def _succeed(self) -> None:
        if self.roles:
            heir = min(self.roles, key=lambda each: (-self.roles[each], self.periods[each][-1][0], each))
            self.roles[heir] = OWNER

    def assigned(self, sender: int, user: int, role: int) -> str:
        """ROLE names this user."""
        mine, theirs = self.role(sender), self.role(user)
        if NONE in (theirs, role) or theirs == role or not roles.may_assign(mine, theirs, role):
            return f"gives user {user} the role {role}, which user {sender} might not do"
        self.roles[user] = role
        if role == OWNER:
            self.roles[sender] = ADMIN
        return ""

    def may_delete(self, sender: int, author: int) -> bool:
        """Whether this member deletes what the author wrote."""
        return sender == author or roles.may_moderate(self.kind, self.role(sender), self.role(author))

    def may_pin(self, sender: int) -> bool:
        """Whether this member pins and unpins."""
        return roles.may_pin(self.kind, self.role(sender))

    def may_describe(self, sender: int) -> bool:
        """Whether this member changes title and description."""
        return roles.may_describe(self.kind, self.role(sender))

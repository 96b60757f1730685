"""Who may do what to whom, by role. The one place of that rule (docs/protocol.md, 10.2).

A role counts in groups only: in direct conversations and notes to self everyone is MEMBER. Who is not a member any
more has role 0.
"""

from __future__ import annotations

from wirechat.store.records import ADMIN, GROUP, MODERATOR, OWNER


def may_pin(kind: int, role: int) -> bool:
    """Whether a member pins and unpins in a conversation of this kind."""
    return kind != GROUP or role >= MODERATOR


def may_moderate(kind: int, mine: int, theirs: int) -> bool:
    """Whether a member deletes what another wrote, or removes him."""
    return kind == GROUP and mine >= MODERATOR and theirs < mine


def may_describe(kind: int, role: int) -> bool:
    """Whether a member changes title and description."""
    return kind == GROUP and role >= ADMIN


def may_assign(mine: int, theirs: int, role: int) -> bool:
    """Whether a member of a group gives another, who has `theirs`, this role. The owner may hand on his own."""
    return mine >= ADMIN and theirs < mine and (role < mine or mine == OWNER)

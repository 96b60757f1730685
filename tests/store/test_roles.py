"""Roles, title and description, notes to self, as the store keeps them."""

from __future__ import annotations

import itertools

import pytest

from wirechat.store.features import roles
from wirechat.store.records import ADMIN, DIRECT, GROUP, MEMBER, MODERATOR, OWNER, SELF

NONE = 0


def test_10_12_the_table() -> None:
    """Every right, for every pair of roles, spelled out."""
    assert [role for role in range(5) if roles.may_pin(GROUP, role)] == [MODERATOR, ADMIN, OWNER]
    assert [role for role in range(5) if roles.may_describe(GROUP, role)] == [ADMIN, OWNER]
    moderates = {pair for pair in itertools.product(range(1, 5), range(5)) if roles.may_moderate(GROUP, *pair)}
    assert moderates == {
        (MODERATOR, NONE), (MODERATOR, MEMBER),
        (ADMIN, NONE), (ADMIN, MEMBER), (ADMIN, MODERATOR),
        (OWNER, NONE), (OWNER, MEMBER), (OWNER, MODERATOR), (OWNER, ADMIN),
    }  # fmt: skip
    assigns = {triple for triple in itertools.product(range(1, 5), repeat=3) if roles.may_assign(*triple)}
    assert assigns == {
        *((ADMIN, theirs, role) for theirs in (MEMBER, MODERATOR) for role in (MEMBER, MODERATOR)),
        *((OWNER, theirs, role) for theirs in (MEMBER, MODERATOR, ADMIN) for role in range(1, 5)),
    }


@pytest.mark.parametrize("kind", [DIRECT, SELF])
def test_10_12_no_roles_outside_of_groups(kind: int) -> None:
    """Whoever is in may pin; nobody touches what another wrote, nor the conversation."""
    assert roles.may_pin(kind, MEMBER)
    assert not roles.may_moderate(kind, MEMBER, NONE)
    assert not roles.may_describe(kind, MEMBER)

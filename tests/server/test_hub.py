"""What the hub forgets first."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from wirechat.server import limits
from wirechat.server.hub import Hub
from wirechat.server.others import Nobody
from wirechat.store.records import Members

MOST, ENOUGH = 80, 70
OURS = range(1, 41)
STRANGERS = range(1000, 2000)
HERE, ELSEWHERE = 7, 8


class Somebody(Nobody):
    """There are other nodes."""

    alone = False


@attrs.define(eq=False)
class Visitor:
    """Of a session, what the hub looks at when it comes and goes."""

    user: int = HERE
    device: int = 1
    login: int = 1
    active: bool = True
    sent: int = 0
    falls: int = 0
    left: None = None


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    """Of a node of a cluster; one person is here, in some conversations."""
    monkeypatch.setattr(limits, "MEMBER_LISTS_MAX", MOST)
    monkeypatch.setattr(limits, "POSITIONS_MAX", MOST)
    hub = Hub()
    hub.others = Somebody()
    visitor: Any = Visitor()
    hub.join(visitor)
    pass_by(hub, OURS, HERE)
    return hub


def pass_by(hub: Hub, convs: range, user: int) -> None:
    """A pass looks at conversations of this user."""
    for conv in convs:
        hub.remember(conv, Members(1, {user: 1}))
        hub.offered(conv, 5, 0)


def kept(hub: Hub, convs: range) -> tuple[int, int]:
    """Of how many the member list, and of how many the position."""
    return len(hub.known(convs)), sum(hub.head(conv) == 5 for conv in convs)


def test_an_older_member_list_does_not_replace_a_younger_one(hub: Hub) -> None:
    """Reads may end in another order than they began."""
    for version in (3, 2):
        hub.remember(OURS[0], Members(version, {HERE: version}))
    assert hub.members(OURS[0]) == Members(3, {HERE: 3})


def test_strangers_do_not_push_out_those_whose_people_are_here(hub: Hub) -> None:
    pass_by(hub, STRANGERS, ELSEWHERE)
    assert kept(hub, OURS) == (len(OURS), len(OURS))
    assert kept(hub, STRANGERS) == (ENOUGH - len(OURS),) * 2


def test_who_has_left_is_a_stranger(hub: Hub) -> None:
    hub.leave(next(iter(hub.sessions())))
    pass_by(hub, STRANGERS, ELSEWHERE)
    assert kept(hub, OURS) == (0, 0)


def test_however_many_are_ours_there_is_an_end(hub: Hub) -> None:
    more = range(41, 141)
    pass_by(hub, more, HERE)
    assert sum(each[0] for each in (kept(hub, OURS), kept(hub, more))) == MOST

"""The judge of roles: it must find what nobody might do, and nothing in what everybody might."""

from __future__ import annotations

import pytest

from tools.history.checker import Entry
from tools.history.standing import ABOUT, ADMIN, GROUP, MODERATOR, OWNER, TITLE, Described, Standing

ADD, CREATE, DELETE, META, REMOVE, ROLE = 7, 6, 3, 9, 8, 10


def entry(seq: int, sender: int, kind: int, **more: object) -> Entry:
    return Entry(1, seq, 0, sender, kind, **more)  # type: ignore[arg-type]


LOG = [
    entry(1, 1, CREATE, content="first", users=(1, 2, 3, 4)),
    entry(2, 4, 1, content="by 4"),
    entry(3, 1, ROLE, users=(2,), role=ADMIN),
    entry(4, 2, ROLE, users=(3,), role=MODERATOR),
    entry(5, 3, DELETE, ref=2),
    entry(6, 2, META, content=(TITLE, "second")),
    entry(7, 3, REMOVE, users=(4,)),
    entry(8, 2, META, content=(ABOUT, "what for")),
    entry(9, 1, ROLE, users=(3,), role=OWNER),
    entry(10, 3, REMOVE, users=(3,)),
]


def judged(log: list[Entry]) -> tuple[Standing, list[str]]:
    standing = Standing(GROUP)
    wrong = [standing.take(each, log) for each in log]
    return standing, [each for each in wrong if each is not None]


def test_a_sound_log() -> None:
    """The owner handed on and left; the admin who was there first follows."""
    standing, wrong = judged(LOG)
    assert wrong == []
    assert standing.roles == {1: OWNER, 2: ADMIN}
    assert standing.described(1, None) == Described(GROUP, OWNER, 2, "second", "what for")
    assert standing.described(4, 7) == Described(GROUP, 0, 0, "second", None)
    assert standing.described(4, 5) == Described(GROUP, 0, 0, "first", None)


@pytest.mark.parametrize(
    "added",
    [
        entry(11, 2, ROLE, users=(1,), role=MODERATOR),
        entry(11, 2, REMOVE, users=(1,)),
        entry(11, 4, 1, content="still here"),
        entry(11, 1, REMOVE, users=(4,)),
        entry(11, 1, ROLE, users=(4,), role=MODERATOR),
        entry(11, 9, META, content=(TITLE, "mine")),
    ],
)
def test_10_3_what_nobody_might_do_is_found(added: Entry) -> None:
    _, wrong = judged([*LOG, added])
    assert len(wrong) == 1


def test_10_3_a_role_of_before_counts_no_more() -> None:
    """The same entries in another order."""
    log = [attrs_at(LOG[seq - 1], at) for at, seq in enumerate((1, 2, 5, 3, 6), 1)]
    _, wrong = judged(log)
    assert len(wrong) == 1


def attrs_at(old: Entry, seq: int) -> Entry:
    return Entry(old.conv, seq, old.ts, old.sender, old.kind, old.content, old.ref, old.users, old.cid, old.role)

"""The judges of forwards, mentions, pins and counts: each finds what is wrong, and nothing in what is right."""

from __future__ import annotations

import pytest

from tools.history import tally
from tools.history.checker import Entry
from tools.history.copies import Copies

MSG, EDIT, DELETE, PIN, UNPIN = 1, 2, 3, 5, 13
LOG = [
    Entry(1, 1, 100, 1, 6, users=(1, 2)),
    Entry(1, 2, 110, 1, MSG, "a", users=(2, 1)),
    Entry(1, 3, 120, 2, MSG, "b", users=(1,)),
    Entry(1, 4, 130, 1, EDIT, "c", 2, users=(2,)),
    Entry(1, 5, 140, 1, PIN, None, 2),
    Entry(1, 6, 150, 2, PIN, None, 3),
    Entry(1, 7, 160, 1, UNPIN, None, 2),
    Entry(1, 8, 170, 2, DELETE, None, 3),
    Entry(1, 9, 180, 1, MSG, "d"),
]


def wrong(copy: Entry, source: tuple[int, int] = (1, 2), since: int = 1) -> list[str]:
    """What is wrong with a copy of something in the log, by somebody who is there since then."""
    copies = Copies()
    for entry in (*LOG, copy):
        copies.take(entry)
    return copies.wrong(lambda place: LOG[place[1] - 1], lambda conv, user: ((since, None),), lambda entry: source)


@pytest.mark.parametrize("text", ["a", "c"])
def test_a_copy_of_what_was_said_is_right(text: str) -> None:
    """Also of an edit, which is as old as its message; whoever is asked twice says nothing more."""
    assert wrong(Entry(2, 2, 190, 2, MSG, text, origin=(1, 110))) == []


def test_a_copy_of_a_copy_has_the_same_origin() -> None:
    copies = Copies()
    for entry in (*LOG, Entry(2, 2, 190, 2, MSG, "a", origin=(1, 110)), Entry(2, 3, 190, 1, MSG, "a", origin=(2, 190))):
        copies.take(entry)
    found = copies.wrong(lambda place: LOG[place[1] - 1], lambda conv, user: ((1, None),), lambda entry: (1, 2))
    assert len(found) == 1
    assert "should come from" in found[0]
    assert copies.holders("a") == {(1, 2), (2, 2), (2, 3)}
    assert copies.holders("c") == {(1, 2)}


@pytest.mark.parametrize(
    ("copy", "since", "text"),
    [
        (Entry(2, 2, 190, 2, MSG, "a", origin=(2, 110)), 1, "should come from"),
        (Entry(2, 2, 190, 2, MSG, "a", origin=(1, 111)), 1, "should come from"),
        (Entry(2, 2, 190, 2, MSG, "x", origin=(1, 110)), 1, "what nobody has said"),
        (Entry(2, 2, 190, 2, MSG, "a", origin=(1, 110)), 3, "which its sender does not see"),
    ],
)
def test_a_wrong_copy_is_found(copy: Entry, since: int, text: str) -> None:
    """Another author, another time, other words, or one who may not see it."""
    (found,) = wrong(copy, since=since)
    assert text in found


def test_mentions_and_pins_as_they_stand_at_the_end() -> None:
    """An edit replaces, a delete takes along, nobody mentions himself."""
    assert tally.mentions(LOG[:3]) == {(2, 2), (1, 3)}
    assert tally.mentions(LOG) == {(2, 2)}
    assert tally.pins(LOG[:6]) == {(2, 5), (3, 6)}
    assert tally.pins(LOG) == set()
    assert tally.is_pin(LOG, 2, 5, 1, 140)
    assert not any((tally.is_pin(LOG, 2, 5, 2, 140), tally.is_pin(LOG, 3, 5, 1, 140), tally.is_pin(LOG, 2, 99, 1, 140)))


def test_what_is_unread_at_each_head() -> None:
    """Above the watermark, of others, there at that head, and seen."""
    times = ((1, None),)
    assert tally.unread(LOG, times, 2, 0, 9) == ({2, 9}, {2})
    assert tally.unread(LOG, times, 2, 2, 9) == ({9}, set())
    assert tally.unread(LOG, times, 1, 0, 7) == ({3}, {3})
    assert tally.unread(LOG, times, 1, 0, 9) == (set(), set())
    assert tally.unread(LOG, ((3, None),), 2, 0, 9) == ({9}, set())


def test_what_was_deleted_before_anybody_read_the_log_was_there_until_then() -> None:
    """Its text is gone, also from its edits; that it was there is not."""
    log = [*LOG[:2], Entry(1, 3, 120, 2, MSG, None), Entry(1, 4, 130, 2, EDIT, None, 3), *LOG[4:]]
    assert tally.unread(log, ((1, None),), 1, 0, 7) == ({3}, set())
    assert tally.unread(log, ((1, None),), 1, 0, 8) == (set(), set())

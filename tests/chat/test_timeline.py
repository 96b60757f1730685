"""What a conversation looks like, row by row."""

import datetime
from collections.abc import Iterable
from typing import Any

import attrs

from wirechat import wire
from wirechat.cli.chat.people import COLOURS, MINE, People
from wirechat.cli.chat.timeline import Day, Message, Notice, Quote, Row, Scene, Tick, Unseen, rows
from wirechat.client.outbox import Entry

ME, BOB, CAROL = 7, 8, 9
USERS = {ME: wire.User(ME, "ann", "Ann"), BOB: wire.User(BOB, "bob", "Bob"), CAROL: wire.User(CAROL, "carol")}
NOON = 1_700_000_000_000
MINUTE = 60_000


def known(users: Iterable[int]) -> dict[int, wire.User]:
    return {user: USERS[user] for user in users if user in USERS}


def scene(**changes: Any) -> Scene:
    return attrs.evolve(Scene(People(ME, known), zone=datetime.UTC), **changes)


def said(seq: int, text: str | None, sender: int = BOB, ts: int = NOON, **changes: Any) -> wire.Record:
    content = None if text is None else wire.Content(1, text)
    return attrs.evolve(wire.Record(seq, seq, ts, sender, 1, content), **changes)


def messages(found: Iterable[Row]) -> list[Message]:
    return [row for row in found if isinstance(row, Message)]


def test_days_and_names_are_shown_once() -> None:
    """A name stands above what one person says in a row, a date above what a day brought."""
    day = 24 * 60 * MINUTE
    records = [
        said(1, "a"),
        said(2, "b", ts=NOON + MINUTE),
        said(3, "c", CAROL, NOON + MINUTE),
        said(4, "d", CAROL, NOON + 30 * MINUTE),
        said(5, "e", CAROL, NOON + day),
    ]
    found = rows(records, [], scene())
    assert [row.date.day for row in found if isinstance(row, Day)] == [14, 15]
    assert [(row.text, row.first, row.name) for row in messages(found)] == [
        ("a", True, "Bob"),
        ("b", False, "Bob"),
        ("c", True, "carol"),
        ("d", True, "carol"),
        ("e", True, "carol"),
    ]


def test_what_happened_is_told() -> None:
    """Membership entries are lines; a kind of a later version is not hidden."""

    def made(seq: int, kind: int, users: tuple[int, ...] | None, sender: int = BOB) -> wire.Record:
        return wire.Record(seq, seq, NOON, sender, kind, None, None, users)

    kinds = [made(1, 6, (BOB, ME, CAROL)), made(2, 7, (CAROL,), ME), made(3, 8, (CAROL,)), made(4, 8, (BOB,))]
    title, none, about = (wire.Content(10, "Tea"), wire.Content(10, ""), wire.Content(11, "At five"))
    kinds += [attrs.evolve(made(seq, 9, None), content=text) for seq, text in ((5, title), (6, none), (7, about))]
    kinds += [attrs.evolve(made(seq, 10, (CAROL,)), role=role) for seq, role in ((8, 3), (9, 77))]
    found = rows([*kinds, made(10, 99, None)], [], scene())
    assert [row.text for row in found if isinstance(row, Notice)] == [
        "Bob started this with carol and you",
        "You added carol",
        "Bob removed carol",
        "Bob left",
        "Bob changed the title to “Tea”",
        "Bob took the title away",
        "Bob changed the description to “At five”",
        "Bob made carol admin",
        "Bob made carol member",
        "Bob did something this program cannot show",
    ]


def test_unseen_begins_with_the_first_message_of_another() -> None:
    """One's own words and what was deleted are not new."""
    records = [said(1, "old"), said(2, "mine", ME), said(3, None), said(4, "new"), said(5, "newer")]
    found = rows(records, [], scene(unseen_after=1))
    at = found.index(Unseen())
    assert [row.text for row in messages(found[at:])] == ["new", "newer"]
    assert Unseen() not in rows(records, [], scene(unseen_after=5))


def test_quotes_show_what_is_answered() -> None:
    """Shown, found in the cache, deleted, or not here."""
    records = [said(3, "question"), said(4, None), said(5, "a", ref=3), said(6, "b", ref=4), said(7, "c", ref=2)]
    older = said(2, "far away", CAROL)
    quotes = [row.quote for row in messages(rows([*records, said(8, "d", ref=1)], [], scene(find={2: older}.get)))]
    named = [(quote.name, quote.text) for quote in quotes if isinstance(quote, Quote)]
    assert named == [("Bob", "question"), ("Bob", "deleted message"), ("carol", "far away"), ("", "an earlier message")]


def test_p7_ticks_say_what_the_slowest_has() -> None:
    """Of those who were members then: who came later has no part in it. Others' messages have no ticks."""
    record = said(10, "x", ME)

    def tick(marks: dict[int, tuple[int, int]], members: dict[int, int]) -> Tick | None:
        watermarks = {user: wire.Watermark(user, *mark) for user, mark in marks.items()}
        return messages(rows([record], [], scene(marks=watermarks, members=members)))[0].tick

    both = {ME: 0, BOB: 0, CAROL: 0}
    assert tick({}, both) == Tick.SENT
    assert tick({BOB: (10, 10), CAROL: (9, 0)}, both) == Tick.SENT
    assert tick({BOB: (10, 10)}, both) == Tick.SENT
    assert tick({BOB: (10, 10), CAROL: (12, 9)}, both) == Tick.DELIVERED
    assert tick({BOB: (10, 10), CAROL: (12, 12)}, both) == Tick.READ
    assert tick({BOB: (10, 10)}, {ME: 0, BOB: 0, CAROL: 11}) == Tick.READ
    assert tick({}, {ME: 0}) == Tick.SENT
    assert messages(rows([said(1, "y")], [], scene()))[0].tick is None


def test_reactions_are_counted() -> None:
    """The most common first; one's own is marked."""
    reactions = (wire.Reaction(ME, "b"), wire.Reaction(BOB, "a"), wire.Reaction(CAROL, "a"))
    [row] = messages(rows([said(1, "x", reactions=reactions)], [], scene()))
    assert row.reactions == (("a", 2, False), ("b", 1, True))


def test_mentions_origins_and_pins_are_told() -> None:
    """Who is meant, and whether it is oneself; who wrote what was forwarded; what is pinned."""
    row = said(1, "@ann", users=(ME, CAROL, 12345), origin=wire.Origin(CAROL, NOON), pinned=7)
    [shown] = messages(rows([row], [], scene()))
    assert (shown.names, shown.origin, shown.pinned) == ((("ann", True), ("carol", False)), "carol", True)


def test_whom_one_has_blocked_is_not_heard() -> None:
    [row] = messages(rows([said(1, "spam")], [], scene(blocked={BOB})))
    assert row.text == "a message of somebody you have blocked"


def test_a_forward_that_waits_shows_what_it_will_be() -> None:
    """With the text as it is here, if it is here."""
    here = {(3, 4): said(4, "news", CAROL)}
    waiting = [Entry(1, bytes([seq]) * 8, 1, forward=wire.Source(3, seq)) for seq in (4, 5)]
    found = rows([], waiting, scene(source=lambda source: here.get((source.conv, source.seq))))
    assert [(row.text, row.origin) for row in messages(found)] == [("news", "carol"), ("a message to forward", None)]


def test_what_waits_is_shown_at_the_end() -> None:
    """Messages as rows, an edit as the text it will be; not in a window that ends earlier."""
    waiting = [
        Entry(1, b"cid00001", 1, wire.Content(1, "soon"), 1),
        Entry(1, b"cid00002", 2, wire.Content(1, "better"), 2),
    ]
    found = messages(rows([said(1, "x"), said(2, "worse", ME)], waiting, scene()))
    assert [(row.seq, row.text, row.tick, row.pending) for row in found] == [
        (1, "x", None, False),
        (2, "better", Tick.SENT, True),
        (None, "soon", Tick.WAITING, False),
    ]
    assert found[2].quote is not None
    assert found[2].quote.text == "x"
    assert len(messages(rows([said(1, "x")], waiting, scene(), upto_end=False))) == 1


def test_p8_a_deleted_message_keeps_nothing() -> None:
    """Neither its text, nor what it answered, nor ticks."""
    [row] = messages(rows([said(5, None, ME, ref=1)], [], scene()))
    assert (row.text, row.quote, row.tick) == (None, None, None)


def test_content_of_a_later_version_is_not_hidden() -> None:
    [row] = messages(rows([said(1, "", content=wire.Content(77, b"\0\1"))], [], scene()))
    assert row.text == "(something this program cannot show)"


def test_names_and_colours() -> None:
    """An unknown account is asked for and has a name meanwhile; a colour stays."""
    people = People(ME, known)
    assert people.name(123456) == "user 3456"
    assert people.wanted == {123456}
    assert people.names([ME, BOB]) == "Bob and you"
    assert people.names([BOB, CAROL, ME]) == "Bob, carol and you"
    assert people.names([]) == "nobody"
    assert people.colour(BOB) == People(1, known).colour(BOB)
    assert {people.colour(user) for user in range(1000)} == {*COLOURS, MINE}
    assert people.colour(ME) == MINE

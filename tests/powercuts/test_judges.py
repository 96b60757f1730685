"""The judges of the power cuts can say no: each rule is broken once by hand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tools.powercuts import acknowledged, worlds
from tools.powercuts.acknowledged import Book
from tools.powercuts.worlds import Transaction, Worlds
from wirechat.store.features import accounts, journal
from wirechat.store.records import Append, Appended, Kind, Refusal
from wirechat.store.tx import Tx

NOW = 1_800_000_000_000
SENT = Append(7, 1, b"cid-sent", Kind.MSG, b"hello", None, (), b"digest")
REFUSED = Append(7, 2, b"cid-refd", Kind.MSG, b"never", None, (), b"digest")
OPEN = Append(7, 1, b"cid-open", Kind.MSG, b"perhaps", None, (), b"digest")
ROW = (7, 1, NOW, 1, Kind.MSG, b"hello", None, b"cid-sent")
OPEN_ROW = (7, 2, NOW, 1, Kind.MSG, b"perhaps", None, b"cid-open")
DELETE_ROW = (7, 3, NOW, 1, Kind.DELETE, None, 1, b"cid-dele")


@pytest.fixture
def book() -> Book:
    """One entry acknowledged, one refused, one without an answer."""
    book = Book()
    book.asked([SENT, REFUSED, OPEN])
    book.answered([SENT, REFUSED], [Appended(7, 1, NOW), Refusal.FORBIDDEN])
    return book


def rules(book: Book, *rows: tuple[object, ...]) -> list[str]:
    return [text.partition(":")[0] for text in book.check(rows)]


def test_what_was_acknowledged_with_or_without_what_was_not_answered(book: Book) -> None:
    assert rules(book, ROW) == []
    assert rules(book, ROW, OPEN_ROW) == []


def test_a_lost_entry(book: Book) -> None:
    assert rules(book) == [acknowledged.LOST]


@pytest.mark.parametrize(("column", "value"), [(2, NOW + 1), (3, 2), (5, b"hellO"), (5, None), (7, b"cid-othr")])
def test_an_entry_that_is_not_what_was_acknowledged(book: Book, column: int, value: object) -> None:
    row = (*ROW[:column], value, *ROW[column + 1 :])
    assert rules(book, row)[0] == acknowledged.CHANGED


def test_a_refused_entry_that_is_there(book: Book) -> None:
    row = (7, 2, NOW, 2, Kind.MSG, b"never", None, b"cid-refd")
    assert rules(book, ROW, row) == [acknowledged.UNASKED]


def test_an_entry_that_nobody_sent(book: Book) -> None:
    row = (7, 2, NOW, 1, Kind.MSG, b"x", None, b"cid-none")
    assert rules(book, ROW, row) == [acknowledged.UNASKED]


def test_an_acknowledged_entry_that_is_there_twice(book: Book) -> None:
    assert rules(book, ROW, (7, 2, *ROW[2:])) == [acknowledged.UNASKED]


def test_half_of_an_entry_that_was_not_answered(book: Book) -> None:
    row = (*OPEN_ROW[:5], b"per", *OPEN_ROW[6:])
    assert rules(book, ROW, row) == [acknowledged.WHOLE]


def test_a_gap(book: Book) -> None:
    row = (7, 3, *OPEN_ROW[2:])
    assert rules(book, ROW, row) == [acknowledged.GAP]


def test_deleted_content_that_is_there(book: Book) -> None:
    """P8 after a cut, and a deletion that nobody asked for."""
    delete = Append(7, 1, b"cid-dele", Kind.DELETE, None, 1, (), b"digest")
    book.asked([delete])
    assert rules(book, ROW, OPEN_ROW, DELETE_ROW) == [acknowledged.CHANGED]
    wiped = (*ROW[:5], None, *ROW[6:])
    assert rules(book, wiped, OPEN_ROW, DELETE_ROW) == []


def test_the_same_cid_with_another_answer(book: Book) -> None:
    book.answered([SENT], [Appended(7, 1, NOW, dup=True)])
    assert book.broken == []
    book.answered([SENT], [Appended(7, 2, NOW, dup=True)])
    assert len(book.broken) == 1
    assert book.broken[0].startswith(acknowledged.TWICE)


META = [("digest_key", bytes(32)), ("epoch", bytes(4))]
ANN, BOB = (Transaction(accounts.create, (user, name, None, None, NOW)) for user, name in ((1, "ann"), (2, "bob")))


@pytest.fixture
def possible() -> Iterator[Worlds]:
    """An empty store."""
    found = Worlds()
    found.begin({"meta": META})
    yield found
    found.close()


def after(*transactions: Transaction) -> worlds.State:
    """What a store is like in which these were done."""
    alone = Worlds()
    alone.begin({"meta": META})
    (world,) = alone._possible
    for transaction in transactions:
        transaction.run(world.holder)
    state = worlds.world_state(world)
    alone.close()
    return state


def test_a_state_is_found_with_and_without_what_was_not_answered(possible: Worlds) -> None:
    assert possible.find(after(), [ANN, BOB]) is None
    assert possible.find(after(ANN), [ANN, BOB]) is None


def test_only_the_first_of_what_was_not_answered_may_be_there(possible: Worlds) -> None:
    """They are committed in their order: the second without the first is a broken store."""
    assert "none of 3 possible states" in (possible.find(after(BOB), [ANN, BOB]) or "")


def test_what_was_answered_is_not_forgotten(possible: Worlds) -> None:
    assert possible.answered(ANN, None) is None
    assert "account lacks" in (possible.find(after(), []) or "")


def test_what_is_unknown_is_there_or_not_until_an_answer_tells(possible: Worlds) -> None:
    possible.unknown(ANN)
    assert len(possible._possible) == 2
    assert possible.answered(ANN, Refusal.CONFLICT) is None
    assert possible.find(after(), []) is not None
    assert possible.find(after(ANN), []) is None


def test_an_answer_that_no_world_gives(possible: Worlds) -> None:
    assert "should be None" in (possible.answered(ANN, Refusal.CONFLICT) or "")


def test_what_was_not_found_may_still_come_until_something_is_committed(possible: Worlds) -> None:
    """The rest of it in the log may be completed by a later transaction; a commit takes its place for ever."""
    assert possible.find(after(), [BOB]) is None
    assert possible.find(after(), []) is None
    assert possible.find(after(BOB), []) is None
    assert possible.find(after(), []) is not None


def test_a_commit_ends_what_was_not_found(possible: Worlds) -> None:
    assert possible.find(after(), [BOB]) is None
    assert possible.answered(ANN, None) is None
    assert possible.find(after(ANN, BOB), []) is not None
    assert possible.find(after(ANN), []) is None


def test_what_was_unknown_and_is_there_cannot_come_again(possible: Worlds) -> None:
    """A world where it is done has no room for it twice; that is no fault of the store (seed 12,200)."""
    noted = Transaction(note, ("once",))
    assert possible.answered(ANN, None) is None
    possible.unknown(noted)
    assert possible.find(after(ANN, noted, BOB), [BOB]) is None


async def note(tx: Tx, name: str) -> None:
    """What the schema allows once."""
    await tx.execute("INSERT INTO meta (name, value) VALUES ($1, $2)", name, b"")


def test_what_failed_is_not_there(possible: Worlds) -> None:
    possible.failed(ANN)
    assert possible.find(after(ANN), []) is not None


def test_what_failed_and_would_only_have_been_counted_may_be_counted(possible: Worlds) -> None:
    """Nobody can see it, and SQLite cannot help it (seed 23,479)."""
    refused = Transaction(journal.append, ((OPEN,), NOW, {}), (OPEN,))
    possible.failed(refused)
    assert possible.find(after(refused), []) is None

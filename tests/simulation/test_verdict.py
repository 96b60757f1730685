"""What is wrong with a device's file taken by itself, and what only seems so."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tools.history.checker import ADD, CREATE, REMOVE, Record
from tools.simulate.file import Position
from tools.simulate.verdict import differences

ANN, BOB, CONV = 1, 2, 300


def record(seq: int, kind: int, *users: int) -> Record:
    return Record(seq, seq, 10 * seq, BOB, kind, None, None, users)


@attrs.define
class World:
    """A device of Ann's, and the log, in which she was a member for its first two entries."""

    position: Position
    held: dict[int, Record]

    def positions(self) -> dict[int, Position]:
        return {CONV: self.position}

    def records(self, conv: int) -> dict[int, Record]:
        return self.held

    def periods(self, conv: int) -> dict[int, tuple[tuple[int, int | None], ...]]:
        return {ANN: ((1, 2),)}

    def account_log(self, user: int) -> None: ...

    def hidden(self, user: int, upto: int | None = None) -> set[tuple[int, int]]:
        return set()


CREATED, REMOVED = record(1, CREATE, ANN, BOB), record(2, REMOVE, ANN)


@pytest.mark.parametrize(
    ("pos", "former", "records", "is_wrong"),
    [
        (2, True, [CREATED, REMOVED], False),
        (2, False, [CREATED, REMOVED], True),
        (1, False, [CREATED], False),
        (1, True, [CREATED], True),
        (1, True, [CREATED, REMOVED], False),
        (1, False, [CREATED, REMOVED], True),
        (1, True, [CREATED, record(3, ADD, BOB)], True),
    ],
)
def test_a_device_knows_that_its_user_has_left_from_the_newest_record_that_names_him(
    pos: int, former: bool, records: list[Record], is_wrong: bool
) -> None:
    """A page of history may bring it before the log is there."""
    position = Position(pos, pos, low=1, rpos=0, rwant=0, catch=0, former=former)
    world: Any = World(position, {each.seq: each for each in records})
    assert bool(list(differences(world, ANN, world))) is is_wrong

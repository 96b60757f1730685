"""What a seed draws: how many lives, when each ends, how the store is tuned, what its disk does wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from random import Random
from unittest import mock

import attrs

from wirechat.store import sqlite

TUNING = {
    "CHECKPOINT_PAGES": (sqlite.CHECKPOINT_PAGES, 2, 10, 40),
    "CACHE_KIB": (sqlite.CACHE_KIB, 40),
    "WAL_BYTES": (sqlite.WAL_BYTES, 30_000),
}
"""Numbers of the store that may be anything; the first choice is its own. Small ones make checkpoints in every life,
transactions that do not fit into memory, and logs that are cut."""

OPENING_CALLS = (30, 300)
"""An opening takes about 30 calls, with a migration 250; it is cut within so many."""
WORK_CALLS = (40, 250)
"""The work is cut within so many calls, if it is not over before; closing counts with it."""


@attrs.frozen
class Life:
    """One life, from an opening to a cut."""

    opening_calls: int | None
    """Calls until the power goes, if it goes during the opening."""
    work_calls: int
    """Calls after the opening until the power goes."""
    steps: int
    """How much is done."""
    flaw_rate: float
    """Probability that a call fails."""


@attrs.frozen
class Plan:
    """What a seed draws."""

    lives: tuple[Life, ...]
    users: int
    tuning: dict[str, int]
    upgrade: int
    """The life in which a migration is pending."""

    @contextlib.contextmanager
    def tuned(self) -> Iterator[None]:
        """Within, the store has these numbers."""
        with contextlib.ExitStack() as stack:
            for name, value in self.tuning.items():
                stack.enter_context(mock.patch.object(sqlite, name, value))
            yield


def draw(chance: Random) -> Plan:
    """The plan of a seed."""
    lives = tuple(_life(chance) for _ in range(chance.randint(8, 16)))
    return Plan(
        lives,
        chance.randint(2, 6),
        {name: chance.choice(choices) for name, choices in TUNING.items()},
        chance.randint(1, len(lives)),
    )


def _life(chance: Random) -> Life:
    opening = chance.randint(1, chance.choice(OPENING_CALLS)) if chance.random() < 0.3 else None
    work = chance.randint(1, chance.choice(WORK_CALLS))
    return Life(opening, work, chance.choice((2, 60, 60, 60, 60)), chance.choice((0.0, 0.0, 0.0, 0.003, 0.01)))

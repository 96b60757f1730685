"""A right server and its users in a few lines, which report what happens: every history that it makes is clean."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from random import Random
from typing import Any

import attrs

from tools.history.checker import ADD, CREATE, EDIT, MSG, REMOVE, Entry, Holding, Op, Record, is_within, periods
from tools.history.entries import CHANGES, DELETE, PIN, REACT, UNPIN, visible_head
from tools.history.reference import fold

CONV = 1
USERS = (1, 2, 3)


@attrs.define
class Asked:
    """An operation on its way. `seq`: where it stands, once it was executed."""

    name: str
    op: Op
    seq: int | None = None


class World:
    """One conversation. `tell(event, *arguments)` is called for all that is observed, in order."""

    def __init__(self, chance: Random, tell: Callable[..., None]) -> None:
        self._chance = chance
        self._tell = tell
        self._names = (f"op {number}" for number in itertools.count())
        self._now = 100.0
        self.log: list[Entry] = [Entry(CONV, 1, 100, 1, CREATE, "room", users=(1, 2))]
        self._asked: list[Asked] = []
        self._positions = dict.fromkeys(USERS, 0)
        self._devices: dict[int, dict[int, Record]] = {user: {} for user in USERS}
        self._questions: list[tuple[str, int]] = []
        self._marks: dict[int, tuple[int, int]] = {}

    def live(self, steps: int, read: bool) -> None:
        """`read`: in the end the log itself is read, entry by entry."""
        for _ in range(steps):
            self._chance.choice(self._deeds())()
        self._settle(read)

    def _deeds(self) -> list[Callable[[], None]]:
        often = [self._ask, self._execute, self._push]
        return [*often, *often, self._answer, self._retry, self._question, self._page, self._mark, self._hold]

    # operations

    def _members(self) -> list[int]:
        return [user for user, times in periods(self.log).items() if times[-1][1] is None]

    def _ask(self) -> None:
        """Mostly something that makes sense; the server decides."""
        user = self._chance.choice(self._members() if self._chance.random() < 0.9 else USERS)
        messages = [entry.seq for entry in self.log if entry.kind == MSG]
        kind = self._chance.choice([MSG] * 8 + [EDIT, EDIT, DELETE, REACT, PIN, UNPIN, ADD, REMOVE])
        ref = self._chance.choice(messages or [1]) if kind in CHANGES else None
        text = self._chance.choice("ab") if kind in (MSG, EDIT, REACT) else None
        users, order = ((3,) if kind in (ADD, REMOVE) else ()), (user if kind == MSG else None)
        op = Op(CONV, user, kind, text, ref, order, users)
        asked = Asked(next(self._names), op)
        self._tell("invoke", asked.name, op)
        self._asked.append(asked)

    def _is_allowed(self, op: Op) -> bool:
        record = fold(self.log, len(self.log)).get(op.ref or 0)
        if op.sender not in self._members() or (op.ref and (record is None or record.kind != MSG)):
            return False
        if record is not None and (
            record.content is None or (op.kind in (EDIT, DELETE) and record.sender != op.sender)
        ):
            return False
        return op.kind not in (ADD, REMOVE) or (3 in self._members()) == (op.kind == REMOVE)

    def _execute(self) -> None:
        """The oldest of one connection first."""
        waiting = [asked for asked in self._asked if asked.seq is None]
        if not waiting:
            return
        chosen = self._chance.choice(waiting)
        asked = next(each for each in waiting if each.op.order == chosen.op.order) if chosen.op.order else chosen
        op = asked.op
        if not self._is_allowed(op):
            self._asked.remove(asked)
            self._tell("failed", asked.name)
            return
        asked.seq = len(self.log) + 1
        ts = self.log[-1].ts + self._chance.randint(0, 5)
        self.log.append(Entry(CONV, asked.seq, ts, op.sender, op.kind, op.content, op.ref, op.users))

    def _answer(self) -> None:
        """Or the answer is lost, and the outcome unknown for ever."""
        done = [asked for asked in self._asked if asked.seq is not None]
        if done:
            asked = self._chance.choice(done)
            self._asked.remove(asked)
            if self._chance.random() < 0.7 and asked.seq is not None:
                self._tell("ok", asked.name, asked.seq, self.log[asked.seq - 1].ts)

    def _retry(self) -> None:
        if self._asked:
            self._tell("again", self._chance.choice(self._asked).name)

    # devices

    def _times(self, user: int) -> tuple[tuple[int, int | None], ...]:
        return periods(self.log).get(user, ())

    def _push(self) -> None:
        """The next entry, to somebody who is up to date so far."""
        user = self._chance.choice(USERS)
        seq = self._positions[user] + 1
        if seq <= visible_head(self._times(user), len(self.log)):
            entry = self.log[seq - 1]
            if is_within(self._times(user), seq):
                gone = any(
                    other.kind == DELETE and other.ref == (entry.ref if entry.kind == EDIT else seq)
                    for other in self.log
                )
                self._tell("saw", f"device {user}", user, attrs.evolve(entry, content=None) if gone else entry)
            self._take(user, seq)

    def _take(self, user: int, upto: int) -> None:
        self._positions[user] = upto
        self._devices[user] = {
            seq: record for seq, record in fold(self.log, upto).items() if is_within(self._times(user), seq)
        }
        self._tell("held", user, CONV, 1, upto)
        self._tell("reached", f"device {user}", user, CONV, upto, self._now)

    def _question(self) -> None:
        user = self._chance.choice(self._members())
        self._questions.append((next(self._names), user))
        self._tell("asks", self._questions[-1][0], user, CONV)

    def _page(self) -> None:
        """The answer of now to a question of before."""
        if self._questions:
            name, user = self._questions.pop(self._chance.randrange(len(self._questions)))
            self._tell("answers", name, self._catch_up(user))

    def _catch_up(self, user: int) -> int:
        upto, before = visible_head(self._times(user), len(self.log)), self._positions[user]
        self._take(user, upto)
        for record in self._devices[user].values():
            if record.rev > before:
                self._tell("recorded", f"device {user}", user, CONV, record)
        return upto

    def _mark(self) -> None:
        user = self._chance.choice(self._members())
        seq = self._chance.randint(1, len(self.log))
        self._tell("marked", user, CONV, seq)
        delivered, read = self._marks.get(user, (0, 0))
        read = max(read, seq)
        self._marks[user] = max(delivered, read, self._positions[user]), read
        self._tell("receipt", "device 1", CONV, user, *self._marks[user])

    def _holding(self, user: int, final: bool) -> Holding:
        marks = self._marks if final else None
        return Holding(f"device {user}", user, CONV, 1, self._positions[user], self._devices[user], marks, final)

    def _hold(self) -> None:
        self._tell("holds", self._holding(self._chance.choice(USERS), final=False))

    def _settle(self, read: bool) -> None:
        self._tell("healed", self._now)
        self._now += 60
        for user in USERS:
            if self._times(user):
                self._catch_up(user)
                self._tell("holds", self._holding(user, final=True))
        for entry in self.log if read else ():
            self._tell("logged", entry)
        if read:
            self._tell("headed", CONV, len(self.log))


def events(seed: int, steps: int, read: bool) -> list[tuple[str, tuple[Any, ...]]]:
    """The history of a right server: events of `History` with their arguments."""
    told: list[tuple[str, tuple[Any, ...]]] = []
    World(Random(seed), lambda event, *arguments: told.append((event, arguments))).live(steps, read)
    return told

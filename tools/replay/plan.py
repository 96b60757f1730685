"""Casts the nicks of a log as accounts and turns its happenings into steps.

* Whoever does something in the channel is in it: an account is added before its first step, and again after it left.
* A new nick keeps the account, and so does the old one: people come back to their names.
* A step waits for the account's step before it and, if it answers, for the step it answers. Nothing else orders two
  steps, so they may overlap.
"""

import enum
import itertools
from collections.abc import Iterator

import attrs

from tools.replay.log import Happening, Joined, Left, Log, Renamed, Spoke


class Deed(enum.Enum):
    ADD = enum.auto()
    SAY = enum.auto()
    LEAVE = enum.auto()


@attrs.frozen
class Step:
    """`account` is an index into Plan.accounts, `after` and `answers` into Plan.steps.

    `due` is in minutes
    from the first line of the log; the steps of one minute are spread over it.
    """

    deed: Deed
    account: int
    due: float
    text: str = ""
    after: int | None = None
    answers: int | None = None


@attrs.frozen
class Plan:
    """`accounts` are the first nicks of the accounts: their display names."""

    name: str
    accounts: tuple[str, ...]
    steps: tuple[Step, ...]


def plan(log: Log, limit: int | None = None) -> Plan:
    """The steps of the first `limit` happenings (None: all)."""
    casting = _Casting(log.happenings[0].minute)
    for happening in log.happenings[:limit]:
        casting.play(happening)
    return Plan(log.name, tuple(casting.names), tuple(_spread(casting.steps)))


def _spread(steps: list[Step]) -> Iterator[Step]:
    """Logs tell minutes; the steps of one minute get equal parts of it."""
    for minute, group in itertools.groupby(steps, key=lambda step: step.due):
        together = list(group)
        for place, step in enumerate(together):
            yield attrs.evolve(step, due=minute + place / len(together))


@attrs.define
class _Casting:
    start: int
    names: list[str] = attrs.Factory(list)
    steps: list[Step] = attrs.Factory(list)
    _account_of: dict[str, int] = attrs.Factory(dict)
    _inside: set[int] = attrs.Factory(set)
    _last_step: dict[int, int] = attrs.Factory(dict)
    _step_of_line: dict[int, int] = attrs.Factory(dict)

    def play(self, happening: Happening) -> None:
        account = self._enter(happening)
        match happening:
            case Spoke(line=line, text=text, answers=answers):
                answered = None if answers is None else self._step_of_line[answers]
                self._step_of_line[line] = self._add_step(Deed.SAY, account, happening.minute, text, answered)
            case Left():
                self._add_step(Deed.LEAVE, account, happening.minute)
                self._inside.remove(account)
            case Renamed(other=other):
                self._account_of[other] = account
            case Joined():
                pass

    def _enter(self, happening: Happening) -> int:
        account = self._account_of.get(happening.nick)
        if account is None:
            account = self._account_of[happening.nick] = len(self.names)
            self.names.append(happening.nick)
        if account not in self._inside:
            self._inside.add(account)
            self._add_step(Deed.ADD, account, happening.minute)
        return account

    def _add_step(self, deed: Deed, account: int, minute: int, text: str = "", answers: int | None = None) -> int:
        number = len(self.steps)
        self.steps.append(Step(deed, account, minute - self.start, text, self._last_step.get(account), answers))
        self._last_step[account] = number
        return number

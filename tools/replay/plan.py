"""Casts the nicks of a log as accounts and turns its happenings into steps.

* Whoever does something in the channel is in it: an account is added before its first step, and again after it left.
* Whoever answers a line was there to read it: he is added before that line was spoken. An answer to what was said while
  he was away is no reply, since he cannot have it.
* A new nick keeps the account, and so does the old one: people come back to their names.
* A step waits for the account's step before it, an answer for what it answers, and an answered line for the entrances
  of those who will answer it. Nothing else orders two steps, so they may overlap.
"""

import enum
import itertools
from collections.abc import Iterator, Mapping

import attrs

from tools.replay.log import Happening, Joined, Left, Log, Renamed, Spoke


class Deed(enum.Enum):
    ADD = enum.auto()
    SAY = enum.auto()
    LEAVE = enum.auto()


@attrs.frozen
class Step:
    """`account` is an index into Plan.accounts, `waits` and `answers` into Plan.steps.

    `due` is in minutes from the first line of the log; the steps of one minute are spread over it.
    """

    deed: Deed
    account: int
    due: float
    text: str = ""
    answers: int | None = None
    waits: frozenset[int] = frozenset()


@attrs.frozen
class Plan:
    """`accounts` are the first nicks of the accounts: their display names."""

    name: str
    accounts: tuple[str, ...]
    steps: tuple[Step, ...]


def plan(log: Log, limit: int | None = None) -> Plan:
    """The steps of the first `limit` happenings (None: all)."""
    happenings = log.happenings[:limit]
    casting = _cast(happenings, {})
    while casting.late:
        casting = _cast(happenings, casting.early | casting.late)
    return Plan(log.name, tuple(casting.names), tuple(_spread(casting.steps)))


def _cast(happenings: tuple[Happening, ...], early: Mapping[str, int]) -> "_Casting":
    casting = _Casting(happenings[0].minute, dict(early))
    for happening in happenings:
        casting.play(happening)
    return casting


def _spread(steps: list[Step]) -> Iterator[Step]:
    """Logs tell minutes; the steps of one minute get equal parts of it."""
    for minute, group in itertools.groupby(steps, key=lambda step: step.due):
        together = list(group)
        for place, step in enumerate(together):
            yield attrs.evolve(step, due=minute + place / len(together))


@attrs.define
class _Casting:
    """`early`: nicks that enter before a line, `late`: those that turned out to come too late for what they answer."""

    start: int
    early: dict[str, int]
    late: dict[str, int] = attrs.Factory(dict)
    names: list[str] = attrs.Factory(list)
    steps: list[Step] = attrs.Factory(list)
    _account_of: dict[str, int] = attrs.Factory(dict)
    _inside: set[int] = attrs.Factory(set)
    _entrances: dict[int, list[int]] = attrs.Factory(dict)
    _last_step: dict[int, int] = attrs.Factory(dict)
    _step_of_line: dict[int, int] = attrs.Factory(dict)

    def play(self, happening: Happening) -> None:
        for nick in [nick for nick, line in self.early.items() if line == happening.line]:
            self._enter(nick, happening.minute)
        account = self._enter(happening.nick, happening.minute)
        match happening:
            case Spoke():
                self._speak(account, happening)
            case Left():
                self._add_step(Deed.LEAVE, account, happening.minute)
                self._inside.remove(account)
            case Renamed(other=other):
                self._account_of[other] = account
            case Joined():
                pass

    def _enter(self, nick: str, minute: int) -> int:
        account = self._account_of.get(nick)
        if account is None:
            account = self._account_of[nick] = len(self.names)
            self.names.append(nick)
        if account not in self._inside:
            self._inside.add(account)
            entrance = self._add_step(Deed.ADD, account, minute)
            self._entrances.setdefault(account, []).append(entrance)
        return account

    def _speak(self, account: int, spoke: Spoke) -> None:
        answered = None if spoke.answers is None else self._answered(account, spoke.answers)
        self._step_of_line[spoke.line] = self._add_step(Deed.SAY, account, spoke.minute, spoke.text, answered)

    def _answered(self, account: int, line: int) -> int | None:
        """The step that is answered, which from now on waits for the entrance; None if it came before."""
        step, entrances = self._step_of_line[line], self._entrances[account]
        if entrances[-1] < step:
            self.steps[step] = attrs.evolve(self.steps[step], waits=self.steps[step].waits | {entrances[-1]})
            return step
        if len(entrances) == 1:
            name = self.names[account]
            self.late[name] = min(line, self.late.get(name, line))
        return None

    def _add_step(self, deed: Deed, account: int, minute: int, text: str = "", answers: int | None = None) -> int:
        number = len(self.steps)
        waits = frozenset(wait for wait in (self._last_step.get(account), answers) if wait is not None)
        self.steps.append(Step(deed, account, minute - self.start, text, answers, waits))
        self._last_step[account] = number
        return number

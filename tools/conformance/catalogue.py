"""The lists of checks, for servers and for clients: each a function with the rules of docs/protocol.md that it shows.

    @check("4.4", "4-14")
    def even_extras_are_not_executed(lab): ...

is the check `4.4/even-extras-are-not-executed`; the first paragraph of its docstring is its title. A rule that says
SHOULD makes a check with `must=False`: who fails it still conforms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

LEVELS = ("L0", "L1", "L2")
TRANSPORTS = {"stream": ("wirechat", "wirechats"), "websocket": ("ws", "wss"), "tls": ("wirechats", "wss")}

Function = Callable[[Any], None]
"""Of a Lab for servers, of a Stage for clients."""


@dataclass(frozen=True)
class Check:
    """One named check.

    `level`: the lowest level that includes it (section 19). `slow`: it waits longer than five seconds.
    `needs`: a key of TRANSPORTS without which it makes no sense.
    """

    id: str
    section: str
    rules: tuple[str, ...]
    title: str
    function: Function
    level: str = "L0"
    must: bool = True
    slow: bool = False
    needs: str | None = None


Bank = dict[str, Check]

CHECKS: Bank = {}
CLIENT_CHECKS: Bank = {}


def check(
    section: str,
    *rules: str,
    level: str = "L0",
    must: bool = True,
    slow: bool = False,
    needs: str | None = None,
    bank: Bank = CHECKS,
) -> Callable[[Function], Function]:
    """Enters a function into a list."""

    def enter(function: Function) -> Function:
        name = f"{section}/{function.__name__.replace('_', '-')}"
        title = " ".join((function.__doc__ or "").split("\n\n")[0].split())
        add(Check(name, section, rules, title, function, level, must, slow, needs), bank)
        return function

    return enter


def add(new: Check, bank: Bank = CHECKS) -> None:
    """Enters a check that is made from data. Raises ValueError when its id is taken."""
    if new.id in bank:
        raise ValueError(f"two checks are called {new.id}")
    bank[new.id] = new


def chosen(level: str = "L2", only: Sequence[str] = (), *, quick: bool = False, bank: Bank = CHECKS) -> list[Check]:
    """The checks of a level, or those named; a name that ends in / or * stands for all that begin so.

    Raises KeyError with the name that fits none.
    """
    within = [each for each in bank.values() if LEVELS.index(each.level) <= LEVELS.index(level)]
    if only:
        within = [bank[name] for name in dict.fromkeys(name for pattern in only for name in _matching(pattern, bank))]
    return [each for each in within if not (quick and each.slow)]


def _matching(pattern: str, bank: Bank) -> Iterable[str]:
    start = pattern.rstrip("*")
    names = [name for name in bank if name == pattern or (pattern[-1:] in "/*" and name.startswith(start))]
    if not names:
        raise KeyError(pattern)
    return names


def order(checks: Iterable[Check]) -> list[Check]:
    """As they are told to people: by section, then as they stand in the source."""
    return sorted(checks, key=lambda each: [int(number) for number in each.section.split(".")])

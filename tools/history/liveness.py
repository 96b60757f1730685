"""When all faults are over, everybody comes to the end of every log, and soon (P5, P6, invariant 13).

Each event costs one step. Memory: two numbers for each conversation of each device.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from tools.history.entries import Blame, Periods, visible_head

WITHIN_SECONDS = 120.0


class Liveness:
    """How far devices have come, and when."""

    def __init__(self, blame: Blame) -> None:
        self._blame = blame
        self._users: dict[Hashable, int] = {}
        self._reached: dict[tuple[Hashable, int], tuple[int, float]] = {}
        self._until: float | None = None

    def healed(self, at: float, within: float) -> None:
        self._until = at + within

    def reached(self, device: Hashable, user: int, conv: int, pos: int, at: float) -> None:
        self._users[device] = user
        if pos > self._reached.get((device, conv), (-1, 0.0))[0]:
            self._reached[device, conv] = (pos, at)

    def retired(self, device: Hashable) -> None:
        self._users.pop(device, None)

    def restored(self, conv: int) -> None:
        """Devices begin this conversation anew."""
        self._reached = {key: reached for key, reached in self._reached.items() if key[1] != conv}

    def finish(self, conv: int, periods: Mapping[int, Periods], head: int) -> None:
        """Only when somebody said that the faults are over."""
        if self._until is None:
            return
        for device, user in self._users.items():
            end = visible_head(periods.get(user, ()), head)
            pos, at = self._reached.get((device, conv), (0, 0.0))
            if pos < end:
                self._blame("P5", "does not converge", f"{device} is at {conv}/{pos}, the log is at {end}")
            elif end and at > self._until:
                self._blame("P5", "converges late", f"{device} came to {conv}/{end} {at - self._until:.1f} s too late")

"""A device is connected once, on whatever node, and not at all once it was revoked: every node knows soon after the
faults have ended.
"""

from __future__ import annotations

from collections.abc import Iterable

import trio

from tools.history.checker import History, Violation
from tools.simulate.privacy import Privacy
from wirechat.server.session import Session

KNOWN_SECONDS = 5.0
"""After this a node that has its store has passed over it."""

Sessions = tuple[tuple[str, int], ...]
"""(node, number of the login)."""


class Owners:
    """Looks at the sessions of all nodes, now and then."""

    def __init__(self, privacy: Privacy, history: History) -> None:
        self._privacy = privacy
        self._history = history
        self._seen: dict[tuple[int, Sessions], float] = {}
        """What is too much -> since when."""

    def look(self, sessions: Iterable[tuple[str, Session]]) -> list[str]:
        """(node, session) of all nodes now. Returns what must not stay so, and blames what has."""
        found: list[str] = []
        now, before = trio.current_time(), self._seen
        self._seen = {}
        for device, held in _by_device(sessions).items():
            if len(held) > 1 or self._privacy.is_revoked(device):
                since = self._seen[device, held] = before.get((device, held), now)
                state = "revoked" if self._privacy.is_revoked(device) else "connected twice"
                text = f"device {device} is {state}: logins {held}"
                if now > since + KNOWN_SECONDS:
                    self._history.violations.append(Violation("P9", "two owners of a device", text))
                found.append(text)
        return found


def _by_device(sessions: Iterable[tuple[str, Session]]) -> dict[int, Sessions]:
    found: dict[int, Sessions] = {}
    for node, session in sessions:
        found[session.device] = (*found.get(session.device, ()), (node, session.login))
    return found

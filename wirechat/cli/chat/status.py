"""What is said about the connection.

Rules: the state is never hidden: whoever looks knows whether the others can read what he writes.
"""

from collections.abc import Callable

import attrs

from wirechat.client import Connected, Disconnected, Event, Resynced

__all__ = ["Status"]


@attrs.define
class Status:
    """Follows the events of a client. `now`: seconds of any steady clock."""

    now: Callable[[], float]
    connected: bool = False
    caught_up: bool = False
    reason: str = ""
    retry_at: float | None = None

    @property
    def catching_up(self) -> bool:
        """Connected, and what came meanwhile is on its way."""
        return self.connected and not self.caught_up

    def happened(self, event: Event) -> None:
        """Takes in what an event says about the connection."""
        if isinstance(event, Connected):
            self.connected, self.caught_up, self.reason, self.retry_at = True, False, "", None
        elif isinstance(event, Disconnected):
            self.connected = self.caught_up = False
            self.reason = event.error.message
            self.retry_at = None if event.retry_seconds is None else self.now() + event.retry_seconds
        elif isinstance(event, Resynced):
            self.caught_up = False

    def line(self, waiting: int) -> str:
        """One line for people; `waiting`: how many entries are to be sent."""
        queue = f" · {waiting} waiting to be sent" if waiting else ""
        if self.connected:
            return f"● connected{queue}" if self.caught_up else f"◐ catching up{queue}"
        wait = 0.0 if self.retry_at is None else max(0.0, self.retry_at - self.now())
        when = f"next attempt in {wait:.0f} s" if wait >= 1 else "connecting"
        why = f" · {self.reason}" if self.reason else ""  # last: it may be long
        return f"○ offline · {when}{queue}{why}"

"""How long to wait before the next connection.

Full jitter: a uniformly random time below a ceiling that doubles, so that clients who lost one server do not come back
together. A connection that lived for a while counts as success and starts over.
"""

from collections.abc import Callable

import attrs

__all__ = ["FIRST_SECONDS", "LIVE_SECONDS", "MAX_SECONDS", "Backoff"]

FIRST_SECONDS = 0.5
MAX_SECONDS = 60.0
LIVE_SECONDS = 60.0  # a connection that lived this long was a good one


@attrs.define
class Backoff:
    """Delays between attempts, in seconds."""

    uniform: Callable[[float, float], float]
    ceiling: float = FIRST_SECONDS

    def lived(self, seconds: float) -> None:
        """The last connection lived this long."""
        if seconds >= LIVE_SECONDS:
            self.ceiling = FIRST_SECONDS

    def delay(self, at_least: float = 0.0) -> float:
        """The next delay; `at_least` is what the server asked for."""
        ceiling, self.ceiling = self.ceiling, min(self.ceiling * 2, MAX_SECONDS)
        return at_least + self.uniform(0.0, ceiling)

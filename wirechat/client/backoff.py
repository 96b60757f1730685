"""How long to wait before the next attempt.

Full jitter: a uniformly random time below a ceiling that doubles with each failure, so that clients who lost one
server do not come back together.
"""

from collections.abc import Callable

import attrs

__all__ = ["FIRST_SECONDS", "LIVE_SECONDS", "MAX_SECONDS", "Backoff", "Uniform", "jitter"]

FIRST_SECONDS = 0.5
MAX_SECONDS = 60.0
LIVE_SECONDS = 60.0  # a connection that lived this long was a good one

Uniform = Callable[[float, float], float]


def jitter(uniform: Uniform, failures: int) -> float:
    """Seconds to wait after so many failures before this one."""
    return uniform(0.0, min(FIRST_SECONDS * 2 ** min(failures, 10), MAX_SECONDS))


@attrs.define
class Backoff:
    """Delays between connections, in seconds."""

    uniform: Uniform
    failures: int = 0

    def lived(self, seconds: float) -> None:
        """The last connection lived this long."""
        if seconds >= LIVE_SECONDS:
            self.failures = 0

    def delay(self, at_least: float = 0.0) -> float:
        """The next delay; `at_least` is what the server asked for."""
        self.failures += 1
        return at_least + jitter(self.uniform, self.failures - 1)

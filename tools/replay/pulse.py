"""Whether anything still moves. Servers may be restarted, connections may break; what may not be is that nothing comes
of it.
"""

from collections.abc import Awaitable, Callable

import attrs
import trio

STALLED_SECONDS = 60.0


@attrs.define
class Pulse:
    """`beat` at every bit of progress, and while there is nothing to wait for."""

    stalled_seconds: float
    _scope: trio.CancelScope = attrs.Factory(trio.CancelScope)

    def beat(self) -> None:
        """Something moved."""
        self._scope.deadline = trio.current_time() + self.stalled_seconds

    async def guard(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Runs `work`; False when it was given up because nothing moved for `stalled_seconds`. One at a time."""
        with trio.CancelScope() as self._scope:
            self.beat()
            await work()
        return not self._scope.cancelled_caught

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

    stalled_seconds: float = STALLED_SECONDS
    _beaten_at: float = attrs.Factory(trio.current_time)

    def beat(self) -> None:
        """Something moved."""
        self._beaten_at = trio.current_time()

    async def guard(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Runs `work`; False when it was given up because nothing moved for `stalled_seconds`."""
        self.beat()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, nursery.cancel_scope)
            await work()
            nursery.cancel_scope.cancel()
            return True
        return False

    async def _watch(self, scope: trio.CancelScope) -> None:
        deadline = self._beaten_at + self.stalled_seconds
        while deadline > trio.current_time():
            await trio.sleep_until(deadline)
            deadline = self._beaten_at + self.stalled_seconds
        scope.cancel()

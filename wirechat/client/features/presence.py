"""Who is there and who is typing. Nothing of it is durable; while not connected nothing is known."""

from collections.abc import Callable, Iterable

import trio

from wirechat import wire
from wirechat.client.calls import Call, check
from wirechat.client.sync import Sync
from wirechat.client.watching import Watching

__all__ = ["Presence"]


class Presence:
    """client.presence"""

    def __init__(self, call: Call, sync: Sync, watching: Watching, tell: Callable[[wire.Message], None]) -> None:
        self._call = call
        self._sync = sync
        self._watching = watching
        self._tell = tell
        self._one_at_a_time = trio.Lock()

    async def watch(self, users: Iterable[int]) -> dict[int, wire.Status]:
        """Watches these users and no others any more, on this connection and all that follow; at most 256.

        Returns how it is now, as far as one may know; PresenceChanged says what changes later. Raises Refused.
        """
        request = wire.PresenceSub(0, tuple(dict.fromkeys(users)))
        check(request)
        async with self._one_at_a_time:  # a repeated request must not replace the one of a later call
            self._watching.want(request.users)
            reply = await self._call(request, wire.PresenceSubOk, self._told)
        return {status.user: status for status in reply.users}

    def get(self, user: int) -> wire.Status | None:
        """What was told last of a watched user; None while nothing is known of him."""
        return self._watching.statuses.get(user)

    def active(self, on: bool) -> None:
        """Whether somebody looks at this device, as at first: only then one counts as there and is told of others."""
        if on != self._watching.active:
            self._watching.active = on
            self._tell(wire.State(on))

    def typing(self, conv: int, on: bool = True) -> None:
        """One writes in a conversation, or has given it up; sending says that by itself. To be called at every key:
        it is passed on as often as it makes sense, and lost while not connected.
        """
        if conv in self._sync.logs and self._watching.may_say(conv, on, trio.current_time()):
            self._tell(wire.Typing(conv, on))

    def typers(self, conv: int) -> tuple[int, ...]:
        """Who is typing there; TypingChanged says when that changes."""
        return self._watching.typing(conv)

    def _told(self, reply: wire.PresenceSubOk) -> None:
        self._sync.news += self._watching.told(reply.users)

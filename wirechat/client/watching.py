"""Whom this device watches, who is there and who types, as far as it was told on this connection.

Rules: nothing here is durable, and nothing outlives a connection but the wishes: whom to watch, and whether somebody
looks at this device. No clock, no network; methods that learn something return the events to publish.
"""

from collections.abc import Iterable

from wirechat import wire
from wirechat.client.events import Event, PresenceChanged, TypingChanged

__all__ = ["TYPING_SECONDS", "Watching"]

TYPING_SECONDS = 3.0  # a client says no more often that its user types


class Watching:
    """`wanted` and `active` are wishes; `statuses` is what was told."""

    def __init__(self) -> None:
        self.wanted: tuple[int, ...] = ()
        self.active = True
        self.statuses: dict[int, wire.Status] = {}
        self._typing: dict[tuple[int, int], float] = {}
        """(conversation, user) -> until when he counts as typing."""
        self._said: dict[int, tuple[bool, float]] = {}
        """Conversation -> what was said last of this user himself, and when."""

    def want(self, users: tuple[int, ...]) -> None:
        """Watches these from now on."""
        self.wanted = users
        self.statuses = {user: status for user, status in self.statuses.items() if user in users}

    def told(self, statuses: Iterable[wire.Status]) -> list[Event]:
        """The server says how it is now."""
        news = tuple(each for each in statuses if each.user in self.wanted and self.statuses.get(each.user) != each)
        self.statuses.update((status.user, status) for status in news)
        return [PresenceChanged(news)] if news else []

    # typing

    def may_say(self, conv: int, on: bool, now: float) -> bool:
        """Whether it is time to say that this user types: it is something else, or was said a while ago."""
        was, when = self._said.get(conv, (False, now))
        if on == was and (not on or now - when < TYPING_SECONDS):
            return False
        self._said[conv] = (on, now)
        return True

    def sent(self, conv: int) -> None:
        """A message of this user goes out: it says that he does not type any more."""
        self._said.pop(conv, None)

    def typed(self, message: wire.Typing, now: float) -> list[Event]:
        """The server says that somebody types, or does not any more."""
        if message.user is None:
            return []
        if not message.on:
            return self._stopped(message.conv, message.user)
        known = (message.conv, message.user) in self._typing
        self._typing[message.conv, message.user] = now + wire.limits.TYPING_MS / 1000
        return [] if known else [TypingChanged(message.conv, message.user, True)]

    def wrote(self, conv: int, user: int) -> list[Event]:
        """A message of somebody came: he has finished typing it."""
        return self._stopped(conv, user)

    def expired(self, now: float) -> list[Event]:
        """Time has passed."""
        over = [place for place, until in self._typing.items() if until <= now]
        return [event for place in over for event in self._stopped(*place)]

    def disconnected(self) -> list[Event]:
        """Nothing is known any more."""
        self.statuses.clear()
        self._said.clear()
        return [event for place in list(self._typing) for event in self._stopped(*place)]

    def typing(self, conv: int) -> tuple[int, ...]:
        """Who types there, the first first."""
        return tuple(user for where, user in self._typing if where == conv)

    @property
    def next_expiry(self) -> float | None:
        """When `expired` has something to say."""
        return min(self._typing.values(), default=None)

    def _stopped(self, conv: int, user: int) -> list[Event]:
        if self._typing.pop((conv, user), None) is None:
            return []
        return [TypingChanged(conv, user, False)]

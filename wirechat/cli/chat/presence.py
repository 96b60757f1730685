"""Who is there, and who is writing, in words.

Rules: what is told may be lost or late, so it is shown and never relied on.
"""

import datetime

from wirechat.cli.chat.people import People
from wirechat.cli.chat.when import ago
from wirechat.client import Client

__all__ = ["Presence"]

MANY = "several people are writing …"


class Presence:
    """What the client was told of people."""

    def __init__(self, client: Client, people: People) -> None:
        self._told = client.presence
        self._people = people

    def online(self, user: int | None) -> bool:
        """Somebody looks at one of this user's devices."""
        known = None if user is None else self._told.get(user)
        return known is not None and known.online

    def line(self, user: int, now: datetime.datetime) -> str:
        """`online`, `last seen 5 minutes ago`, or nothing when it is not known or not told."""
        known = self._told.get(user)
        if known is None:
            return ""
        return "online" if known.online else f"last seen {ago(known.seen, now)}" if known.seen is not None else ""

    def writing(self, conv: int) -> str:
        """Who is writing in this conversation, as a line; empty for nobody."""
        names = [self._people.name(user) for user in self._told.typers(conv) if user != self._people.me]
        if len(names) > 2:
            return MANY
        return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} writing …" if names else ""

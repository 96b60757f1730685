"""Who is who: names and colours.

Rules: a name is known or asked for, never waited for. A colour depends on the user id alone, so that it is the same
everywhere and always.
"""

from collections.abc import Callable, Collection, Iterable

from wirechat import wire

__all__ = ["COLOURS", "MINE", "People"]

MINE = "#9ece6a"
COLOURS = (
    *("#7aa2f7", "#f7768e", "#e0af68", "#bb9af7", "#7dcfff", "#ff9e64"),
    *("#73daca", "#f5a3d7", "#a9b665", "#d8a7b1", "#8ec07c", "#c3a6ff"),
)
MULTIPLIER = 2654435761  # Knuth's: ids that lie close together get colours that do not

Known = Callable[[Iterable[int]], dict[int, wire.User]]


class People:
    """Accounts by id. `known` looks into the cache; who is not there is put into `wanted`."""

    def __init__(self, me: int, known: Known) -> None:
        self.me = me
        self.wanted: set[int] = set()
        self._known = known
        self._users: dict[int, wire.User] = {}

    def user(self, user: int) -> wire.User | None:
        """The account, if it is known."""
        found = self._users.get(user) or self._known([user]).get(user)
        if found is None:
            self.wanted.add(user)
        else:
            self._users[user] = found
            self.wanted.discard(user)
        return found

    def forget(self) -> None:
        """Accounts may have changed: each is looked up anew, once."""
        self._users.clear()

    def handle(self, user: int) -> str | None:
        """The unique name."""
        found = self.user(user)
        return None if found is None else found.handle

    def name(self, user: int) -> str:
        """What to call somebody."""
        found = self.user(user)
        return f"user {user % 10000:04}" if found is None else found.name or found.handle

    def names(self, users: Collection[int]) -> str:
        """`Alice, Bob and you`; oneself comes last."""
        others = [self.name(user) for user in users if user != self.me]
        listed = [*others, "you"] if len(others) < len(users) else others
        return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} and {listed[-1]}" if listed else "nobody"

    def colour(self, user: int) -> str:
        """The same for ever; one's own is nobody else's."""
        if user == self.me:
            return MINE
        return COLOURS[(user * MULTIPLIER & 0xFFFFFFFF) * len(COLOURS) >> 32]

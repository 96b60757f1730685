"""What a node tells the other nodes, and knows of them. Whatever gets lost costs time, never data: the pass over the
store finds it within a second.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class Others(Protocol):
    """The other nodes. Telling never waits."""

    @property
    def alone(self) -> bool:
        """There are none and never will be."""

    def is_there(self, user: int) -> bool:
        """Somebody looks at one of his sessions on another node."""

    def has(self, user: int, device: int) -> bool:
        """This device of his is connected to another node."""

    def moved(self, user: int) -> None:
        """His sessions on this node are others now, or are looked at or not."""

    def news(self, conv: int, head: int = 0, rrev: int = 0, leaving: Iterable[int] = ()) -> None:
        """A conversation has an entry `head`, or receipts up to `rrev`, for its members and those `leaving`."""

    def logged_in(self, user: int, device: int, login: int) -> None:
        """A device logged in on this node, for the `login`-th time."""

    def revoked(self, devices: Iterable[int]) -> None:
        """These devices were revoked."""

    def changed(self, user: int) -> None:
        """The profile, the audience or the blocks of a user are others now."""

    def typing(self, conv: int, on: bool, user: int, recipients: Iterable[int]) -> None:
        """A user types, and these may see it."""

    def flush(self) -> None:
        """Send what was told since."""


class Nobody:
    """See `Others`: this node is alone."""

    alone = True

    def is_there(self, user: int) -> bool:
        """No."""
        return False

    def has(self, user: int, device: int) -> bool:
        """No."""
        return False

    def moved(self, user: int) -> None:
        """To nobody."""

    def news(self, conv: int, head: int = 0, rrev: int = 0, leaving: Iterable[int] = ()) -> None:
        """To nobody."""

    def logged_in(self, user: int, device: int, login: int) -> None:
        """To nobody."""

    def revoked(self, devices: Iterable[int]) -> None:
        """To nobody."""

    def changed(self, user: int) -> None:
        """To nobody."""

    def typing(self, conv: int, on: bool, user: int, recipients: Iterable[int]) -> None:
        """To nobody."""

    def flush(self) -> None:
        """Nothing."""

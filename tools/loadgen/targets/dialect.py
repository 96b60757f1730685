"""How one person speaks to another kind of server: bytes in, texts out. Knows no socket, no clock and no judge.

A dialect does what a real client of that server does for the best guarantee it gives, and no more: it acknowledges what
it is delivered where the protocol has that, answers pings, and counts which of its own texts the server has taken over.

Rules: texts are numbered from 1 in the order they are said. A text ends up in `texts` as often as it arrives, the own
ones of a group too where the server reflects them; who cares finds out by what the texts say.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import attrs


class Refused(Exception):
    """The server does not let us do what we came for, in one line."""


@attrs.frozen
class Person:
    """Who speaks.

    groups      those it is in
    inbox       whether others write to it alone
    """

    name: str
    user: str = ""
    password: str = ""
    groups: tuple[str, ...] = ()
    inbox: bool = True


class Dialect(ABC):
    """One connection."""

    def __init__(self, person: Person, host: str) -> None:
        """`host`: what the server calls itself."""
        self.person = person
        self.host = host
        self.is_live = False
        """Logged in, and everything that is meant for it comes."""
        self.said = 0
        """The number of the last text it said."""
        self.acknowledged: list[int] = []
        """Numbers of texts that the server has taken over. The reader empties it."""
        self.texts: list[bytes] = []
        """What arrived. The reader empties it."""
        self.refusals = 0
        """Texts that the server answered with an error."""

    @abstractmethod
    def begin(self) -> bytes:
        """The first bytes once the connection stands; may be none."""

    @abstractmethod
    def receive(self, data: bytes) -> bytes:
        """Something arrived; returns what has to be sent now. Raises Refused."""

    @abstractmethod
    def address(self, name: str, group: bool) -> bytes:
        """Of a person or a group, for `say`."""

    @abstractmethod
    def say(self, address: bytes, texts: Sequence[bytes]) -> bytes:
        """The bytes that send these texts."""

"""The seam between a load and what it is put on: what activities and workers need of people, whatever they speak.

`crowd` has people who speak our own protocol, `targets.crowd` those who speak that of another server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from tools.loadgen.loop import Loop
from tools.loadgen.measures import Measures


class Waiting(Protocol):
    """A text under way."""

    due: float
    """When it was meant to be sent, in monotonic seconds."""


class Member(Protocol):
    """One person with one connection."""

    is_live: bool
    pushes: int
    """Deliveries so far."""

    @property
    def traffic(self) -> tuple[int, int]:
        """Bytes sent and received so far."""


class Conversation(Protocol):
    """Where people talk."""

    head: int
    """Texts that were acknowledged in it."""

    @property
    def members(self) -> Sequence[Any]:
        """Who is in it; `say` takes them."""

    @property
    def under_way(self) -> Mapping[int, Waiting]:
        """Texts by token for which an acknowledgement or a delivery is still to come."""

    def say(self, sender: Any, token: int, due: float, done: Callable[[], None]) -> None:
        """`sender` says the text of this token, meant for `due`; `done` is called when everybody has it."""


class People(Protocol):
    """The people of one process and their conversations."""

    loop: Loop
    measures: Measures
    ready: bool
    made: int
    """Steps taken until `ready`, of `steps`."""
    failure: str | None
    """Why they will never be ready, in one line."""

    @property
    def steps(self) -> int: ...

    @property
    def complaint(self) -> str:
        """The last thing that went wrong before they were ready."""

    @property
    def peers(self) -> Sequence[Member]: ...

    @property
    def talks(self) -> Sequence[Conversation]: ...

    @property
    def under_way(self) -> int:
        """Texts that somebody still waits for."""

    @property
    def is_settled(self) -> bool:
        """Nothing is to be waited for any more."""

    def begin(self) -> None:
        """Make everything."""

    def waiting(self) -> Iterable[str]:
        """What somebody still waits for and must not, in one line for each conversation."""

    def lacking(self) -> Iterable[str]:
        """Who does not have everything and should, in one line each."""

    def close(self) -> None:
        """Everybody leaves."""

"""Forwards: which message a text comes from, and which messages have a copy of it.

Every text of a simulation is unique, so whoever said it first is its author.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from tools.history.entries import EDIT, MSG, Entry, Periods, is_within

Place = tuple[int, int]
"""(conv, seq) of a message."""


class Copies:
    """Every text that was said, with the entry that said it first and the messages that have it."""

    def __init__(self) -> None:
        self._said: dict[str, Entry] = {}
        self._holders: defaultdict[str, set[Place]] = defaultdict(set)
        self._copied: list[Entry] = []

    def take(self, entry: Entry) -> None:
        """An entry of a log. Copies wait for `wrong`, when all logs are known as far as they are."""
        if entry.kind not in (MSG, EDIT) or not isinstance(entry.content, str):
            return
        place = (entry.conv, entry.ref if entry.kind == EDIT and entry.ref is not None else entry.seq)
        self._holders[entry.content].add(place)
        if entry.origin is None:
            self._said.setdefault(entry.content, entry)
        else:
            self._copied.append(entry)

    def holders(self, text: str) -> set[Place]:
        """The messages that have or had this text."""
        return self._holders[text]

    def wrong(
        self, message: Callable[[Place], Entry], times: Callable[[int, int], Periods], source: Callable[[Entry], Place]
    ) -> list[str]:
        """What is wrong with the copies since the last call.

        message(place)      the entry of a message
        times(conv, user)   when this user was a member
        source(copy)        which message its sender asked for
        """
        copied, self._copied = self._copied, []
        found = []
        for copy in copied:
            assert isinstance(copy.content, str)
            said = self._said.get(copy.content)
            if said is None:
                found.append(f"{copy} says what nobody has said")
                continue
            first = message((said.conv, said.ref)) if said.kind == EDIT and said.ref is not None else said
            if copy.origin != (first.sender, first.ts):
                found.append(f"{copy} should come from {first}")
            conv, seq = source(copy)
            seen = times(conv, copy.sender)
            if not is_within(seen, seq):
                found.append(f"{copy} is of {conv}/{seq}, which its sender does not see")
            elif said.conv == conv and said.kind == EDIT and 0 < (seen[-1][1] or 0) < said.seq:
                found.append(f"{copy} says what {conv}/{seq} was changed to after its sender had left")
        return found

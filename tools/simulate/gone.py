"""P8: one second after a delete was acknowledged, no byte of what was deleted leaves the server any more."""

from __future__ import annotations

import math
from collections.abc import Sequence

import trio

from tools.history.checker import History, Violation
from tools.history.entries import EDIT
from tools.simulate.truth import Truth

GRACE_SECONDS = 1.0


class Gone:
    """Texts that must not be seen again. Every text of a simulation is unique, so that its bytes betray it. A text that
    was forwarded is gone when all its copies are.
    """

    def __init__(self, truth: Truth, history: History) -> None:
        self._truth = truth
        self._history = history
        self._since: dict[tuple[int, int], float] = {}
        """(conv, seq) of a message -> when its delete was acknowledged."""
        self._texts: dict[str, bytes] = {}

    def restored(self) -> None:
        """The data is about to be older: what was deleted since is there again."""
        self._since.clear()
        self._texts.clear()

    def acknowledged(self, conv: int, ref: int) -> None:
        """The delete of this message was acknowledged just now."""
        self._since.setdefault((conv, ref), trio.current_time())
        for entry in self._truth.log(conv):
            told = entry.seq == ref or (entry.kind == EDIT and entry.ref == ref)
            if told and isinstance(entry.content, str):
                self._texts[entry.content] = entry.content.encode()

    def leaving(self, frames: Sequence[bytes], awake_since: float) -> None:
        """A server hands these to a socket. What it had in its hands when it was stopped it may still let go: it cannot
        know how long it stood still.
        """
        now = trio.current_time()
        for text, octets in self._texts.items():
            if not any(octets in frame for frame in frames):
                continue
            since = self._gone(text)
            if now > max(since, awake_since) + GRACE_SECONDS:
                detail = f"{text[:20]!r} was sent {now - since:.1f} s after its delete was acknowledged"
                self._history.violations.append(Violation("P8", "deleted and yet there", detail))

    def _gone(self, text: str) -> float:
        """When the delete of the last message that had this text was acknowledged; infinite while there is one."""
        return max(self._since.get(place, math.inf) for place in self._truth.copies.holders(text))

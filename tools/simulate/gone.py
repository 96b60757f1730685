"""P8: one second after a delete was acknowledged, no byte of what was deleted leaves the server any more."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from tools.simulate.history import History, Violation
from tools.simulate.reference import EDIT
from tools.simulate.truth import Truth

GRACE_SECONDS = 1.0


class Gone:
    """Texts that must not be seen again. Every text of a simulation is unique, so that its bytes betray it."""

    def __init__(self, truth: Truth, history: History) -> None:
        self._truth = truth
        self._history = history
        self._since: dict[bytes, float] = {}

    def acknowledged(self, conv: int, ref: int) -> None:
        """The delete of this message was acknowledged just now."""
        for entry in self._truth.log(conv):
            told = entry.seq == ref or (entry.kind == EDIT and entry.ref == ref)
            if told and isinstance(entry.content, str):
                self._since.setdefault(entry.content.encode(), trio.current_time())

    def leaving(self, frames: Sequence[bytes]) -> None:
        """The server hands these to a socket."""
        now = trio.current_time()
        for text, since in self._since.items():
            if now > since + GRACE_SECONDS and any(text in frame for frame in frames):
                detail = f"{text[:20]!r} was sent {now - since:.1f} s after its delete was acknowledged"
                self._history.violations.append(Violation("P8", "deleted and yet there", detail))

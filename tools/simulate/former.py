"""P9: soon after somebody has left a conversation, on whatever node, no node tells him any more who types in it.

A node may learn late what was done on another: from a hint, or from its next pass.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio

from tools.history.checker import History, Violation
from tools.simulate.truth import Truth
from wirechat import wire

LEARNED_SECONDS = 5.0
"""After this a node that has its store has passed over it, even if that failed now and then."""
CODE_AT = 5
"""Where the code of a frame stands that is below 128: after length and array header."""


class Former:
    """Listens to what nodes hand to sockets."""

    def __init__(self, truth: Truth, history: History) -> None:
        self._truth = truth
        self._history = history

    def leaving(self, user: int, frames: Sequence[bytes], informed_since: float) -> None:
        """A node hands these to a socket of this user; it has had its store since then."""
        for frame in frames:
            if frame[CODE_AT] == wire.Typing.CODE:
                self._check(user, wire.decode(frame[4:], side=wire.SERVER), informed_since)

    def _check(self, user: int, typing: wire.Message, informed_since: float) -> None:
        assert isinstance(typing, wire.Typing)
        left = self._truth.left(typing.conv, user)
        if left is not None and trio.current_time() > max(left.when, informed_since) + LEARNED_SECONDS:
            detail = f"{typing} was sent {trio.current_time() - left.when:.1f} s after he had left"
            self._history.violations.append(Violation("P9", "typing to who has left", detail))

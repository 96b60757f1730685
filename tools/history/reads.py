"""What is read is never older than what was known before it was asked for: not than what was acknowledged to anybody
(invariant 6, read your writes), not than what this user was shown, by whatever device, connection or node (invariant 7,
monotonic reads). Both follow from P5: the store is one, and an answer comes from a state of it that is not past.

Each event costs one step. Memory: a number for each user and conversation, and each question that is open.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable

import attrs

from tools.history.entries import Blame


@attrs.frozen
class _Question:
    user: int
    conv: int
    acknowledged: int
    """To anybody, before it was asked."""
    known: int
    """To this user, before he asked."""

    def below(self, head: int) -> _Question:
        """What of it stands up to `head`."""
        return attrs.evolve(self, acknowledged=min(self.acknowledged, head), known=min(self.known, head))


class Reads:
    """Questions about a log, and how far into it the answers reach."""

    def __init__(self, blame: Blame) -> None:
        self._blame = blame
        self._known: Counter[tuple[int, int]] = Counter()
        self._open: dict[Hashable, _Question] = {}
        self._short: list[tuple[Hashable, _Question, int]] = []  # excused if the user had left by then

    def shown(self, user: int, conv: int, seq: int) -> None:
        self._known[user, conv] = max(self._known[user, conv], seq)

    def asks(self, name: Hashable, user: int, conv: int, acknowledged: int) -> None:
        self._open[name] = _Question(user, conv, acknowledged, self._known[user, conv])

    def answers(self, name: Hashable, upto: int) -> None:
        question = self._open.pop(name)
        self.shown(question.user, question.conv, upto)
        if upto < max(question.acknowledged, question.known):
            self._short.append((name, question, upto))

    def restored(self, conv: int, head: int) -> None:
        """What was known above `head` is no more; nor who had left there, for whom an answer was long enough."""
        for user, where in self._known:
            if where == conv:
                self._known[user, where] = min(self._known[user, where], head)
        self._open = {name: attrs.evolve(asked, acknowledged=0, known=0) if asked.conv == conv else asked
                      for name, asked in self._open.items()}  # fmt: skip
        self._short = [(name, asked.below(head) if asked.conv == conv else asked, upto)
                       for name, asked, upto in self._short]  # fmt: skip

    def finish(self, visible: Callable[[int, int, int], int]) -> None:
        """visible(conv, user, head): how far into the log this user sees while it ends there."""
        for name, asked, upto in self._short:
            where = f"user {asked.user} in {asked.conv}: {name} reaches {upto}"
            if upto < visible(asked.conv, asked.user, asked.acknowledged):
                self._blame("P5", "misses what was acknowledged", f"{where}, acknowledged was {asked.acknowledged}")
            elif upto < visible(asked.conv, asked.user, asked.known):
                self._blame("P5", "read runs back", f"{where}, he was shown {asked.known}")

"""What happened in one run: a hash of every event, counters, and the readable story when someone wants to read it.

The hash covers the same lines whether or not they are kept, so a run that is watched is the run that failed.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable

import trio


class Trace:
    """`say` receives every line as it happens; None keeps the run silent."""

    def __init__(self, say: Callable[[str], None] | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self._digest = hashlib.blake2b(digest_size=16)
        self._say = say

    def event(self, kind: str, *details: object) -> None:
        """One event. Details must print the same in every process: no ids of objects, no sets."""
        line = f"{trio.current_time() - 1000:10.4f} {kind} {' '.join(map(str, details))}"
        self._digest.update(line.encode())
        if self._say is not None:
            self._say(line)

    def traffic(self, kind: str, data: bytes, describe: Callable[[], object]) -> None:
        """Bytes on a connection: hashed as they are, described only for a reader."""
        self._digest.update(f"{trio.current_time()!r} {kind} ".encode())
        self._digest.update(data)
        if self._say is not None:
            self._say(f"{trio.current_time() - 1000:10.4f} {kind} {describe()}")

    def count(self, name: str, by: int = 1) -> None:
        self.counts[name] += by

    def hash(self) -> str:
        """32 hex digits: equal for equal runs."""
        return self._digest.hexdigest()

"""Seeded randomness, one stream for each purpose, so that another draw for one purpose never shifts the others."""

from __future__ import annotations

import random


class Chance:
    """The streams of one seed. Seeding with a str does not depend on PYTHONHASHSEED."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._streams: dict[str, random.Random] = {}

    def stream(self, purpose: str) -> random.Random:
        """The stream of `purpose`; the same object each time."""
        found = self._streams.get(purpose)
        if found is None:
            found = self._streams[purpose] = random.Random(f"{self.seed}/{purpose}")
        return found

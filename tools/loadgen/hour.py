"""How people really talk: threads with their bursts, lengths and speakers, drawn from a model of real logs.

The model is a file of distributions, made by `tools.loadgen.learn`; nothing anybody said is in it.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Sequence
from functools import cache
from importlib import resources
from itertools import accumulate
from random import Random

import attrs

FILE = resources.files("tools.loadgen") / "hour.json"


@attrs.frozen
class Turn:
    """One text of a thread."""

    after: float
    """Seconds since the first."""
    speaker: int
    """0 is who began."""
    bytes: int


@attrs.frozen
class Model:
    """Distributions. Quantiles stand at even distances from the least to the most."""

    source: str
    licence: str
    texts: int
    """Of which this was learnt."""
    texts_per_hour: float
    """Of one channel, on average."""
    text_bytes: tuple[float, ...]
    """Quantiles."""
    gap_seconds: tuple[float, ...]
    """Quantiles of the time between a text of a thread and the next."""
    shapes: tuple[tuple[int, int, int], ...]
    """(texts, speakers, how many threads were so)."""
    again: float
    """How often the next text of a thread is by who said the last."""

    @property
    def mean_texts(self) -> float:
        """Of a thread."""
        threads = sum(count for _, _, count in self.shapes)
        return sum(texts * count for texts, _, count in self.shapes) / threads

    def thread(self, chance: Random) -> list[Turn]:
        """One conversation. All its speakers say something; who begins is the first."""
        texts, speakers = self._shape(chance)
        after, speaker, heard = 0.0, 0, 1
        turns = [Turn(after, speaker, self.length(chance))]
        for left in range(texts - 1, 0, -1):
            after += drawn(self.gap_seconds, chance)
            if heard < speakers and (left <= speakers - heard or chance.random() >= self.again):
                speaker, heard = heard, heard + 1
            elif heard > 1 and chance.random() >= self.again:
                speaker = (speaker + chance.randrange(1, heard)) % heard
            turns.append(Turn(after, speaker, self.length(chance)))
        return turns

    def length(self, chance: Random) -> int:
        """Bytes of a text."""
        return round(drawn(self.text_bytes, chance))

    def _shape(self, chance: Random) -> tuple[int, int]:
        ends = list(accumulate(count for _, _, count in self.shapes))
        texts, speakers, _ = self.shapes[bisect_left(ends, chance.randrange(ends[-1]) + 1)]
        return texts, speakers


def drawn(quantiles: Sequence[float], chance: Random) -> float:
    """A value of this distribution: even between two quantiles."""
    place = chance.random() * (len(quantiles) - 1)
    at = int(place)
    return quantiles[at] + (quantiles[at + 1] - quantiles[at]) * (place - at)


@cache
def model() -> Model:
    """The one that comes with the program."""
    plain = json.loads(FILE.read_text())
    return Model(
        **{
            **plain,
            "text_bytes": tuple(plain["text_bytes"]),
            "gap_seconds": tuple(plain["gap_seconds"]),
            "shapes": tuple(tuple(shape) for shape in plain["shapes"]),
        }
    )
